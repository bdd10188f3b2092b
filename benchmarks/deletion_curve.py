"""Faithfulness of heatmaps: mask the regions marked as important and observe the prediction.

The deletion curve of Petsiuk et al. 2018 (RISE): pixels are masked from the hottest to the coldest, and the probability
of the class is computed at several fractions. With a faithful heatmap it falls early: a small area under the curve. A
masked pixel is taken from a strongly blurred copy of its image (Fong and Vedaldi 2017), which adds no new edges or
colors. Any masking destroys the image in the end, so the area is only meaningful compared with that of masking in
random order. Two orders are fair to compare with: single pixels, which spoil texture the most, and blocks as coarse as
the network's own map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Progress, Silent

_BLUR = 1 / 8
"""Standard deviation of the blur, as a fraction of the longer side."""
Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""uint8 images (n, H, W, 3) to probabilities (n, classes)."""


@dataclass(frozen=True, slots=True, eq=False)
class Deletion:
    """Probabilities of the explained class as more of each image is masked."""

    shares: NDArray[np.float64]
    """Shape (steps,): fraction of masked pixels, from 0 to 1."""
    heat: NDArray[np.float64]
    """Shape (n, steps): the hottest pixels first."""
    pixels: NDArray[np.float64]
    """Shape (n, steps): pixels in random order, averaged over random orders."""
    blocks: NDArray[np.float64]
    """Shape (n, steps): blocks in random order, averaged over random orders."""

    def area(self, curve: NDArray[np.float64]) -> NDArray[np.float64]:
        """Area under each curve, shape (n,), 0 to 1: small if the probability falls early."""
        return np.asarray(np.trapezoid(curve, self.shares, axis=-1), dtype=np.float64)

    def better_than(self, other: NDArray[np.float64]) -> float:
        """Fraction of the images on which the heatmap's area is smaller than that of ``other``, 0 to 1."""
        return float((self.area(self.heat) < self.area(other)).mean())


def deletion(
    predict: Predict,
    images: NDArray[np.uint8],
    targets: NDArray[np.int64],
    heat: NDArray[np.float32],
    *,
    side: int = 7,
    steps: int = 13,
    draws: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> Deletion:
    """Mask images in the order of their heatmaps, and in random order.

    Args:
        predict: The model.
        images: uint8 (n, H, W, 3), of the model's input size.
        targets: The explained class, shape (n,).
        heat: Heatmaps (n, H, W), the hottest pixel the most important.
        side: Blocks along each side of an image, in the random order of blocks.
        steps: Number of points of a curve, including both ends.
        draws: Random orders of each kind; their curves are averaged.
        seed: Random seed.
        progress: Where to report.
    """
    rng = np.random.default_rng(seed)
    shares = np.linspace(0, 1, steps)
    shape = images.shape[1:3]
    kinds: dict[str, tuple[int, Callable[[int], NDArray[np.float64]]]] = {
        "heat": (1, lambda i: heat[i].astype(np.float64)),
        "pixels": (draws, lambda _: rng.random(shape)),
        "blocks": (draws, lambda _: _blocks(shape, side, rng)),
    }
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in kinds}
    with (progress or Silent()).task("blanking", len(images)) as task:
        for i, image in enumerate(images):
            for name, (times, scores) in kinds.items():
                orders = [scores(i) for _ in range(times)]
                stack = np.stack([frame for order in orders for frame in _blanked(image, order, shares)])
                curves = predict(stack)[:, targets[i]].reshape(times, steps)
                found[name].append(curves.mean(axis=0, dtype=np.float64))
            task.advance()
    return Deletion(shares, *(np.stack(found[name]) for name in ("heat", "pixels", "blocks")))


def _blanked(
    image: NDArray[np.uint8], scores: NDArray[np.float64], shares: NDArray[np.float64]
) -> Iterator[NDArray[np.uint8]]:
    """The image with its highest ``scores`` masked, step by step."""
    rank = np.empty(scores.size, dtype=np.int64)
    rank[np.argsort(-scores, axis=None, kind="stable")] = np.arange(scores.size)
    blank = _blurred(image)
    for share in shares:
        gone = (rank < round(share * rank.size)).reshape(scores.shape)
        yield np.where(gone[:, :, None], blank, image)


def _blurred(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from scipy.ndimage import gaussian_filter

    width = max(image.shape) * _BLUR
    return np.asarray(gaussian_filter(image.astype(np.float32), (width, width, 0)).round(), dtype=np.uint8)


def _blocks(shape: tuple[int, ...], side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """One random score per block, shape (H, W)."""
    rows, columns = (np.arange(length) * side // length for length in shape)
    scores: NDArray[np.float64] = rng.random((side, side))[np.ix_(rows, columns)]
    return scores
