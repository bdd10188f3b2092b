"""Which pictures might be copies of one another, mirrored and cropped ones included: candidates by nearest neighbors.

Each picture is described by a 12 x 12 thumbnail of unit contrast, turned to the directions in which the set varies
and scaled to the same spread in each (principal components, whitened). So what all pictures of a set share, such
as the shape of a chest, counts for nothing. It is looked up as it is and mirrored, whole and through nine windows of
93% of each side, among the pictures of the four nearest of about sqrt(n) cells: time grows with n ** 1.5, memory
with n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Phase, Progress
from keensight.data.audit.registration import WHOLE, Floats, windows_of

_SIDE, _DIRECTIONS = 12, 32
_PER_DIRECTION = 3
"""Pictures for each direction, at least: in as many directions as there are pictures, no two are alike."""
_INNER = 0.93
_ALIKE = 0.75
"""Cosine from which on a pair is looked at closely; planted copies had 0.83 and more, 98 in 100 of them 0.85."""
_MANY, _HIGHEST = 100_000, 0.8
"""From this many pictures on the cosine rises with their number, to at most the second."""
_NEAREST = 4
_PROBES = 4
_BLOCK = 2048
_COMPARED = 2**24
"""Cosines of pictures and cells that are in memory at a time."""
_SAMPLE = 20_000
CONTRAST = 2.0
"""Levels of standard deviation below which a picture is blank."""
_BAR = 0.05
"""A picture is a bar where its steps in one direction have less than this fraction of the other's energy."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs to look at closely: ``second`` may be what ``windows`` show of ``first``."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    windows: Floats
    """Shape (n, 4)."""
    mirrored: NDArray[np.bool_]


def _views() -> Floats:
    edges = (0, (1 - _INNER) / 2, 1 - _INNER)
    inner = [(left, left + _INNER, top, top + _INNER) for left in edges for top in edges]
    return np.array([WHOLE, *inner], np.float32)


_VIEWS = _views()


def candidates(thumbs: NDArray[np.uint8], progress: Progress) -> Candidates:
    """Pairs of pictures that might be copies; blank pictures have none.

    Args:
        thumbs: Shape (n, side, side), in an order that is unrelated to their content, such as by digest: the first ones
            represent all.
        progress: Where to report.
    """
    rows = np.flatnonzero(_telling(thumbs))
    if len(rows) < 2:
        nothing = np.zeros(0, np.int64)
        return Candidates(nothing, nothing, np.zeros((0, 4), np.float32), nothing.astype(bool))

    def contrasts(some: NDArray[np.int64], view: int) -> Floats:
        return _contrasts(thumbs[rows[some]].astype(np.float32), _VIEWS[view // 2], mirror=view % 2 == 1)

    first, second, view = look_alikes(contrasts, len(rows), 2 * len(_VIEWS), progress)
    return Candidates(rows[first], rows[second], _VIEWS[view // 2], view % 2 == 1)


Describe = Callable[[NDArray[np.int64], int], Floats]
"""Numbers of pictures and of a view to raw descriptors of them, (n, d), of length 1 each."""


def look_alikes(
    describe: Describe, n: int, views: int, progress: Progress, purpose: str = "searching for duplicates"
) -> NDArray[np.int64]:
    """Pairs of pictures with similar descriptors, (3, m): picture, its neighbor and through which view.

    Args:
        describe: Describes pictures 0 to n - 1 through a view; view 0 is the picture as it is.
        n: Number of pictures, at least 2.
        views: Number of views through which each is looked up.
        progress: Where to report.
        purpose: Label of the progress line.
    """
    found = []
    with progress.task(purpose, (1 + views) * n, "descriptions") as task:
        space = _Space(describe, n, views, task)
        for begin in range(0, n, _BLOCK):
            some = np.arange(begin, min(begin + _BLOCK, n))
            found.append(space.look_up(some))
            task.advance(views * len(some))
    return np.concatenate(found, axis=1)


def _contrasts(pictures: Floats, view: Floats, *, mirror: bool) -> Floats:
    """A 12 x 12 thumbnail of what a view shows, of unit contrast, (n, 144)."""
    seen = windows_of(pictures[:, :, ::-1] if mirror else pictures, view[None], _SIDE).reshape(len(pictures), -1)
    seen -= seen.mean(axis=1, keepdims=True)
    result: Floats = seen / (np.linalg.norm(seen, axis=1, keepdims=True) + 1e-6)
    return result


def _telling(thumbs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pictures with contrast down as well as across: any two of a single bar could be laid onto one another."""
    told = np.zeros(len(thumbs), bool)
    for begin in range(0, len(thumbs), _BLOCK):
        some = thumbs[begin : begin + _BLOCK].astype(np.float32)
        across, down = ((np.diff(some, axis=axis) ** 2).sum(axis=(1, 2)) for axis in (2, 1))
        bars = np.minimum(across, down) < _BAR * np.maximum(across, down)
        told[begin : begin + _BLOCK] = (some.std(axis=(1, 2)) >= CONTRAST) & ~bars
    return told


def _least_alike(n: int, directions: int) -> float:
    """The cosine at which a picture has as many look-alikes by chance among ``n`` pictures as among 100,000.

    Of random directions in space, the fraction within a cosine of c falls with (1 - c ** 2) ** ((directions - 1) / 2).
    """
    apart = (1 - _ALIKE**2) * (_MANY / max(n, _MANY)) ** (2 / max(1, directions - 1))
    return float(min(_HIGHEST, np.sqrt(1 - apart)))


class _Space:
    """The whitened descriptors of all pictures, in cells."""

    def __init__(self, describe: Describe, n: int, views: int, task: Phase) -> None:
        self._raw, self._views = describe, views
        plain = describe(np.arange(min(n, _SAMPLE)), 0)
        self._mean = plain.mean(axis=0)
        spread, directions = np.linalg.eigh(np.cov(plain - self._mean, rowvar=False))
        first = slice(-1, -1 - min(_DIRECTIONS, max(1, n // _PER_DIRECTION), len(spread) - 1), -1)
        floor = spread[first][-1]
        self._basis = (directions[:, first] / np.sqrt(spread[first] + floor + 1e-9)).astype(np.float32)
        self._least = _least_alike(n, self._basis.shape[1])
        self._described = np.empty((n, self._basis.shape[1]), np.float32)
        for begin in range(0, n, _BLOCK):
            some = np.arange(begin, min(begin + _BLOCK, n))
            self._described[some] = self._describe(some, 0)
            task.advance(len(some))
        self._centres = self._described[: int(np.ceil(np.sqrt(n)))]
        self._cell = self._nearest_cells(self._described, 1)[:, 0]
        order = np.argsort(self._cell, kind="stable")
        self._members = np.split(order, np.searchsorted(self._cell[order], np.arange(1, len(self._centres))))
        self._place = np.empty(n, np.int64)
        for members in self._members:
            self._place[members] = np.arange(len(members))

    def _describe(self, some: NDArray[np.int64], view: int) -> Floats:
        turned = (self._raw(some, view) - self._mean) @ self._basis
        result: Floats = turned / (np.linalg.norm(turned, axis=1, keepdims=True) + 1e-9)
        return result

    def _nearest_cells(self, descriptors: Floats, count: int) -> NDArray[np.int64]:
        """The nearest cells (n, count) of descriptors, the nearest first."""
        cells = np.empty((len(descriptors), count), np.int64)
        rows = max(1, _COMPARED // len(self._centres))
        for begin in range(0, len(descriptors), rows):
            alike = descriptors[begin : begin + rows] @ self._centres.T
            every = np.arange(len(alike))
            for k in range(count):  # for a few, faster than to sort a part of each row
                best = alike.argmax(axis=1)
                cells[begin : begin + rows, k] = best
                alike[every, best] = -np.inf
        return cells

    def look_up(self, some: NDArray[np.int64]) -> NDArray[np.int64]:
        """(3, m): picture, its neighbor and through which view; at most four neighbors a picture."""
        asked = np.concatenate([self._describe(some, view) for view in range(self._views)])
        owner = np.tile(some, self._views)
        view = np.repeat(np.arange(self._views), len(some))
        probes = min(_PROBES, len(self._centres))
        cells = self._nearest_cells(asked, probes)
        asker = np.argsort(cells.ravel(), kind="stable")
        ends = np.searchsorted(cells.ravel()[asker], np.arange(len(self._members) + 1))
        hits: list[tuple[NDArray[np.int64], ...]] = []
        for cell, members in enumerate(self._members):
            mine = asker[ends[cell] : ends[cell + 1]] // probes
            if not len(mine) or not len(members):
                continue
            alike = asked[mine] @ self._described[members].T
            own = np.flatnonzero(self._cell[owner[mine]] == cell)
            alike[own, self._place[owner[mine[own]]]] = -1
            close = np.flatnonzero(alike.max(axis=1) >= self._least)
            kept = min(_NEAREST, len(members))
            best = np.argpartition(alike[close], -kept, axis=1)[:, -kept:]
            row, column = np.nonzero(np.take_along_axis(alike[close], best, axis=1) >= self._least)
            who, other = close[row], best[row, column]
            hits.append((owner[mine[who]], members[other], view[mine[who]], alike[who, other]))
        return _nearest(*(np.concatenate(parts) for parts in zip(*hits, strict=True)))


def _nearest(
    first: NDArray[np.int64], second: NDArray[np.int64], view: NDArray[np.int64], alike: Floats
) -> NDArray[np.int64]:
    """The best view of each pair, then the nearest pictures of each."""
    order = np.lexsort((-alike, second, first))
    first, second, view, alike = first[order], second[order], view[order], alike[order]
    new = np.flatnonzero(np.diff(first, prepend=-1) | np.diff(second, prepend=-1))
    order = new[np.lexsort((-alike[new], first[new]))]
    first, second, view = first[order], second[order], view[order]
    begins = np.searchsorted(first, first)
    kept = np.arange(len(first)) - begins < _NEAREST
    return np.stack([first[kept], second[kept], view[kept]])
