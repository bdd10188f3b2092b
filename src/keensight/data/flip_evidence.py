"""Whether a mirrored image looks like another class, decided by nearest neighbors before any training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core.pixels import block_means

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels

_MOST, _SIDE = 4000, 14
_ALIKE = 0.3
"""Mirrored images are unlike the real ones if they are nearest to a smaller fraction of the images."""


@dataclass(frozen=True, slots=True)
class MirrorEvidence:
    """Effect of mirrored copies on nearest-neighbor classification of the training images.

    ``harmed`` images have their nearest neighbor in their own class only without mirrored copies of the others,
    ``helped`` images only with them; the nearest of all neighbors of ``nearer`` images is a mirrored copy, and of
    ``kindred`` images one from their own class; ``n`` images were used.
    """

    n: int
    harmed: int
    helped: int
    nearer: int
    kindred: int

    @property
    def spread(self) -> float:
        """One standard deviation of ``harmed - helped`` if mirroring made no difference."""
        return sqrt(self.harmed + self.helped)

    @property
    def harmful(self) -> bool:
        """Significantly more images are harmed than helped: by two standard deviations, or by one if mirrored images
        are also unlike the real ones. (Half of all nearest neighbors would be mirrored copies if they were alike.)
        """
        needed = 1.0 if self.nearer < _ALIKE * self.n else 2.0
        return self.harmed - self.helped > needed * self.spread

    @property
    def natural(self) -> bool:
        """Mirrored images look like real ones of their class: they are nearest to at least a tenth of the images."""
        return self.kindred >= self.n / 10 and not self.harmful


def mirror_evidence(pixels: Pixels, rows: NDArray[np.int64], targets: NDArray[np.int64]) -> MirrorEvidence:
    """Leave-one-out nearest neighbors (cosine, 14 x 14 gray) with and without mirrored copies.

    Digits, letters and traffic signs turn into one another when mirrored and show up as harmed;
    clothes, leaves or faces do not.

    Args:
        pixels: Decoded images by dataset index.
        rows: Indices of the training set; 4,000 at most are used, evenly spaced.
        targets: Class number of every sample of the dataset.
    """
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(np.int64)]
    classes = targets[rows]
    images, mirrored = (np.concatenate(parts) for parts in zip(*_pairs(pixels, rows), strict=True))
    plain, plain_class = _nearest(images, images, classes)
    turned, turned_class = _nearest(images, mirrored, classes)
    before = plain_class == classes
    after = np.where(turned > plain, turned_class, plain_class) == classes
    nearer = turned > plain
    counts = (before & ~after, ~before & after, nearer, nearer & (turned_class == classes))
    return MirrorEvidence(len(rows), *(int(count.sum()) for count in counts))


def _pairs(pixels: Pixels, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    for begin in range(0, len(rows), 256):
        images = pixels.take(rows[begin : begin + 256])[..., 1]  # green is closest to perceived brightness
        yield _thumbnails(images), _thumbnails(images[:, :, ::-1])


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Centered unit vectors, shape (n, at most 14 * 14), by averaging blocks."""
    gray = block_means(images, _SIDE)
    gray = gray.reshape(len(gray), -1)
    gray -= gray.mean(axis=1, keepdims=True)
    unit: NDArray[np.float32] = gray / (np.linalg.norm(gray, axis=1, keepdims=True) + 1e-6)
    return unit


def _nearest(
    images: NDArray[np.float32], others: NDArray[np.float32], classes: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    similarity = images @ others.T
    np.fill_diagonal(similarity, -np.inf)
    best = similarity.argmax(axis=1)
    return similarity[np.arange(len(images)), best], classes[best]
