"""What transparent pixels become: the ground on which the drawings of a set stand out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keensight.core.records import Background

GROUNDS: dict[Background, int] = {"white": 255, "black": 0, "gray": 128}
"""The gray level of each, in the order of preference."""
LOST = 0.1
"""A drawing that differs from the ground by less than this fraction of the range cannot be seen."""
_CLEAR, _VISIBLE = 128, 26
"""Alpha below the first counts as transparent, from the second on as visible."""
_NEAR = 2
"""Pixels of a drawing within this distance of a transparent one are its outline."""


def contrasts(pixels: NDArray[np.uint8]) -> dict[Background, float] | None:
    """How far the outline of a drawing differs from each ground, 0 to 1; None: nothing is transparent, or everything.

    It is the mean, over the visible pixels near transparent ones, of the largest difference of a channel.

    Args:
        pixels: RGBA, uint8 (height, width, 4).
    """
    alpha = pixels[:, :, 3]
    clear = alpha < _CLEAR
    outline = _grown(clear, _NEAR) & (alpha >= _VISIBLE)
    if not outline.any():
        return None
    colors, opacity = pixels[outline][:, :3].astype(np.float32), alpha[outline] / 255
    return {name: float((np.abs(colors - level).max(axis=1) * opacity).mean() / 255) for name, level in GROUNDS.items()}


def _grown(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    grown = mask.copy()
    for _ in range(steps):
        before = grown.copy()
        grown[1:] |= before[:-1]
        grown[:-1] |= before[1:]
        grown[:, 1:] |= before[:, :-1]
        grown[:, :-1] |= before[:, 1:]
    return grown


def choose(found: Sequence[dict[Background, float]]) -> tuple[Background, dict[Background, int]]:
    """The ground on which the fewest drawings of a set are lost; of equals white, else black.

    Args:
        found: :func:`contrasts` of its images.

    Returns:
        The ground, and how many images are lost on each.
    """
    lost = {name: sum(image[name] < LOST for image in found) for name in GROUNDS}
    return min(GROUNDS, key=lambda name: lost[name]), lost
