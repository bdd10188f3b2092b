"""The classifier head: logistic regression on frozen features, folded into the network's last layer. Multinomial for
one class per image; one regression per label, with the same regularization, for multi-label sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Progress, Silent
from keensight.nets.runtime import framework
from keensight.nets.training.losses import objective_of
from keensight.nets.training.losses import rows as target_rows

if TYPE_CHECKING:
    import keras

_FIRST, _LEAST, _MOST = 1e-2, 1e-5, 1e3
"""Inverse regularization strengths: start and bounds of the search."""
_TRIES = 8
"""Maximum number of strengths tried: five tenfold steps up, the first, and two around the best."""
_GROUP = 300.0
_STEPS = 500
_ROUGH, _FINE = 1e-6, 1e-7
"""Relative tolerance of the loss at which a fit ends: for comparing strengths, and for the final fit."""
_VARIANCE = 0.95


@dataclass(frozen=True, slots=True)
class Head:
    """A dense layer from features to logits, and its metrics."""

    kernel: NDArray[np.float32]
    """Shape (features, classes)."""
    bias: NDArray[np.float32]
    strength: float
    """The chosen inverse L2 regularization strength (scikit-learn's ``C``)."""
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    val_map: float | None = None
    """Mean average precision of the validation set; multi-label sets only."""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits, shape (n, classes)."""
        found: NDArray[np.float32] = features @ self.kernel + self.bias
        return found


Labeled = tuple[NDArray[np.float32], NDArray[Any]]
"""Features (n, d) and what they are of."""


def fit_head(
    train: Labeled,
    validation: Labeled,
    classes: int,
    *,
    levels: Sequence[int] = (),
    weights: NDArray[np.float32] | None = None,
    progress: Progress | None = None,
) -> Head:
    """Train the head to convergence (L-BFGS), with the regularization chosen by the validation loss.

    Features are standardized, so that one regularization fits all, and each level of the network has the same weight in
    it, whatever its number of features; kernel and bias undo both. The search goes by factors of ten from 0.01 until
    the validation loss rises, upwards and then, if that did not help, downwards; finally it tries both sides of the
    best. It uses the principal axes of the features; the final fit uses all features.

    Args:
        train: Features, float32 (n, d), and class numbers, shape (n,), or labels as 0 and 1, (n, classes).
        validation: The same of the validation set.
        classes: Number of classes.
        levels: How many features each level of the network gives, in order; default: one level.
        weights: One weight an image, shape (n,) or (n, 1), or one an image and label, (n, classes).
        progress: Where to report.
    """
    (features, targets), (val_features, val_targets) = train, validation
    mean = features.mean(axis=0)
    sizes = np.array(levels or [features.shape[1]])
    scale = 1.0 / ((features.std(axis=0) + 1e-6) * np.repeat(np.sqrt(sizes / _GROUP), sizes)).astype(np.float32)
    standard = (features - mean) * scale

    def head(strength: float, point: NDArray[np.float64]) -> Head:
        kernel = point[:-classes].reshape(-1, classes).astype(np.float32) * scale[:, None]
        bias = (point[-classes:] - mean @ kernel).astype(np.float32)
        val_logits = val_features @ kernel + bias
        scores = score(features @ kernel + bias, targets) + score(val_logits, val_targets)
        return Head(kernel, bias, strength, *scores, objective_of(targets).ranking(val_logits, val_targets))

    with (progress or Silent()).task("fitting the classifier head", _TRIES, "settings") as task:
        axes = principal_axes(standard)
        solve = _solver(standard if axes is None else standard @ axes, targets, classes, weights)
        found: dict[float, Head] = {}
        points: dict[float, NDArray[np.float64]] = {}

        def attempt(strength: float, start: float | None) -> None:
            points[strength] = solve(strength, None if start is None else points[start], _ROUGH)
            found[strength] = head(strength, _unrotated(points[strength], axes, classes))
            task.advance(1, f"val {found[strength].val_accuracy:.3f}")

        _search(attempt, found)
        best = _best(found).strength
        if axes is not None:
            solve = _solver(standard, targets, classes, weights)
        final = head(best, solve(best, _unrotated(points[best], axes, classes), _FINE))
        task.advance(_TRIES - len(found), f"val {final.val_accuracy:.3f}")
    return final


def _search(attempt: Callable[[float, float | None], None], found: Mapping[float, Head]) -> None:
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


def principal_axes(rows: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Directions (d, r) that hold 95% of the variance of centered rows (n, d); None where n < d.

    They halve the time of comparing strengths; for few rows, computing them takes longer than that.
    """
    from scipy.linalg import eigh

    if len(rows) < rows.shape[1]:
        return None
    variances, axes = eigh(rows.T @ rows, driver="evd", overwrite_a=True, check_finite=False)
    shares = np.cumsum(variances[::-1]) / variances.sum()
    kept: NDArray[np.float32] = axes[:, ::-1][:, : int(np.searchsorted(shares, _VARIANCE)) + 1]
    return kept


def _unrotated(point: NDArray[np.float64], axes: NDArray[np.float32] | None, classes: int) -> NDArray[np.float64]:
    """Convert kernel and bias on principal axes to those on all features."""
    if axes is None:
        return point
    return np.concatenate([(axes @ point[:-classes].reshape(-1, classes)).ravel(), point[-classes:]])


def _best(found: Mapping[float, Head]) -> Head:
    return min(found.values(), key=lambda head: head.val_loss)


def _solver(
    features: NDArray[np.float32], targets: NDArray[Any], classes: int, weights: NDArray[np.float32] | None
) -> Callable[[float, NDArray[np.float64] | None, float], NDArray[np.float64]]:
    """A function from strength, start and tolerance to the minimum: kernel, row by row, then bias, (d + 1) *
    classes."""
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    _, tf = framework()
    count, width = features.shape
    objective = objective_of(targets)
    x, truth = tf.constant(features), tf.constant(target_rows(targets, classes))
    counted = np.ones((count, 1)) if weights is None else weights.reshape(count, -1)
    share = tf.constant(counted / counted.sum(axis=0), tf.float32)

    # TensorFlow's matrix products are several times faster than those of a NumPy with a generic library.
    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def loss(point: Any, penalty: Any) -> Any:
        kernel, bias = tf.reshape(point[:-classes], (width, classes)), point[-classes:]
        logits = x @ kernel + bias
        terms, probabilities = objective.terms(truth, logits)
        wrong = (probabilities - truth) * share
        value = tf.reduce_sum(share * terms)
        slope = tf.linalg.matmul(x, wrong, transpose_a=True) + penalty * kernel
        slopes = tf.concat([tf.reshape(slope, [-1]), tf.reduce_sum(wrong, axis=0)], axis=0)
        return value + penalty / 2 * tf.reduce_sum(kernel**2), slopes

    def solve(strength: float, start: NDArray[np.float64] | None, tolerance: float) -> NDArray[np.float64]:
        penalty = tf.constant(1.0 / (strength * count), tf.float32)

        def both(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            value, slopes = loss(tf.constant(point, tf.float32), penalty)
            return float(value), slopes.numpy().astype(np.float64)

        first = np.zeros((width + 1) * classes) if start is None else start
        limits = {"maxiter": _STEPS, "ftol": tolerance, "gtol": 1e-5}
        # The optimizer's own steps use short vectors: more threads would only compete with TensorFlow's.
        with threadpool_limits(1, user_api="blas"):
            found: NDArray[np.float64] = minimize(both, first, jac=True, method="L-BFGS-B", options=limits).x
        return found

    return solve


def score(logits: NDArray[np.float32], targets: NDArray[Any]) -> tuple[float, float]:
    """Mean loss in nats and accuracy of logits (n, classes)."""
    objective = objective_of(targets)
    return objective.score(objective.probabilities(logits.astype(np.float64)), targets)


def fold(model: keras.Model, head: Head) -> None:
    """Write ``head`` into the network's last layer, ``logits``."""
    model.get_layer("logits").set_weights([head.kernel, head.bias])
