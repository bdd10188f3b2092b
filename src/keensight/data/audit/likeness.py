"""Whether images of a proposed group are more similar than other images of the same class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keensight.core.decoded import Pixels
from keensight.core.records import Dataset
from keensight.data.pixels import scan

Groups = Mapping[str, Sequence[int]]
"""Name of a group to indices into ``Dataset.samples``."""
Floats = NDArray[np.float32]

_IMAGES = 2000
"""Maximum number of images used; more change the result little and take longer."""
_MEMBERS = 6
_SIDE, _DIRECTIONS = 16, 32
_CLEAR = 3.0
"""Standard errors above chance; on real sets, groupings that mean nothing reached 2.2, true ones 3.2 to 87."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much more similar two images of a group are than two of different groups."""

    probability: float
    """Probability that an image is more similar to one of its group than to one of its class outside the group,
    averaged over groups; 0.5: chance."""
    excess: float
    """``probability`` minus 0.5, in standard errors over groups."""

    @property
    def clear(self) -> bool:
        """Whether it is significant."""
        return self.excess >= _CLEAR


def likeness(dataset: Dataset, pixels: Pixels, groupings: Sequence[Groups]) -> list[Likeness | None]:
    """The similarity within the groups of each grouping, in order; None if nothing can be compared.

    Thumbnails of 16 x 16 pixels are compared by the cosine in the 32 directions in which they vary most, each scaled
    to the root of its spread. The same images are drawn in every call.

    Args:
        dataset: The image set.
        pixels: Its decoded images.
        groupings: Groups of two and more images.
    """
    rows = _drawn(len(dataset), groupings, pixels.errors)
    if len(rows) < 3:
        return [None] * len(groupings)
    (thumbnails,) = scan(pixels, rows, [_thumbnails])
    vectors = _directions(thumbnails)
    alike = vectors @ vectors.T
    labels = np.unique([dataset.samples[i].label for i in rows.tolist()], return_inverse=True)[1]
    return [_compare(alike, labels, _placed(groups, rows)) for groups in groupings]


def _drawn(n: int, groupings: Sequence[Groups], errors: Mapping[int, str]) -> NDArray[np.int64]:
    """The images to compare: all of a small set, else some of each grouping's groups."""
    if n <= _IMAGES:
        return np.array([i for i in range(n) if i not in errors], dtype=np.int64)
    rng = np.random.default_rng(0)
    drawn: set[int] = set()
    for done, groups in enumerate(groupings, start=1):
        members = [[i for i in group if i not in errors] for group in groups.values()]
        for k in rng.permutation(len(members)).tolist():
            if len(drawn) + _MEMBERS > _IMAGES * done // len(groupings):
                break
            drawn.update(rng.permutation(members[k])[:_MEMBERS].tolist())
    return np.array(sorted(drawn), dtype=np.int64)


def _thumbnails(images: NDArray[np.uint8]) -> Floats:
    """Means over the cells of a grid, shape (n, cells x 3)."""
    n, height, width, _ = images.shape
    narrow = np.matmul(_averaging(height), images.reshape(n, height, width * 3).astype(np.float32))
    means: Floats = np.matmul(_averaging(width), narrow.reshape(-1, width, 3)).reshape(n, -1)
    return means


def _averaging(length: int) -> Floats:
    """A matrix (cells, length) that takes the mean over each cell of a line."""
    cell = np.arange(length) * min(_SIDE, length) // length
    member = (cell == np.arange(cell[-1] + 1)[:, None]).astype(np.float32)
    matrix: Floats = member / member.sum(axis=1, keepdims=True)
    return matrix


def _directions(thumbnails: Floats) -> Floats:
    """Unit vectors in the directions of most spread."""
    centred = thumbnails - thumbnails.mean(axis=0)
    spread, axes = np.linalg.eigh(centred.T @ centred)
    spread, axes = np.maximum(spread[-_DIRECTIONS:], 0), axes[:, -_DIRECTIONS:]
    vectors = centred @ axes / (spread**0.25 + 1e-6)
    unit: Floats = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)
    return unit


def _placed(groups: Groups, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each row's group, shape (rows,); a unique negative number for an image without a group."""
    place = {int(row): k for k, row in enumerate(rows)}
    numbers = -1 - np.arange(len(rows))
    for number, group in enumerate(groups.values()):
        numbers[[place[i] for i in group if i in place]] = number
    return numbers


def _compare(alike: Floats, labels: NDArray[np.int64], group: NDArray[np.int64]) -> Likeness | None:
    first, second = _pairs(group)
    if not len(first):
        return None
    others = (labels == labels[second][:, None]) & (group != group[first][:, None])
    less = (alike[first] < alike[first, second][:, None]) & others
    usable = others.any(axis=1)
    won = less.sum(axis=1)[usable] / others.sum(axis=1)[usable]
    numbers = np.unique(group[first][usable], return_inverse=True)[1]
    if not len(numbers):
        return None
    means = np.bincount(numbers, won) / np.bincount(numbers)
    error = max(float(means.std()), 0.05) / len(means) ** 0.5
    return Likeness(float(means.mean()), (float(means.mean()) - 0.5) / error)


def _pairs(group: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair each image with the next one of its group in random order, for some images per group."""
    order = np.random.default_rng(0).permutation(len(group))
    order = order[np.argsort(group[order], kind="stable")]
    order = order[group[order] >= 0]
    _, begin, count = np.unique(group[order], return_index=True, return_counts=True)
    pairs = [
        (order[b + k], order[b + (k + 1) % c])
        for b, c in zip(begin.tolist(), count.tolist(), strict=True)
        if c > 1
        for k in range(min(c, _MEMBERS))
    ]
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return first, second
