"""Images made small by the means of their blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def block_means(images: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Average images (n, height, width, ...) to (n, side, side, ...); a shorter axis keeps its length.

    Where an axis is no multiple of ``side``, its blocks differ by one in length.
    """
    means: NDArray[np.float32] = images.astype(np.float32)
    for axis in (1, 2):
        length = means.shape[axis]
        starts = np.arange(min(side, length)) * length // min(side, length)
        sizes = np.diff(np.append(starts, length)).astype(np.float32)
        shape = (-1, *[1] * (means.ndim - axis - 1))
        means = (np.add.reduceat(means, starts, axis=axis) / sizes.reshape(shape)).astype(np.float32)
    return means


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (n, height, width, 3) as uint8 (n, 32, 32, 3), for :func:`keensight.data.scan.scan`."""
    return np.rint(block_means(images, 32)).astype(np.uint8)
