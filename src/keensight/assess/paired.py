"""Paired comparison of two models on the same images.

Accuracies are compared by McNemar's exact test (McNemar 1947): only images on which one model is right and the other
wrong count, and if neither is better, each of these is a fair coin flip. The interval of the difference is Newcombe's
(1998, Statistics in Medicine 17, method 10). If images come in groups (patient, track), whole groups are flipped
instead of images, and resampled for the interval. Macro F1 and loss have a paired bootstrap: both models on the same
resampled images.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from keensight.assess.calibration import cross_entropies
from keensight.assess.intervals import wilson
from keensight.core.interval import Interval

RESAMPLES = 2000
FLIPS = 10_000
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p-value of McNemar's exact test.

    Args:
        only_first: Number of images that only the first model classifies correctly.
        only_second: Number of images that only the second does.
    """
    from scipy.stats import binomtest

    disagree = only_first + only_second
    return float(binomtest(only_first, disagree).pvalue) if disagree else 1.0


def flip_groups(first: Bools, second: Bools, groups: NDArray[np.int64], seed: int = 0) -> float:
    """Two-sided p-value of a sign-flip test of whole groups, from ``FLIPS`` random flips.

    Args:
        first: Which images the first model classifies correctly, shape (n,).
        second: The same of the second.
        groups: Number of each image's group, shape (n,).
        seed: Random seed.
    """
    gains = np.bincount(groups, weights=second.astype(float) - first.astype(float))
    gains = gains[gains != 0]
    signs = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), (FLIPS, len(gains)))
    extreme = np.abs(signs @ gains) >= abs(gains.sum()) - 1e-9
    return float((extreme.sum() + 1) / (FLIPS + 1))


def difference(first: Bools, second: Bools) -> Interval:
    """Difference of accuracy, second minus first, on the same independent images, with Newcombe's interval."""
    n = len(first)
    a, b = wilson(int(second.sum()), n), wilson(int(first.sum()), n)
    both = int((first & second).sum())
    neither = int((~first & ~second).sum())
    only_second, only_first = int((second & ~first).sum()), int((first & ~second).sum())
    margins = (both + only_second) * (only_first + neither) * (both + only_first) * (only_second + neither)
    product = float(both * neither - only_second * only_first)
    if product > 0:
        product = max(product - n / 2, 0.0)  # Newcombe's continuity correction
    phi = product / math.sqrt(margins) if margins else 0.0
    gain = a.value - b.value
    below = _joined(a.value - a.low, b.high - b.value, phi)
    above = _joined(b.value - b.low, a.high - a.value, phi)
    return Interval(gain, gain - below, gain + above, a.level, "Newcombe")


def group_difference(first: Bools, second: Bools, groups: NDArray[np.int64], *, seed: int = 0) -> Interval:
    """Difference of accuracy, second minus first, with a percentile interval over resampled groups.

    Args:
        first: Which images the first model classifies correctly, shape (n,).
        second: The same of the second.
        groups: Number of each image's group, shape (n,).
        seed: Random seed.
    """
    gains = np.bincount(groups, weights=second.astype(float) - first.astype(float))
    sizes = np.bincount(groups).astype(float)
    units = len(sizes)
    weights = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), RESAMPLES).astype(np.float64)
    draws = (weights @ gains) / (weights @ sizes)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(float(gains.sum() / len(first)), float(low), float(high), 0.95, "paired bootstrap of groups")


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))


def bootstrap(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    targets: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Differences of ``accuracy``, ``macro_f1`` and ``loss``, second minus first, with percentile intervals.

    Args:
        first: Probabilities of the first model, shape (n, classes).
        second: Those of the second.
        targets: Class numbers, shape (n,).
        groups: Number of each image's group; None: each image stands for itself.
        level: Fraction of the resamples between the ends of an interval.
        seed: Random seed.
    """
    tables = [_columns(first, targets), _columns(second, targets)]
    classes = first.shape[1]
    measured = [_figures(table.sum(axis=0)[None], classes) for table in tables]
    if groups is not None:
        tables = [np.stack([np.bincount(groups, weights=column) for column in table.T], axis=1) for table in tables]
    units = len(tables[0])
    weights = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), RESAMPLES).astype(np.float64)
    draws = [_figures(weights @ table, classes) for table in tables]
    method = "paired bootstrap" if groups is None else "paired bootstrap of groups"
    found = {}
    for name in measured[0]:
        gain = float((measured[1][name] - measured[0][name])[0])
        low, high = np.quantile(draws[1][name] - draws[0][name], [(1 - level) / 2, (1 + level) / 2])
        found[name] = Interval(gain, float(low), float(high), level, method)
    return found


def _columns(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> Floats:
    """The terms of all metrics, one row per image: 1, loss, and by class hits, predictions and images."""
    n, classes = probabilities.shape
    predicted, one = probabilities.argmax(axis=1), np.eye(classes)
    loss = cross_entropies(probabilities, targets)
    hits = one[targets] * (predicted == targets)[:, None]
    return np.concatenate([np.ones((n, 1)), loss[:, None], hits, one[predicted], one[targets]], axis=1)


def _figures(sums: Floats, classes: int) -> dict[str, Floats]:
    n, loss = sums[:, 0], sums[:, 1]
    hits, predicted, images = np.split(sums[:, 2:], [classes, 2 * classes], axis=1)
    f1 = 2 * hits / np.maximum(predicted + images, 1)
    return {"accuracy": hits.sum(axis=1) / n, "macro_f1": f1.mean(axis=1), "loss": loss / n}
