"""Images made small by the means of their blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def block_means(images: NDArray[Any], rows: int, columns: int | None = None) -> NDArray[np.float32]:
    """Average images (n, height, width, ...) to (n, rows, columns, ...); a shorter axis keeps its length.

    Where an axis is no multiple of the number wanted, its blocks differ by one in length.

    Args:
        images: The images.
        rows: Blocks from top to bottom.
        columns: Blocks from left to right; None: as many as rows.
    """
    means: NDArray[np.float32] = images.astype(np.float32)
    for axis, wanted in ((1, rows), (2, columns or rows)):
        length = means.shape[axis]
        starts = np.arange(min(wanted, length)) * length // min(wanted, length)
        sizes = np.diff(np.append(starts, length)).astype(np.float32)
        shape = (-1, *[1] * (means.ndim - axis - 1))
        means = (np.add.reduceat(means, starts, axis=axis) / sizes.reshape(shape)).astype(np.float32)
    return means


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (n, height, width, 3) as uint8 (n, 32, 32, 3); a shorter side is kept."""
    return np.rint(block_means(images, 32)).astype(np.uint8)
