"""Parts of small pictures, as features that a simple classifier may look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keensight.core.blocks import block_means

Features = NDArray[np.float32]
Parts = dict[str, Features]

CORNERS = ("upper left corner", "upper right corner", "lower left corner", "lower right corner")
SIDES = ("upper border", "lower border", "left border", "right border")


def corners(pictures: NDArray[np.uint8]) -> Parts:
    """The four corner patches, a fifth of the side each, of pictures (n, h, w, 3)."""
    h, w = (max(2, round(0.19 * side)) for side in pictures.shape[1:3])
    patches = (pictures[:, :h, :w], pictures[:, :h, -w:], pictures[:, -h:, :w], pictures[:, -h:, -w:])
    return {name: _summary(patch, 3, 3) for name, patch in zip(CORNERS, patches, strict=True)}


def borders(pictures: NDArray[np.uint8]) -> Parts:
    """The four outermost strips, a sixteenth of the side wide, without the corners."""
    b = max(1, min(pictures.shape[1:3]) // 16)
    h, w = (max(2, round(0.19 * side)) for side in pictures.shape[1:3])
    strips = (pictures[:, :b, w:-w], pictures[:, -b:, w:-w], pictures[:, h:-h, :b], pictures[:, h:-h, -b:])
    grids = ((1, 5), (1, 5), (5, 1), (5, 1))
    return {name: _summary(strip, *grid) for name, strip, grid in zip(SIDES, strips, grids, strict=True)}


def centre(pictures: NDArray[np.uint8]) -> Features:
    """A square in the middle with as many pixels as the four corners have together."""
    h, w = pictures.shape[1:3]
    top, left = h // 2 - max(2, round(0.19 * h)), w // 2 - max(2, round(0.19 * w))
    return _summary(pictures[:, top : h - top, left : w - left], 6, 6)


def surround(pictures: NDArray[np.uint8]) -> tuple[Features, Features]:
    """What is left where the middle six eighths of each side are masked, and what was masked."""
    grid = block_means(pictures, 8, 8)
    inside = np.zeros(grid.shape[1:3], bool)
    inside[1:-1, 1:-1] = True
    return grid[:, ~inside].reshape(len(grid), -1), grid[:, inside].reshape(len(grid), -1)


def _summary(patch: NDArray[np.uint8], rows: int, columns: int) -> Features:
    """Colours of a coarse grid and how much each channel varies."""
    means = block_means(patch, rows, columns).reshape(len(patch), -1)
    return np.concatenate([means, patch.astype(np.float32).std(axis=(1, 2))], axis=1)
