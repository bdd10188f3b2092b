"""Linear discriminant analysis of frozen features, which the classifier head averages with logistic regression.

Both are linear, so their average is, too, and costs nothing in use. One fits the boundary between classes, the other
their means and common covariance: their errors differ, and the average has fewer, most of all with many classes and few
images of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keensight.nets.training.linear_head import Floats, Head, score, standardization

FOLDS = 10
"""Of its cross-validation. An analysis of 80% of the images is so much worse than one of all that its logits, and so
the confidence of the average, would count for too little; each fold costs one system of equations."""
_SHRINKAGE = 0.1
"""Fraction of the covariance that is replaced by a multiple of the identity (Friedman 1989). On the 12 sets that chose
it, values from 0.01 to 0.3 gain as much."""
_REACH, _DEVIATION = 3.0, 0.5
"""Of the natural logarithm of the factor that the logits are scaled with, from where they are spread as widely as those
of the regression: the most, and the standard deviation of its prior."""
_CHUNK = 8192


def fit_discriminant(
    features: Floats,
    targets: NDArray[np.int64],
    classes: int,
    *,
    levels: Sequence[int] = (),
    weights: Floats | None = None,
) -> Head:
    """Fit class means, frequencies and one shrunk covariance to standardized features.

    Args:
        features: Float32 (n, d).
        targets: Class numbers, shape (n,).
        classes: Number of classes.
        levels: How many features each level of the network gives, in order; default: one level.
        weights: One weight an image, shape (n,) or (n, 1).

    Example:
        >>> rows = np.array([[0.0, 1.0], [1.0, 0.0], [4.0, 5.0], [5.0, 4.0]], np.float32)
        >>> fit_discriminant(rows, np.array([0, 0, 1, 1]), 2).logits(rows).argmax(axis=1)
        array([0, 0, 1, 1])
    """
    mean, scale = standardization(features, levels)
    head = _Moments.of((features - mean) * scale, targets, classes, _each(weights, len(targets))).head()
    kernel = head.kernel * scale[:, None]
    return Head(kernel, (head.bias - mean @ kernel).astype(np.float32))


def out_of_fold(
    features: Floats,
    targets: NDArray[np.int64],
    classes: int,
    *,
    fold: NDArray[np.int64],
    levels: Sequence[int] = (),
    weights: Floats | None = None,
) -> Floats:
    """Logits of every image, (n, classes), by an analysis that was fitted without its fold.

    Args:
        features: Float32 (n, d).
        targets: Class numbers, shape (n,).
        classes: Number of classes.
        fold: Shape (n,): the fold of each image.
        levels: How many features each level of the network gives, in order; default: one level.
        weights: One weight an image, shape (n,) or (n, 1).
    """
    mean, scale = standardization(features, levels)
    rows, counted = (features - mean) * scale, _each(weights, len(targets))
    whole = _Moments.of(rows, targets, classes, counted)
    logits = np.zeros((len(targets), classes), np.float32)
    for held in (fold == number for number in np.unique(fold)):
        rest = whole.without(_Moments.of(rows[held], targets[held], classes, counted[held]))
        logits[held] = rest.head().logits(rows[held])
    return logits


def calibrating_scale(logits: Floats, like: Floats, targets: NDArray[np.int64]) -> float:
    """The most probable factor of logits (n, classes): an inverse temperature, whose logarithm has a normal prior.

    Its mean spreads them as widely as those of another model, ``like``, which are calibrated. Without it, the factor
    would have no limit where all images are classified correctly.
    """
    from scipy.optimize import minimize_scalar

    middle = float(np.log(_spread(like) / _spread(logits)))

    def cost(point: float) -> float:
        loss = score((logits * np.exp(point)).astype(np.float32), targets)[0]
        return len(targets) * loss + ((point - middle) / _DEVIATION) ** 2 / 2

    bounds = middle - _REACH, middle + _REACH
    return float(np.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x))


def _spread(logits: Floats) -> float:
    return float((logits - logits.mean(axis=1, keepdims=True)).std()) + 1e-6


def _each(weights: Floats | None, n: int) -> Floats:
    return np.ones(n, np.float32) if weights is None else weights.reshape(n)


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Weighted sums over images."""

    counts: NDArray[np.float64]
    """Shape (classes,)."""
    sums: NDArray[np.float64]
    """Of the features, (classes, d)."""
    products: NDArray[np.float64]
    """Of pairs of features, (d, d)."""

    @classmethod
    def of(cls, rows: Floats, targets: NDArray[np.int64], classes: int, weights: Floats) -> _Moments:
        width = rows.shape[1]
        counts, sums, products = np.zeros(classes), np.zeros((classes, width)), np.zeros((width, width))
        for begin in range(0, len(rows), _CHUNK):
            part, own, weight = (table[begin : begin + _CHUNK] for table in (rows, targets, weights))
            member = np.eye(classes, dtype=np.float32)[own] * weight[:, None]
            counts += member.sum(axis=0)
            sums += member.T @ part
            products += (part * weight[:, None]).T @ part
        return cls(counts, sums, products)

    def without(self, other: _Moments) -> _Moments:
        return _Moments(self.counts - other.counts, self.sums - other.sums, self.products - other.products)

    def head(self) -> Head:
        from scipy.linalg import solve

        total, width = self.counts.sum(), len(self.products)
        means = self.sums / np.maximum(self.counts, 1e-12)[:, None]
        covariance = (self.products - self.sums.T @ means) / total
        ridge = _SHRINKAGE * np.trace(covariance) / width + 1e-12
        shrunk = (1 - _SHRINKAGE) * covariance + ridge * np.eye(width)
        kernel = solve(shrunk, means.T, assume_a="pos", check_finite=False)
        frequency = np.maximum(self.counts, 0.5) / total
        bias = np.log(frequency) - (means.T * kernel).sum(axis=0) / 2
        return Head(kernel.astype(np.float32), bias.astype(np.float32))
