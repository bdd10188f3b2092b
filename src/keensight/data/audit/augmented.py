"""Augmented copies: pairs of images that are neighbors by a network's features, confirmed by registration.

Augmentation rotates, shifts, zooms, shears and flips at once, and changes the brightness. A pretrained network's
features change little by that, so copies of one original are neighbors. Whether neighbors are copies is decided by
their pixels (:mod:`.rotation`): images that merely look alike are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from keensight.core.decoded import Pixels
from keensight.core.parallel import ordered, processors
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.data.audit.candidates import CONTRAST
from keensight.data.audit.chance import above_chance, many, random_pairs
from keensight.data.audit.near_duplicates import Copies, Pair, threshold_of
from keensight.data.audit.registration import Floats
from keensight.data.audit.rotated import BLUR, LARGE, LIKELY, SMALL, confirmed, upright_sizes
from keensight.data.audit.rotation import (
    agreement,
    angles_between,
    distinctive,
    fit_maps,
    power_spectra,
    shifted,
    spectra,
    squares_of,
    turns,
)

SAMPLE = 300
"""Images that are looked at first."""
FEW, MANY = 0.03, 0.3
"""Fractions of these with a copy: up to the first no others are looked at; from the second on the set is an augmented
one, and more neighbors are."""
_EACH, _MORE = 1, 4
"""Neighbors that are compared with each image, and with each of an augmented set."""
_FLOOR = 0.1
"""Least deviation of a feature, as a fraction of the median one."""
_BLOCK, _CHUNK = 512, 128
_COMPARED = 2**26
"""Cosines of features that are in memory at a time."""
_STARTS = 2
"""Registrations that are tried for a pair, of the six that spectra and hands suggest."""


def find_augmented(
    dataset: Dataset,
    pixels: Pixels,
    rows: NDArray[np.int64],
    features: Floats,
    units: NDArray[np.int64],
    progress: Progress,
) -> Copies:
    """Pairs of images of different units that show the same picture after an affine map.

    Args:
        dataset: The image set.
        pixels: Its decoded images, stretched, such as its survey pixels.
        rows: Dataset indices of the images, shape (n,), in an order that is unrelated to their content.
        features: A network's features of these, shape (n, d).
        units: What is known to belong together (groups, duplicates), a number for each, shape (n,).
        progress: Where to report.

    Returns:
        The pairs; none, if of the first 300 images at most 3% have a copy.
    """
    space = _standardized(features)
    every = np.arange(len(rows))
    first, second = _neighbors(space, units, every[:SAMPLE], _EACH)
    scores = _registered(dataset, pixels, rows, first, second, progress)
    least = threshold_of(scores, pixels)
    hit = np.isin(every[:SAMPLE], np.concatenate([first[scores >= least], second[scores >= least]])).mean()
    if hit <= FEW:
        return Copies((), least)
    first, second = _neighbors(space, units, every, _MORE if hit >= MANY else _EACH)
    scores = _registered(dataset, pixels, rows, first, second, progress)
    least = threshold_of(scores, pixels)
    if many(scores, least, len(rows)):
        drawn = _registered(dataset, pixels, rows, *random_pairs(len(rows)), progress)
        least = above_chance(least, scores, drawn, len(rows))
    return Copies(tuple(_pairs(rows[first], rows[second], scores, least)), least)


def _pairs(first: NDArray[np.int64], second: NDArray[np.int64], scores: Floats, least: float) -> Iterator[Pair]:
    best: dict[tuple[int, int], float] = {}
    for one, other, score in zip(first.tolist(), second.tolist(), scores.tolist(), strict=True):
        pair = min(one, other), max(one, other)
        if score >= least:
            best[pair] = max(score, best.get(pair, 0.0))
    return (Pair(*pair, score, "augmented") for pair, score in sorted(best.items()))


def _standardized(features: Floats) -> Floats:
    """Unit vectors of standardized features; one that hardly varies is not blown up."""
    centered = features - features.mean(axis=0)
    spread = centered.std(axis=0)
    centered /= spread + _FLOOR * np.median(spread) + 1e-9
    unit: Floats = centered / (np.linalg.norm(centered, axis=1, keepdims=True) + 1e-9)
    return unit


def _neighbors(
    space: Floats, units: NDArray[np.int64], asked: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The nearest images of other units for each image asked for, as pairs without repetition."""
    found = [np.zeros((0, 2), np.int64)]
    count = min(count, len(space) - 1)
    rows = max(1, min(_BLOCK, _COMPARED // len(space)))
    for begin in range(0, len(asked), rows):
        some = asked[begin : begin + rows]
        alike = space[some] @ space.T
        alike[units[some][:, None] == units] = -2
        best = np.argpartition(alike, -count, axis=1)[:, -count:]
        told = np.take_along_axis(alike, best, axis=1) > 0
        found.append(np.stack([np.repeat(some, count), best.ravel()], axis=1)[told.ravel()])
    first, second = np.unique(np.sort(np.concatenate(found), axis=1), axis=0).T
    return first, second


def _registered(
    dataset: Dataset,
    pixels: Pixels,
    rows: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    progress: Progress,
) -> Floats:
    """The agreement (n,) of pairs after registration; 0 where it was ruled out early."""

    def compare(some: slice) -> Floats:
        ends = rows[first[some]], rows[second[some]]
        one, other = (_squares(dataset, pixels, end, SMALL) for end in ends)
        maps, alike = _best_maps(one, other)
        likely = np.flatnonzero((alike >= LIKELY) & distinctive(one, CONTRAST) & distinctive(other, CONTRAST))
        scores = np.zeros(len(one), np.float32)
        if len(likely):
            one, other = (_squares(dataset, pixels, end[likely], LARGE) for end in ends)
            scores[likely] = confirmed(one, other, maps[likely])
        return scores

    found = [np.zeros(0, np.float32)]
    chunks = [slice(begin, begin + _CHUNK) for begin in range(0, len(first), _CHUNK)]
    with (
        progress.task("confirming augmented copies", len(first), "pairs") as task,
        closing(ordered(compare, chunks, processors())) as results,
    ):
        for scores in results:
            found.append(scores)
            task.advance(len(scores))
    return np.concatenate(found)


def _squares(dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64], side: int) -> Floats:
    gray = pixels.take(rows).astype(np.float32) @ np.full(3, 1 / 3, np.float32)
    return squares_of(gray, upright_sizes(dataset, rows), side)


def _best_maps(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """The affine map (n, 2, 3) by which each pair agrees best, and how well (n,): of several starts the strongest are
    fitted."""
    starts = [shifted(one, other, maps) for maps in _starts(one, other)]
    strength = np.stack([each for _, each in starts])
    order, pair = np.argsort(-strength, axis=0, kind="stable"), np.arange(len(one))
    best, reached = np.stack([maps for maps, _ in starts]), np.zeros(len(one), np.float32)
    result = best[order[0], pair]
    for place in order[:_STARTS]:
        maps = fit_maps(one, other, best[place, pair], steps=8)
        found = agreement(one, other, maps, BLUR)
        better = found > reached
        result[better], reached[better] = maps[better], found[better]
    return result, reached


def _starts(one: Floats, other: Floats) -> Iterator[Floats]:
    """Rotations of either hand that rings and power spectra suggest; the latter leave two opposite angles."""
    rings, powers = (spectra(one), spectra(other)), (power_spectra(one), power_spectra(other))
    for hand in (False, True):
        mirrored = np.full(len(one), hand)
        angles, _ = angles_between(rings[0], rings[1], mirrored)
        yield turns(angles, mirrored)
        angles, _ = angles_between(powers[0], powers[1], mirrored)
        yield turns(angles, mirrored)
        yield turns(angles + np.float32(np.pi), mirrored)
