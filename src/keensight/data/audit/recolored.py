"""Whether two near-duplicates differ in color, because they are found by gray values only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.decoded import Pixels
from keensight.core.pixels import block_means
from keensight.core.records import Dataset
from keensight.data.audit.near_duplicates import Copies, Pair

Floats = NDArray[np.floating[Any]]

_BLOCKS = 8
_CAST = 0.2
"""Largest color cast, as a fraction of the brightness, that counts as white balance and is removed."""
_LEVELS, _RELATIVE = 16.0, 0.6
"""Least difference of the chroma in levels of 255, and as a fraction of the stronger of both chromas.

Chosen on clothing_small and gtsrb43 (150 images each): none of 3,000 copies made by compression, crops, saturation
(0.6 to 1.5), hue (up to 18 degrees), brightness and white balance (up to 15%) passes both, and 0.79 to 0.90 of colored
objects turned by 120 degrees and more do. On plantvillage15, which was not used for choosing: none of 1,500, and 0.86
to 0.91.
"""


def recolored_pairs(dataset: Dataset, pixels: Pixels, copies: Copies) -> frozenset[tuple[int, int]]:
    """The near-duplicate pairs with different labels whose colors clearly differ, as pairs of indices."""
    return frozenset(
        (pair.first, pair.second)
        for pair in copies.pairs
        if pair.kind != "exact"
        and dataset.samples[pair.first].label != dataset.samples[pair.second].label
        and _differ(pixels, pair)
    )


def _differ(pixels: Pixels, pair: Pair) -> bool:
    first, second = pixels.take([pair.first, pair.second])
    if pair.kind in ("rotated", "augmented"):  # blocks do not correspond: only the mean colors are compared
        first, second = (np.broadcast_to(block_means(one[None], 1)[0], one.shape) for one in (first, second))
    return differ_in_color(first[:, ::-1] if pair.kind == "mirror" else first, second)


def differ_in_color(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Whether two images of the same thing, uint8 (h, w, 3), have clearly different colors.

    Chroma (opponent channels R - G and (R + G) / 2 - B) is compared block by block, colored blocks counting most,
    after removing a color cast that white balance may explain. Gray and colored differ as red and blue do.
    """
    (one, light_one), (other, light_other) = _chroma(first), _chroma(second)
    light = (light_one + light_other) / 2
    cast = ((one - other) * light).sum(0) / max(float((light**2).sum()), 1e-6)
    one = one - light * cast * min(1.0, _CAST / max(float(np.hypot(*cast)), 1e-9))
    strength = np.maximum(*(np.hypot(*chroma.T) for chroma in (one, other)))
    difference = float((strength * np.hypot(*(one - other).T)).sum())
    return difference > max(_LEVELS * float(strength.sum()), _RELATIVE * float((strength**2).sum()))


def _chroma(picture: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Opponent channels (blocks, 2) and brightness (blocks, 1)."""
    red, green, blue = block_means(picture[None], _BLOCKS).reshape(-1, 3).T
    return np.stack([red - green, (red + green) / 2 - blue], axis=1), ((red + green + blue) / 3)[:, None]
