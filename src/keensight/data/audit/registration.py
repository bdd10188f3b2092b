"""Registration of two small images: fitted windows and correlation.

The fit is the least-squares registration of Lucas and Kanade (1981) with a window instead of a shift, and with
brightness gain and offset as additional unknowns. All functions work on many pairs at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WHOLE = np.array([0.0, 1.0, 0.0, 1.0], np.float32)
"""The full image as a window (left, right, top, bottom), in fractions of width and height."""

_DAMPING = 1e-3
_REACH = 0.06
"""Maximum movement of an edge in one step, as a fraction of the side."""


def resampling(size: int, out: int, low: Floats, high: Floats) -> Floats:
    """Matrices (n, out, size) that resample a line of pixels between two positions, with a triangle filter.

    Args:
        size: Length of the line in pixels.
        out: Number of output pixels.
        low: Start of each window, as a fraction of the line, shape (n,).
        high: End of each window; beyond the line its last pixel is repeated.
    """
    width = (high - low)[:, None]
    centres = (low[:, None] + width * (np.arange(out, dtype=np.float32) + 0.5) / out) * size - 0.5
    radius = np.maximum(1, np.abs(width) * size / out)[:, :, None]
    distance = np.abs(np.clip(centres, 0, size - 1)[:, :, None] - np.arange(size, dtype=np.float32))
    weights = np.maximum(0, 1 - distance / radius)
    result: Floats = (weights / weights.sum(axis=2, keepdims=True)).astype(np.float32)
    return result


def windows_of(pictures: Floats, windows: Floats, side: int) -> Floats:
    """The contents of each window, (n, side, side), from pictures (n, h, w) and windows (n, 4)."""
    across = resampling(pictures.shape[2], side, windows[:, 0], windows[:, 1])
    down = resampling(pictures.shape[1], side, windows[:, 2], windows[:, 3])
    seen: Floats = np.matmul(np.matmul(down, pictures), across.transpose(0, 2, 1))
    return seen


def fit_windows(pictures: Floats, targets: Floats, windows: Floats, steps: int) -> Floats:
    """Move the edges of each window to match the target; return the windows, (n, 4).

    Args:
        pictures: Shape (n, h, w).
        targets: Shape (n, side, side).
        windows: Initial windows, shape (n, 4).
        steps: Number of iterations.
    """
    side = targets.shape[1]
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    wanted = targets.reshape(len(targets), -1, 1)
    for _ in range(steps):
        seen = windows_of(pictures, windows, side)
        down, across = np.gradient(seen, axis=(1, 2))
        across *= side / (windows[:, 1] - windows[:, 0])[:, None, None]
        down *= side / (windows[:, 3] - windows[:, 2])[:, None, None]
        columns = (
            across * (1 - place),
            across * place,
            down * (1 - place)[:, None],
            down * place[:, None],
            seen,
            np.ones_like(seen),
        )
        basis = np.stack([column.reshape(len(seen), -1) for column in columns], axis=1)
        normal = np.matmul(basis, basis.transpose(0, 2, 1)).astype(np.float64)
        diagonal = np.arange(6)
        normal[:, diagonal, diagonal] *= 1 + _DAMPING
        normal[:, diagonal, diagonal] += 1e-6
        solved = np.linalg.solve(normal, np.matmul(basis, wanted).astype(np.float64))[:, :, 0]
        gain = np.where(np.abs(solved[:, 4:5]) < 0.2, 0.2, solved[:, 4:5])
        windows = windows + np.clip(solved[:, :4] / gain, -_REACH, _REACH).astype(np.float32)
        windows = np.clip(windows, WHOLE - 0.15, WHOLE + 0.15)
    return windows


def details(pictures: Floats, sigma: float) -> Floats:
    """Images (n, side, side) minus their blur: the detail that distinguishes similar images."""
    fine: Floats = pictures - blurred(pictures, sigma)
    return fine


def blurred(pictures: Floats, sigma: float) -> Floats:
    """Images (n, side, side) through a Gaussian filter of this standard deviation in pixels."""
    place = np.arange(pictures.shape[1], dtype=np.float32)
    blur = np.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    blur /= blur.sum(axis=1, keepdims=True)
    coarse: Floats = np.matmul(np.matmul(blur, pictures), blur.T)
    return coarse


def correlation(first: Floats, second: Floats) -> Floats:
    """Pearson's correlation of each pair, shape (n,)."""
    one, two = (each.reshape(len(each), -1) - each.mean(axis=(1, 2))[:, None] for each in (first, second))
    energy = np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    result: Floats = (one * two).sum(axis=1) / np.maximum(energy, 1e-6)
    return result
