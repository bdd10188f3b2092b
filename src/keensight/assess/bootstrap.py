"""Bootstrap intervals (Efron 1979) of metrics that are not simple proportions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.assess.calibration import BINS, bin_of
from keensight.core.interval import Interval

LEVEL = 0.95
_REPEATS, _FEWEST, _WORK = 1000, 200, 2e10
"""Number of resamples, and the minimum for large sets."""
_CHUNK = 2_000_000
_NO_SPREAD = 1e-3
"""A resample whose error is a smaller fraction of that of the whole has no spread but rounding of float32."""
Array = NDArray[np.float64]


def intervals(
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    losses: Array,
    brier: Array,
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> dict[str, Interval]:
    """Intervals at 95% of ``loss``, ``brier``, ``ece``, ``macro_f1`` and ``weighted_f1``.

    Images are resampled within their class, as a split draws them; with groups, whole groups, within the class of
    their first image; classes with a single image or group are taken together. Means (loss, Brier) have bootstrap-t
    intervals, which account for skewness (Efron and Tibshirani 1993, chapter 12); F1 scores have percentile intervals.
    The calibration error is biased upwards on few images, and more so on a resample: it has the basic interval, which
    corrects that, with an upper side at least as long as the lower one; and it reaches down to 0 where images whose
    probabilities are right would often err as much (consistency resampling, Broecker and Smith 2007).

    Args:
        probabilities: Float (n, classes).
        targets: Class numbers (n,).
        losses: Cross-entropy of each image, (n,).
        brier: Brier score of each image, (n,).
        groups: Number of each image's group; None: all images are independent.
        seed: Random seed.
    """
    classes = probabilities.shape[1]
    columns = np.concatenate([_f1_terms(probabilities, targets), _gaps(probabilities, targets)], axis=1)
    center = (float(losses.mean()), float(brier.mean()))
    means = np.stack([losses - center[0], brier - center[1], np.ones(len(targets))], axis=1)
    unit, strata = _units(targets, groups)
    if groups is not None:
        columns, means = (_summed(table, unit) for table in (columns, means))
    table = np.concatenate([columns, means, _products(means)], axis=1)
    repeats = int(np.clip(_WORK / (len(strata) * table.shape[1]), _FEWEST, _REPEATS))
    sums = _resampled(table, strata, repeats, seed)
    whole = table.sum(axis=0, keepdims=True)
    method = _method(groups)
    size = 3 * classes + BINS
    loss, score = (_bootstrap_t(whole[:, size:], sums[:, size:], i, center[i]) for i in (0, 1))
    macro, weighted = _f1(sums[:, : 3 * classes], classes)
    macro_value, weighted_value = _f1(whole[:, : 3 * classes], classes)
    gap_value = float(_ece(whole, size)[0])
    gap_ends = _basic(gap_value, _ece(sums, size), _calibrated(probabilities, unit, repeats, seed))
    ends = {
        "loss": (loss, f"{method}, t"),
        "brier": (score, f"{method}, t"),
        "ece": ((gap_value, *gap_ends), f"{method}, basic, and consistency resampling"),
        "macro_f1": ((float(macro_value[0]), *_percentiles(macro)), f"{method}, percentiles"),
        "weighted_f1": ((float(weighted_value[0]), *_percentiles(weighted)), f"{method}, percentiles"),
    }
    return {name: _interval(*found, name, told) for name, (found, told) in ends.items()}


def mean_interval(
    values: Array, targets: NDArray[Any], groups: NDArray[np.int64] | None = None, seed: int = 0
) -> Interval:
    """The mean of one value per image, such as the change of its loss, with the bootstrap-t interval of
    :func:`intervals`.

    Args:
        values: Shape (n,).
        targets: Class numbers (n,), within which images are resampled.
        groups: Number of each image's group; None: all images are independent.
        seed: Random seed.
    """
    unit, strata = _units(targets, groups)
    center = float(values.mean())
    means = _summed(np.stack([values - center, np.zeros(len(values)), np.ones(len(values))], axis=1), unit)
    table = np.concatenate([means, _products(means)], axis=1)
    sums = _resampled(table, strata, _REPEATS, seed)
    value, low, high = _bootstrap_t(table.sum(axis=0, keepdims=True), sums, 0, center)
    return Interval(value, min(low, value), max(high, value), LEVEL, f"{_method(groups)}, t")


def _method(groups: NDArray[np.int64] | None) -> str:
    return "stratified bootstrap" if groups is None else "stratified bootstrap of groups"


def _units(targets: NDArray[Any], groups: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The units to resample: the unit of each image, (n,), and the class of each unit, that of its first image."""
    if groups is None:
        return np.arange(len(targets)), np.asarray(targets)
    first, unit = np.unique(groups, return_index=True, return_inverse=True)[1:]
    return unit.reshape(-1), np.asarray(targets)[first]


def _products(means: Array) -> Array:
    """Products of loss, Brier and 1, for the variances of ratios, (units, 5)."""
    return np.stack([means[:, i] * means[:, j] for i, j in ((0, 0), (0, 2), (1, 1), (1, 2), (2, 2))], axis=1)


_HIGHEST = {"loss": np.inf, "brier": 2.0}


def _interval(value: float, low: float, high: float, name: str, method: str) -> Interval:
    low, high = max(0.0, float(low)), min(_HIGHEST.get(name, 1.0), float(high))
    return Interval(value, min(low, value), max(high, value), LEVEL, method)


def _basic(value: float, draws: Array, calibrated: Array) -> tuple[float, float]:
    """Ends of the interval of a calibration error, from resamples and from perfectly calibrated images."""
    below, above = _percentiles(draws)
    low = max(0.0, 2 * value - above)
    high = max(2 * value - below, 2 * value - low)
    return (0.0 if value <= np.quantile(calibrated, LEVEL) else low), high


def _calibrated(probabilities: NDArray[Any], unit: NDArray[np.int64], repeats: int, seed: int) -> Array:
    """Calibration errors of the same images if they were perfectly calibrated; units are right or wrong together."""
    rng = np.random.default_rng(seed + 1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    places = np.zeros((len(unit), BINS), np.float32)
    places[np.arange(len(unit)), bin_of(confidence)] = 1
    found = []
    for done in range(0, repeats, max(1, _CHUNK // len(unit))):
        size = min(max(1, _CHUNK // len(unit)), repeats - done)
        drawn = rng.random((size, int(unit.max()) + 1))[:, unit] < confidence
        found.append(np.abs((drawn - confidence).astype(np.float32) @ places).sum(axis=1) / len(unit))
    return np.concatenate(found)


def _percentiles(draws: Array) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _f1_terms(probabilities: NDArray[Any], targets: NDArray[Any]) -> Array:
    """For each image and class: true positive, predicted, actual; shape (n, 3 classes)."""
    predicted, every = probabilities.argmax(axis=1), np.arange(probabilities.shape[1])
    called, held = predicted[:, None] == every, targets[:, None] == every
    return np.concatenate([called & held, called, held], axis=1).astype(np.float64)


def _gaps(probabilities: NDArray[Any], targets: NDArray[Any]) -> Array:
    """Correctness minus confidence, in the column of the image's bin; shape (n, bins)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    table = np.zeros((len(targets), BINS))
    table[np.arange(len(targets)), bin_of(confidence)] = (probabilities.argmax(axis=1) == targets) - confidence
    return table


def _summed(table: Array, unit: NDArray[np.int64]) -> Array:
    return np.stack([np.bincount(unit, weights=column) for column in table.T], axis=1)


def _resampled(table: Array, strata: NDArray[Any], repeats: int, seed: int) -> Array:
    """Sums of the table (units, k) over ``repeats`` resamples of its units within their strata, (repeats, k).

    Of m units in a stratum, m - 1 are drawn with weight m / (m - 1); drawing m would vary too little (Rao and Wu 1988).
    """
    rng = np.random.default_rng(seed)
    strata = _of_two(strata)
    order = np.argsort(strata, kind="stable")
    counts = np.unique(strata, return_counts=True)[1]
    begin = np.repeat(np.cumsum(counts) - counts, counts)  # of the stratum of each position
    width = np.repeat(counts, counts)
    n, drawing = len(strata), (np.arange(len(strata)) > begin) | (width == 1)
    sorted_table = (table[order] * (width / np.maximum(width - 1, 1))[:, None]).astype(np.float32)
    begin, width, found = begin[drawing], width[drawing], []
    for done in range(0, repeats, max(1, _CHUNK // n)):
        size = min(max(1, _CHUNK // n), repeats - done)
        drawn = begin + (rng.random((size, len(begin)), dtype=np.float32) * width).astype(np.int64)
        drawn = np.minimum(drawn, begin + width - 1) + n * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float32)
        found.append((weights @ sorted_table).astype(np.float64))
    return np.concatenate(found)


def _of_two(strata: NDArray[Any]) -> NDArray[np.int64]:
    """Strata of at least two units, because one has no variance: the smallest are joined until then."""
    names, place, counts = np.unique(strata, return_inverse=True, return_counts=True)
    order = np.argsort(counts, kind="stable")
    number, ranked = np.arange(len(names)), counts[order]
    if ranked[0] < 2:
        alone = int((ranked < 2).sum())
        number[order[: max(alone, 2)]] = number[order[0]]
    return number[place.reshape(-1)]


def _bootstrap_t(whole: Array, sums: Array, which: int, center: float) -> tuple[float, float, float]:
    """A ratio of sums, and its bootstrap-t interval; columns: loss, Brier, 1, then products of two of them.

    The first two are less ``center``, their mean: the variance of values that spread little would be lost in rounding.
    """

    def ratio(table: Array) -> tuple[Array, Array]:
        top, n = table[:, which], table[:, 2]
        square, cross, size = table[:, 3 + 2 * which], table[:, 4 + 2 * which], table[:, 7]
        mean = top / n
        variance = np.maximum(square - 2 * mean * cross + mean**2 * size, 0.0)
        return mean, np.sqrt(variance) / n

    (mean,), (error,) = ratio(whole)
    means, errors = ratio(sums)
    usable = errors > _NO_SPREAD * error
    if error == 0 or not usable.any():
        return float(mean + center), float(mean + center), float(mean + center)
    low, high = np.quantile((means[usable] - mean) / errors[usable], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    mean += center
    return float(mean), float(mean - high * error), float(mean - low * error)


def _f1(sums: Array, classes: int) -> tuple[Array, Array]:
    """Macro and weighted F1 of each row of sums; a class that neither occurs nor is predicted counts as 0."""
    both, called, held = sums[:, :classes], sums[:, classes : 2 * classes], sums[:, 2 * classes :]
    either = called + held
    f1 = np.where(either > 0, 2 * both / np.maximum(either, 1), 0.0)
    return f1.mean(axis=1), (f1 * held).sum(axis=1) / held.sum(axis=1)


def _ece(sums: Array, size: int) -> Array:
    found: Array = np.abs(sums[:, size - BINS : size]).sum(axis=1) / sums[:, size + 2]
    return found
