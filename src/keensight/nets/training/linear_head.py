"""The classifier head: logistic regression on frozen features, folded into the network's last layer. Multinomial for
one class per image; one regression per label, with the same regularization, for multi-label sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.folds import deal
from keensight.core.progress import Progress, Silent
from keensight.nets.runtime import framework
from keensight.nets.training.losses import objective_of
from keensight.nets.training.losses import rows as target_rows

if TYPE_CHECKING:
    import keras

FOLDS = 5
_FIRST, _LEAST, _MOST = 1e-2, 1e-6, 1e4
"""Inverse regularization strengths: start and bounds of the search."""
_TRIES = 8
"""Expected number of strengths tried: some tenfold steps, and two around the best."""
_GROUP = 300.0
_FLOOR = 0.2
"""A feature's deviation counts as at least this fraction of the median one of its level."""
_STEPS = 500
_ROUGH, _FINE = 1e-6, 1e-7
"""Relative tolerance of the loss at which a fit ends: for comparing strengths, and for the final fit."""
_VARIANCE = 0.95

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A dense layer from features to logits."""

    kernel: Floats
    """Shape (features, classes)."""
    bias: Floats

    def logits(self, features: Floats) -> Floats:
        """Logits, shape (n, classes)."""
        found: Floats = features @ self.kernel + self.bias
        return found

    def averaged(self, other: Head, scale: float) -> Head:
        """The head whose logits are the mean of these and ``scale`` times those of another head."""
        return Head(averaged(self.kernel, other.kernel, scale), averaged(self.bias, other.bias, scale))


def averaged(one: Floats, other: Floats, scale: float) -> Floats:
    """The mean of some logits, or of what gives them, and ``scale`` times others."""
    mean: Floats = np.float32(0.5) * one + np.float32(scale / 2) * other
    return mean


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The regularization with the lowest cross-validated loss."""

    strength: float
    """Inverse L2 regularization strength (scikit-learn's ``C``), per image."""
    logits: Floats
    """Logits of every image by a head that was fitted without its fold, shape (n, classes)."""
    loss: float
    """Their mean loss, in nats."""
    discriminant: float = 0.0
    """Factor of the logits of a discriminant analysis that the head is averaged with; 0: it is not."""


def deal_folds(targets: NDArray[Any], units: NDArray[np.int64], folds: int = FOLDS) -> NDArray[np.int64]:
    """The fold of each image in a cross-validation, (n,), with each class or set of labels spread evenly; units stay
    whole, unless there is only one."""
    strata = targets if targets.ndim == 1 else np.unique(targets, axis=0, return_inverse=True)[1].reshape(-1)
    alike = len(np.unique(units)) == 1
    return deal(strata.astype(np.int64), np.arange(len(units)) if alike else units, folds)


def choose_strength(  # noqa: PLR0913 - arrays by keyword
    features: Floats,
    targets: NDArray[Any],
    classes: int,
    *,
    units: NDArray[np.int64],
    levels: Sequence[int] = (),
    weights: Floats | None = None,
    fold: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> Chosen:
    """Choose the regularization by the loss of a 5-fold cross-validation, or of ``fold``.

    The search goes by factors of ten from 0.01 until the loss rises, upwards and then, if that did not help,
    downwards; finally it tries both sides of the best. The folds' heads are fitted together, on the principal axes of
    the features, and each from its solution at the strength before.

    Args:
        features: Float32 (n, d).
        targets: Class numbers, shape (n,), or labels as 0 and 1, (n, classes).
        classes: Number of classes.
        units: Shape (n,): images with the same number are in one fold.
        levels: How many features each level of the network gives, in order; default: one level.
        weights: One weight an image, shape (n,) or (n, 1), or one an image and label, (n, classes).
        fold: Shape (n,): the fold of each image, from 0; -1: it is never held out. None: 5 folds.
        progress: Where to report.

    Returns:
        The best strength and its out-of-fold logits; those of images that are never held out are 0.
    """
    if fold is None:
        fold = deal_folds(targets, units)
    folds, out = int(fold.max()) + 1, fold >= 0
    mean, scale = standardization(features, levels)
    inputs = (features - mean) * scale
    inputs = inputs @ principal_axes(inputs)
    counted = np.ones((len(targets), 1), np.float32) if weights is None else weights.reshape(len(targets), -1)
    held = fold[:, None] == np.arange(folds)
    solve = _solver(inputs, targets, classes, np.where(held[..., None], 0, counted[:, None, :]))
    points: dict[float, NDArray[np.float64]] = {}
    found: dict[float, Chosen] = {}

    with (progress or Silent()).task("fitting the classifier head", _TRIES, "settings") as task:

        def attempt(strength: float, start: float | None) -> None:
            points[strength] = solve(strength, None if start is None else points[start], _ROUGH)
            heads = _kernels(points[strength], folds, classes)
            logits = np.zeros((len(targets), classes), np.float32)
            for number, (kernel, bias) in enumerate(heads):
                logits[fold == number] = inputs[fold == number] @ kernel + bias
            found[strength] = Chosen(strength, logits, score(logits[out], targets[out])[0])
            task.advance(int(len(found) <= _TRIES), f"loss {found[strength].loss:.3f}")

        _search(attempt, found)
        task.advance(max(_TRIES - len(found), 0))
    return _best(found)


def fit_head(
    features: Floats,
    targets: NDArray[Any],
    classes: int,
    strength: float,
    *,
    levels: Sequence[int] = (),
    weights: Floats | None = None,
) -> Head:
    """Fit the head to convergence (L-BFGS).

    Features are standardized, so that one regularization fits all, and each level of the network has the same weight in
    it, whatever its number of features; kernel and bias undo both.

    Args:
        features: Float32 (n, d).
        targets: Class numbers, shape (n,), or labels as 0 and 1, (n, classes).
        classes: Number of classes.
        strength: Inverse regularization strength.
        levels: How many features each level of the network gives, in order; default: one level.
        weights: One weight an image, shape (n,) or (n, 1), or one an image and label, (n, classes).
    """
    mean, scale = standardization(features, levels)
    counted = np.ones((len(targets), 1), np.float32) if weights is None else weights.reshape(len(targets), -1)
    point = _solver((features - mean) * scale, targets, classes, counted[:, None, :])(strength, None, _FINE)
    [(kernel, bias)] = _kernels(point, 1, classes)
    kernel = kernel * scale[:, None]
    return Head(kernel, (bias - mean @ kernel).astype(np.float32))


def standardization(features: Floats, levels: Sequence[int]) -> tuple[Floats, Floats]:
    """Mean and factor, each (d,), that standardize features (n, d) and give each level the same weight.

    A feature that hardly varies would get a kernel thousands of times the others': noise in it, another camera or
    8-bit weights would then decide.
    """
    sizes = np.array(levels or [features.shape[1]])
    deviation = features.std(axis=0)
    least = [_FLOOR * np.median(level) for level in np.split(deviation, np.cumsum(sizes)[:-1])]
    deviation = np.maximum(deviation, np.repeat(least, sizes)) + 1e-6
    return features.mean(axis=0), (1.0 / (deviation * np.repeat(np.sqrt(sizes / _GROUP), sizes))).astype(np.float32)


def _search(attempt: Callable[[float, float | None], None], found: Mapping[float, Chosen]) -> None:
    """Try strengths, each starting from the previous solution, until the best is between two others."""
    attempt(_FIRST, None)
    for factor in (10.0, 0.1):
        strength = _FIRST
        while _best(found).strength == strength and _LEAST < strength < _MOST:
            strength, before = strength * factor, strength
            attempt(strength, before)
    best = _best(found).strength
    for strength in (best / 10**0.5, best * 10**0.5):
        attempt(strength, best)


def principal_axes(rows: Floats) -> Floats:
    """Directions (d, r) that hold 95% of the variance of centered rows (n, d).

    They cut the time of comparing strengths to a fraction; the smaller one of the two Gram matrices gives them.
    """
    from scipy.linalg import eigh

    wide = len(rows) < rows.shape[1]
    gram = rows @ rows.T if wide else rows.T @ rows
    variances, vectors = eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
    shares = np.cumsum(variances[::-1]) / variances.sum()
    count = int(np.searchsorted(shares, _VARIANCE)) + 1
    kept = vectors[:, ::-1][:, :count]
    axes: Floats = rows.T @ (kept / np.sqrt(variances[::-1][:count])) if wide else kept
    return axes.astype(np.float32)


def _best(found: Mapping[float, Chosen]) -> Chosen:
    return min(found.values(), key=lambda one: one.loss)


def _kernels(point: NDArray[np.float64], heads: int, classes: int) -> list[tuple[Floats, Floats]]:
    """Kernel (d, classes) and bias (classes,) of each head of a solution."""
    columns = heads * classes
    kernels = point[:-columns].reshape(-1, heads, classes).astype(np.float32)
    biases = point[-columns:].reshape(heads, classes).astype(np.float32)
    return [(kernels[:, number], biases[number]) for number in range(heads)]


def _solver(
    features: NDArray[Any], targets: NDArray[Any], classes: int, weights: NDArray[Any]
) -> Callable[[float, NDArray[np.float64] | None, float], NDArray[np.float64]]:
    """A function from strength, start and tolerance to the minima of independent heads: their kernels, row by row,
    then biases, (d + 1) * heads * classes.

    ``weights`` of shape (n, heads, 1 or classes) say how much each image counts for each head.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    _, tf = framework()
    (count, width), heads = features.shape, weights.shape[1]
    columns = heads * classes
    objective = objective_of(targets)
    x = tf.constant(features)
    truth = tf.constant(np.repeat(target_rows(targets, classes), heads, axis=0))
    share = tf.constant(weights / weights.sum(axis=0), tf.float32)
    images = (weights.max(axis=2) > 0).sum(axis=0)

    # TensorFlow's matrix products are several times faster than those of a NumPy with a generic library.
    def loss(point: Any, penalty: Any) -> Any:
        kernel, bias = tf.reshape(point[:-columns], (width, columns)), point[-columns:]
        terms, probabilities = objective.terms(truth, tf.reshape(x @ kernel + bias, (count * heads, classes)))
        wrong = tf.reshape(probabilities - truth, (count, heads, classes)) * share
        wrong = tf.reshape(wrong, (count, columns))
        value = tf.reduce_sum(share * tf.reshape(terms, (count, heads, -1)))
        slope = tf.linalg.matmul(x, wrong, transpose_a=True) + penalty * kernel
        slopes = tf.concat([tf.reshape(slope, [-1]), tf.reduce_sum(wrong, axis=0)], axis=0)
        return value + tf.reduce_sum(penalty / 2 * kernel**2), slopes

    # Traced once, here: TensorFlow warns of functions that are traced often, and takes those of several fits for one.
    kinds = (tf.TensorSpec([(width + 1) * columns], tf.float32), tf.TensorSpec([columns], tf.float32))
    traced = tf.function(loss, autograph=False).get_concrete_function(*kinds)

    def solve(strength: float, start: NDArray[np.float64] | None, tolerance: float) -> NDArray[np.float64]:
        penalty = tf.constant(np.repeat(1.0 / (strength * images), classes), tf.float32)

        def both(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            value, slopes = traced(tf.constant(point, tf.float32), penalty)
            return float(value), slopes.numpy().astype(np.float64)

        first = np.zeros((width + 1) * columns) if start is None else start
        limits = {"maxiter": _STEPS, "ftol": tolerance, "gtol": 1e-5}
        # The optimizer's own steps use short vectors: more threads would only compete with TensorFlow's.
        with threadpool_limits(1, user_api="blas"):
            found: NDArray[np.float64] = minimize(both, first, jac=True, method="L-BFGS-B", options=limits).x
        return found

    return solve


def score(logits: Floats, targets: NDArray[Any]) -> tuple[float, float]:
    """Mean loss in nats and accuracy of logits (n, classes)."""
    objective = objective_of(targets)
    return objective.score(objective.probabilities(logits.astype(np.float64)), targets)


def fold(model: keras.Model, head: Head) -> None:
    """Write ``head`` into the network's last layer, ``logits``."""
    model.get_layer("logits").set_weights([head.kernel, head.bias])
