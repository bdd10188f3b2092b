"""Exact and near-duplicates of images, by their decoded pixels.

Each step passes fewer pairs to the next: nearest neighbors of thumbnails (:mod:`.candidates`), registration of the
thumbnails of each pair, registration of the images themselves (:mod:`.registration`). Rotated copies are searched for
separately (:mod:`.rotated`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from keensight.core.decoded import Pixels
from keensight.core.parallel import ordered, processors
from keensight.core.pixels import decode
from keensight.core.progress import Progress, Silent
from keensight.core.records import Dataset, ImageInfo
from keensight.data.audit.candidates import Candidates, candidates
from keensight.data.audit.chance import FRACTION, HIGHEST, STEP, above_chance, many, random_pairs
from keensight.data.audit.registration import WHOLE, Floats, correlation, details, fit_windows, resampling, windows_of
from keensight.data.audit.rotated import Rotated, find_rotated, upright_sizes
from keensight.data.pixels import scan
from keensight.data.units import joined
from keensight.errors import ImageError

Kind = Literal["exact", "near", "mirror", "rotated", "augmented"]
T = TypeVar("T", bound=Hashable)
R = TypeVar("R")

MEASURE = "correlation of the details of both images at 64 px after registration; 1 for equal pixels"
NEAR = 0.9
"""Minimum score of duplicates: 499 of 500 planted copies had more, other pairs of these sets at most 0.85."""
TINY = 32
"""Images with a shorter side of at most this (px) have too little detail to distinguish similar ones."""
NEAR_TINY = 0.98

_THUMB, _PICTURE = 32, 64
_LIKELY = 0.87
_MAYBE_EXACT = 0.99
_CHUNK, _BLOCK = 128, 2048
_ANGLES = 200
"""Ways to lay one image onto another by a rotation, mirrored or not, that differ by 2 px at the edge of 64."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two samples that are duplicates."""

    first: int
    """Index into ``Dataset.samples``, the smaller one."""
    second: int
    score: float
    """See :data:`MEASURE`."""
    kind: Kind
    """``exact``: the same pixels; ``near``: the same picture; ``mirror``: the same picture, mirrored;
    ``rotated``: the same picture at another angle, mirrored or not; ``augmented``: the same, and shifted, zoomed or
    sheared (:mod:`.augmented`)."""


@dataclass(frozen=True, slots=True)
class Copies:
    """What :func:`find_near_duplicates` found."""

    pairs: tuple[Pair, ...]
    threshold: float
    """Pairs of this set with at least this score count as duplicates."""


def find_near_duplicates(dataset: Dataset, pixels: Pixels, progress: Progress | None = None) -> Copies:
    """Find pairs of duplicates: the same pixels, or the same image resized, compressed, cropped, mirrored or rotated.

    Each of several duplicates is in a pair, but not every two of them: :func:`clusters` joins them. Exact
    copies are those whose files decode to the same pixels; the others are found by the decoded pixels. Images without
    contrast, or with lines in one direction only, are only compared for equality.

    Args:
        dataset: The image set.
        pixels: Its decoded images, stretched, such as its survey pixels.
        progress: Where to report.
    """
    progress = progress or Silent()
    rows = np.array([i for i in range(len(dataset)) if i not in pixels.errors], dtype=np.int64)
    if len(rows) < 2:
        return Copies((), NEAR)
    rows, pairs = _same_files(dataset, rows)
    (thumbs,) = scan(pixels, rows, [_thumbnails], purpose="preparing the search for duplicates", progress=progress)
    kept, same = _same_pixels(dataset, pixels, rows, thumbs)
    pairs += same
    rows, thumbs = rows[kept], _compacted(thumbs, kept)
    likely = _registered(thumbs, candidates(thumbs, progress), progress)
    one, other, mirrored, scores = _scored(pixels, rows, likely, progress)
    drawn = cache(lambda: _drawn_scores(pixels, rows, progress))

    def limit(scores: Floats, tries: int) -> float:
        least = threshold_of(scores, pixels)
        return above_chance(least, scores, drawn(), len(rows), tries) if many(scores, least, len(rows)) else least

    least = limit(scores, 1)
    pairs += [
        _pair(dataset, pixels, int(one[k]), int(other[k]), float(scores[k]), mirrored=bool(mirrored[k]))
        for k in np.flatnonzero(scores >= least)
    ]
    if min(pixels.shape[:2]) > TINY:  # a rotation blurs so few pixels beyond the threshold
        found = find_rotated(pixels, rows, upright_sizes(dataset, rows), thumbs, progress)
        pairs += _rotated(found, rows, pairs, max(least, limit(found.scores, _ANGLES)))
    return Copies(tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second))), least)


def _same_files(dataset: Dataset, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[Pair]]:
    """One row of each different file, by digest, and the pairs of the others with these.

    By digest, so that names and order of the files have no influence, and adding an image hardly any.
    """
    first: dict[str, int] = {}
    pairs: list[Pair] = []
    for row in rows.tolist():
        sample = dataset.samples[row]
        known = first.setdefault(sample.digest or f"path {sample.path}", row)
        if known != row:
            pairs.append(Pair(known, row, 1.0, "exact"))
    return np.array([first[digest] for digest in sorted(first)], dtype=np.int64), pairs


def threshold_of(scores: Floats, pixels: Pixels) -> float:
    """The score from which on pairs with these scores are duplicates."""
    return _threshold(scores, NEAR_TINY if min(pixels.shape[:2]) <= TINY else NEAR)


def _threshold(scores: Floats, least: float) -> float:
    """Choose the score at which at most one of these pairs, or 5% of them, is expected by chance.

    Different but similar images also have high scores, especially in sets of simple, similar images. Their number is
    estimated from the pairs between 0.8 and 0.9, where planted copies are rare, assuming that the number of chance
    pairs within a distance of 1 - score grows with its square; measured exponents were 1.3 on circuit boards, 1.9 on
    faces, 2.7 on traffic signs and 3.4 on digits.
    """
    band = int(((scores >= 0.8) & (scores < 0.9)).sum()) / (0.2**2 - 0.1**2)
    for candidate in np.arange(least, HIGHEST, STEP):
        if band * (1 - candidate) ** 2 <= max(1, FRACTION * int((scores >= candidate).sum())):
            return round(float(candidate), 4)
    return HIGHEST


def _drawn_scores(pixels: Pixels, rows: NDArray[np.int64], progress: Progress) -> Floats:
    """Scores of pairs drawn at random."""
    first, second = random_pairs(len(rows))
    whole = np.repeat(WHOLE[None], len(first), axis=0)
    return _scored(pixels, rows, Candidates(first, second, whole, np.zeros(len(first), np.bool_)), progress)[3]


def _rotated(found: Rotated, rows: NDArray[np.int64], known: Iterable[Pair], least: float) -> Iterator[Pair]:
    """Pairs of rotated copies that are not among the known ones."""
    told = {(pair.first, pair.second) for pair in known}
    best: dict[tuple[int, int], float] = {}
    ends = np.sort(np.stack([rows[found.first], rows[found.second]], axis=1), axis=1)
    for (first, second), score in zip(ends.tolist(), found.scores.tolist(), strict=True):
        pair = first, second
        if score >= least and pair not in told:
            best[pair] = max(score, best.get(pair, 0.0))
    return (Pair(first, second, score, "rotated") for (first, second), score in best.items())


def clusters(pairs: Iterable[Pair]) -> tuple[tuple[int, ...], ...]:
    """Connected groups of two or more samples, in the order of their first member."""
    found = list(pairs)
    members = sorted({i for pair in found for i in (pair.first, pair.second)})
    place = {i: number for number, i in enumerate(members)}
    component = joined(len(members), [(place[pair.first], place[pair.second]) for pair in found])
    return tuple(tuple(group) for group in _alike(members, lambda i: int(component[place[i]])))


def _alike(items: Iterable[int], key: Callable[[int], T]) -> list[list[int]]:
    groups: dict[T, list[int]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.values())


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Channel means, resampled, (n, side, side)."""
    n, height, width, _ = images.shape
    side = min(_THUMB, height, width)
    zero = np.zeros(1, np.float32)
    down, across = (resampling(length, side, zero, zero + 1)[0] for length in (height, width))
    narrow = images.reshape(n * height, width * 3).astype(np.float32) @ np.repeat(across.T / 3, 3, axis=0)
    thumbs: NDArray[np.uint8] = np.rint(np.matmul(down, narrow.reshape(n, height, side))).astype(np.uint8)
    return thumbs


def _pictures(pixels: Pixels, indices: NDArray[np.int64], side: int) -> Floats:
    gray = pixels.take(indices).astype(np.float32) @ np.full(3, 1 / 3, np.float32)
    return windows_of(gray, WHOLE[None], side)


def _same_pixels(
    dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64], thumbs: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], list[Pair]]:
    """Positions in ``rows`` of one image per content, and the pairs of the others with these."""
    kept = np.ones(len(rows), bool)
    pairs: list[Pair] = []
    for place in _repeated(thumbs):
        for group in _alike(place, lambda k: _pixel_digest(pixels, int(rows[k]))):
            kept[group[1:]] = False
            first = int(rows[group[0]])
            pairs += [_pair(dataset, pixels, first, int(rows[k]), 1.0, mirrored=False) for k in group[1:]]
    return np.flatnonzero(kept), pairs


def _compacted(thumbs: NDArray[np.uint8], kept: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Some thumbnails by their ascending positions, moved to the front of the same memory."""
    for begin in range(0, len(kept), _BLOCK):
        some = kept[begin : begin + _BLOCK]
        thumbs[begin : begin + len(some)] = thumbs[some]
    return thumbs[: len(kept)]


def _repeated(thumbs: NDArray[np.uint8]) -> list[list[int]]:
    """The positions of each thumbnail that occurs more than once."""
    sums = np.empty(len(thumbs), np.uint64)
    weights = np.random.default_rng(0).integers(1, 2**63, thumbs[0].size, dtype=np.uint64)
    # Equal thumbnails have equal sums, and nearly all others differ in theirs: few must be compared.
    for begin in range(0, len(thumbs), _BLOCK):
        some = thumbs[begin : begin + _BLOCK]
        sums[begin : begin + _BLOCK] = some.reshape(len(some), -1) @ weights
    _, number, count = np.unique(sums, return_inverse=True, return_counts=True)
    groups = _alike(np.flatnonzero(count[number] > 1).tolist(), lambda k: hashlib.sha256(thumbs[k].data).digest())
    return [group for group in groups if len(group) > 1]


def _pixel_digest(pixels: Pixels, row: int) -> bytes:
    return hashlib.sha256(pixels.take([row]).data).digest()


def _pair(dataset: Dataset, pixels: Pixels, one: int, other: int, score: float, *, mirrored: bool) -> Pair:
    first, second = sorted((one, other))
    if mirrored:
        return Pair(first, second, score, "mirror")
    exact = score >= _MAYBE_EXACT and _decode_alike(dataset, pixels, first, second)
    return Pair(first, second, 1.0 if exact else score, "exact" if exact else "near")


def _decode_alike(dataset: Dataset, pixels: Pixels, first: int, second: int) -> bool:
    """Whether both decode to the same pixels at their own size, on the intensity scale of the set."""
    one, other = (_upright(dataset.samples[i].info) for i in (first, second))
    if one != other or one is None:
        return False
    spec = pixels.spec
    if one == (spec.height, spec.width):  # decoded at that size already
        return np.array_equal(*pixels.take([first, second]))
    try:
        left, right = (decode(dataset.load(i), replace(spec, height=one[0], width=one[1])) for i in (first, second))
    except ImageError:  # removed since it was decoded
        return False
    return np.array_equal(left, right)


def _upright(info: ImageInfo | None) -> tuple[int, int] | None:
    if info is None:
        return None
    return (info.width, info.height) if info.orientation >= 5 else (info.height, info.width)


def _registered(thumbs: NDArray[np.uint8], found: Candidates, progress: Progress) -> Candidates:
    """The pairs whose thumbnails agree after registration."""
    if not len(found.first):
        return found

    def compare(some: slice) -> tuple[Floats, Floats]:
        first, second = (thumbs[rows[some]].astype(np.float32) for rows in (found.first, found.second))
        return _compare(first, second, found.windows[some], found.mirrored[some], steps=6)

    windows, kept = np.empty_like(found.windows), np.empty(len(found.first), bool)
    done = 0
    with progress.task("comparing similar images", len(found.first), "pairs") as task:
        for fitted, scores in _in_chunks(compare, len(found.first)):
            some = slice(done, done + len(scores))
            windows[some], kept[some] = fitted, scores >= _LIKELY
            done += len(scores)
            task.advance(len(scores))
    return Candidates(found.first[kept], found.second[kept], windows[kept], found.mirrored[kept])


def _in_chunks(work: Callable[[slice], R], n: int) -> Iterator[R]:
    """Results for a few pairs at a time, in order, computed in several threads."""
    chunks = [slice(begin, min(begin + _CHUNK, n)) for begin in range(0, n, _CHUNK)]
    with closing(ordered(work, chunks, processors())) as results:
        yield from results


def _compare(
    first: Floats, second: Floats, windows: Floats, mirrored: NDArray[np.bool_], steps: int
) -> tuple[Floats, Floats]:
    """Windows of ``first`` that match ``second``, and their scores."""
    side = second.shape[1]
    turned = np.where(mirrored[:, None, None], first[:, :, ::-1], first)
    windows = fit_windows(turned, second, windows, steps)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    seen, shown = (details(each, _BLUR)[inside] for each in (windows_of(turned, windows, side), second))
    return windows, correlation(seen, shown)


_BLUR = 2.0
"""Standard deviation in pixels of the blur that is subtracted before images are compared."""


def _scored(
    pixels: Pixels, rows: NDArray[np.int64], found: Candidates, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], Floats]:
    """Pairs of dataset indices, whether one is mirrored, and the score: the better one of the two directions."""
    side = min(_PICTURE, *pixels.shape[:2])
    one, other = rows[found.first], rows[found.second]

    def compare(some: slice) -> Floats:
        first, second = (_pictures(pixels, indices[some], side) for indices in (one, other))
        return _compare(first, second, found.windows[some], found.mirrored[some], steps=6)[1]

    parts = [np.zeros(0, np.float32)]
    with progress.task("confirming duplicates", len(one), "pairs") as task:
        for part in _in_chunks(compare, len(one)):
            parts.append(part)
            task.advance(len(part))
    scores = np.minimum(np.concatenate(parts), 1)
    low, high = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((-scores, high, low))
    new = (np.diff(low[order], prepend=-1) != 0) | (np.diff(high[order], prepend=-1) != 0)
    best = order[new]
    return low[best], high[best], found.mirrored[best], scores[best]
