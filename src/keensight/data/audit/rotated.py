"""Duplicates that were rotated: by quarter turns or any other angle, mirrored or not.

A rotated image has new corners, black or smeared, and a mirrored or turned one none of its pixels in their old place.
So candidates are found by what of an image no rotation changes, and confirmed by registration (:mod:`.rotation`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.decoded import Pixels
from keensight.core.progress import Progress
from keensight.core.records import Dataset, ImageInfo
from keensight.data.audit.candidates import CONTRAST, look_alikes
from keensight.data.audit.registration import Floats
from keensight.data.audit.rotation import (
    Spectra,
    agreement,
    angles_between,
    centers,
    distinctive,
    fit_maps,
    invariants,
    inverses,
    spectra,
    squares_of,
    turned_about,
    turns,
)

SMALL, LARGE = 32, 64
_RINGS_ALIKE = 0.9
"""Correlation of the rings from which on a pair is registered; planted copies had more in 97 of 100 images."""
LIKELY = 0.6
"""Correlation of details at 32 px, below which a pair is not looked at in full size."""
_WORTH_A_LOOK = 0.8
_SIMPLE = 0.7
"""Images whose details agree this much in another way too are simple shapes such as disks, bars and lines: any two of
them could be laid onto one another."""
BLUR = 2.0
_CHUNK, _BLOCK = 128, 2048


@dataclass(frozen=True, slots=True)
class Rotated:
    """Pairs of images that may be rotated copies, as positions in the rows searched; the first is the smaller one."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    scores: Floats
    """Correlation of the details after registration; 1 for equal images."""


def find_rotated(
    pixels: Pixels, rows: NDArray[np.int64], sizes: Floats, thumbs: NDArray[np.uint8], progress: Progress
) -> Rotated:
    """Pairs of images that agree after a rotation, with their scores.

    Args:
        pixels: Decoded images by dataset index, stretched to one size.
        rows: Dataset indices of the images, shape (n,), in an order unrelated to their content.
        sizes: Their heights and widths before that, shape (n, 2).
        thumbs: Their gray thumbnails, uint8 (n, side, side).
        progress: Where to report.
    """

    def small(some: NDArray[np.int64]) -> Floats:
        return squares_of(thumbs[some].astype(np.float32), sizes[some], SMALL)

    kept = np.flatnonzero(_in_blocks(lambda some: distinctive(small(some), CONTRAST), len(rows)))
    if len(kept) < 2:
        nothing = np.zeros(0, np.int64)
        return Rotated(nothing, nothing, np.zeros(0, np.float32))
    rings: Spectra = _in_blocks(lambda some: spectra(small(kept[some])), len(kept))
    found = look_alikes(
        lambda some, view: invariants(rings[some], mirrored=view == 1), len(kept), 2, progress,
        "searching for rotated duplicates",
    )  # fmt: skip
    first, second, mirrored = _once(*found)
    angles, alike = _angles(rings, first, second, mirrored)
    likely = alike >= _RINGS_ALIKE
    first, second = kept[first[likely]], kept[second[likely]]
    maps = turns(angles[likely], mirrored[likely])

    def large(some: NDArray[np.int64]) -> Floats:
        gray = pixels.take(rows[some]).astype(np.float32) @ np.full(3, 1 / 3, np.float32)
        return squares_of(gray, sizes[some], LARGE)

    scores = np.zeros(len(first), np.float32)
    with progress.task("confirming rotated duplicates", len(first), "pairs") as task:
        for begin in range(0, len(first), _CHUNK):
            some = slice(begin, begin + _CHUNK)
            scores[some] = _scored(first[some], second[some], maps[some], small, large)
            task.advance(len(first[some]))
    return Rotated(first, second, scores)


def upright_sizes(dataset: Dataset, rows: NDArray[np.int64]) -> Floats:
    """Heights and widths (n, 2) of images as they are shown; (1, 1) where they are not known."""
    return np.array([_upright(dataset.samples[int(row)].info) for row in rows], np.float32).reshape(-1, 2)


def _upright(info: ImageInfo | None) -> tuple[int, int]:
    if info is None or not info.height or not info.width:
        return 1, 1
    return (info.width, info.height) if info.orientation >= 5 else (info.height, info.width)


def _in_blocks(work: Callable[[NDArray[np.int64]], NDArray[Any]], n: int) -> NDArray[Any]:
    first = work(np.arange(min(_BLOCK, n)))
    found = np.empty((n, *first.shape[1:]), first.dtype)
    found[: len(first)] = first
    for begin in range(_BLOCK, n, _BLOCK):
        found[begin : begin + _BLOCK] = work(np.arange(begin, min(begin + _BLOCK, n)))
    return found


def _once(
    first: NDArray[np.int64], second: NDArray[np.int64], view: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Each pair and hand once: the inverse of a rotation, mirrored or not, is one of the same hand."""
    pairs = np.stack([np.minimum(first, second), np.maximum(first, second), view], axis=1)
    low, high, hand = np.unique(pairs, axis=0).T
    return low, high, hand == 1


def _angles(
    rings: Spectra, first: NDArray[np.int64], second: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """:func:`angles_between` of pairs, some at a time: all their rings would take 3 kB a pair."""
    angles, alike = (np.empty(len(first), np.float32) for _ in range(2))
    for begin in range(0, len(first), _BLOCK):
        some = slice(begin, begin + _BLOCK)
        angles[some], alike[some] = angles_between(rings[first[some]], rings[second[some]], mirrored[some])
    return angles, alike


def _scored(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    maps: Floats,
    small: Callable[[NDArray[np.int64]], Floats],
    large: Callable[[NDArray[np.int64]], Floats],
) -> Floats:
    """The agreement of pairs after registration, first at a small size; 0 where that has ruled a pair out."""
    one, other = small(first), small(second)
    maps = fit_maps(one, other, maps, steps=6)
    likely = np.flatnonzero(agreement(one, other, maps, BLUR) >= LIKELY)
    scores = np.zeros(len(first), np.float32)
    if len(likely):
        scores[likely] = confirmed(large(first[likely]), large(second[likely]), maps[likely])
    return scores


def confirmed(one: Floats, other: Floats, maps: Floats) -> Floats:
    """The agreement (n,) of squares (n, side, side) after a last fit; 0 for simple shapes."""
    maps = fit_maps(one, other, maps, steps=4)
    # A rotated copy is blurred: seen from the original, which is blurred by the map, both agree better.
    back = fit_maps(other, one, inverses(maps), steps=2)
    found = np.maximum(agreement(one, other, maps, BLUR), agreement(other, one, back, BLUR))
    some = np.flatnonzero(found >= _WORTH_A_LOOK)
    if len(some):
        one, other, maps, back = one[some], other[some], maps[some], back[some]
        found[some[_is_simple(one, other, maps) | _is_simple(other, one, back)]] = 0
    return np.minimum(found, 1)


def _is_simple(pictures: Floats, targets: Floats, maps: Floats) -> NDArray[np.bool_]:
    """Pairs (n,) that agree in another way too: turned about the middle of their details by 45 or 180 degrees."""
    middle = centers(targets, BLUR)
    others = [agreement(pictures, targets, turned_about(maps, middle, angle), BLUR) for angle in (np.pi / 4, np.pi)]
    simple: NDArray[np.bool_] = np.maximum(*others) >= _SIMPLE
    return simple
