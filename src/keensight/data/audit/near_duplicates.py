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
from keensight.core.records import Dataset, ImageInfo, ImageSpec
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
_CHUNK = 128
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
    digests = [sample.digest or f"path {sample.path}" for sample in dataset.samples]
    files = _alike(rows.tolist(), digests.__getitem__)
    pairs = [Pair(one[0], other, 1.0, "exact") for one in files for other in one[1:]]
    # By digest, so that names and order of the files have no influence, and adding an image hardly any.
    rows = np.array(sorted((one[0] for one in files), key=digests.__getitem__), dtype=np.int64)
    (thumbs,) = scan(pixels, rows, [_thumbnails], purpose="preparing the search for duplicates", progress=progress)
    kept, same = _same_pixels(dataset, pixels, rows, thumbs)
    pairs += same
    likely = _registered(thumbs[kept], candidates(thumbs[kept], progress))
    one, other, mirrored, scores = _scored(pixels, rows[kept], likely, progress)
    drawn = cache(lambda: _drawn_scores(pixels, rows[kept], progress))

    def limit(scores: Floats, tries: int) -> float:
        least = threshold_of(scores, pixels)
        return above_chance(least, scores, drawn(), len(kept), tries) if many(scores, least, len(kept)) else least

    least = limit(scores, 1)
    pairs += [
        _pair(dataset, pixels.spec, int(one[k]), int(other[k]), float(scores[k]), mirrored=bool(mirrored[k]))
        for k in np.flatnonzero(scores >= least)
    ]
    if min(pixels.shape[:2]) > TINY:  # a rotation blurs so few pixels beyond the threshold
        found = find_rotated(pixels, rows[kept], upright_sizes(dataset, rows[kept]), thumbs[kept], progress)
        pairs += _rotated(found, rows[kept], pairs, max(least, limit(found.scores, _ANGLES)))
    return Copies(tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second))), least)


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
    kept: list[int] = []
    pairs: list[Pair] = []
    for place in _alike(range(len(rows)), lambda k: hashlib.sha256(thumbs[k].data).digest()):
        groups = [place] if len(place) == 1 else _alike(place, lambda k: _pixel_digest(pixels, int(rows[k])))
        for group in groups:
            kept.append(group[0])
            first = int(rows[group[0]])
            pairs += [_pair(dataset, pixels.spec, first, int(rows[k]), 1.0, mirrored=False) for k in group[1:]]
    return np.array(sorted(kept), dtype=np.int64), pairs


def _pixel_digest(pixels: Pixels, row: int) -> bytes:
    return hashlib.sha256(pixels.take([row]).data).digest()


def _pair(dataset: Dataset, spec: ImageSpec, one: int, other: int, score: float, *, mirrored: bool) -> Pair:
    first, second = sorted((one, other))
    if mirrored:
        return Pair(first, second, score, "mirror")
    exact = score >= _MAYBE_EXACT and _decode_alike(dataset, spec, first, second)
    return Pair(first, second, 1.0 if exact else score, "exact" if exact else "near")


def _decode_alike(dataset: Dataset, spec: ImageSpec, first: int, second: int) -> bool:
    """Whether both decode to the same pixels at their own size, on the intensity scale of the set."""
    one, other = (_upright(dataset.samples[i].info) for i in (first, second))
    if one != other or one is None:
        return False
    try:
        left, right = (decode(dataset.load(i), replace(spec, height=one[0], width=one[1])) for i in (first, second))
    except ImageError:  # removed since it was decoded
        return False
    return np.array_equal(left, right)


def _upright(info: ImageInfo | None) -> tuple[int, int] | None:
    if info is None:
        return None
    return (info.width, info.height) if info.orientation >= 5 else (info.height, info.width)


def _registered(thumbs: NDArray[np.uint8], found: Candidates) -> Candidates:
    """The pairs whose thumbnails agree after registration."""
    if not len(found.first):
        return found

    def compare(some: slice) -> tuple[Floats, Floats]:
        first, second = (thumbs[rows[some]].astype(np.float32) for rows in (found.first, found.second))
        return _compare(first, second, found.windows[some], found.mirrored[some], steps=6)

    fitted, scores = zip(*_in_chunks(compare, len(found.first)), strict=True)
    windows, kept = np.concatenate(fitted), np.concatenate(scores) >= _LIKELY
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
