"""The quick head: multinomial logistic regression on frozen features, folded into the network's last layer."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Progress, Silent

if TYPE_CHECKING:
    import keras

_STRENGTHS = tuple(10.0**exponent for exponent in np.arange(-4.0, 2.01, 0.5))
"""Inverse strengths of the L2 penalty that are tried, the strongest penalty first."""
_PATIENCE = 2
_STEPS = 2000


@dataclass(frozen=True, slots=True)
class Head:
    """A dense layer from features to logits, and how well it does on the validation part."""

    kernel: NDArray[np.float32]
    """Shape (features, classes)."""
    bias: NDArray[np.float32]
    strength: float
    """Inverse strength of the L2 penalty (scikit-learn's ``C``) that was chosen."""
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits, shape (n, classes)."""
        found: NDArray[np.float32] = features @ self.kernel + self.bias
        return found


def fit_head(
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    val_features: NDArray[np.float32],
    val_targets: NDArray[np.int64],
    classes: int,
    *,
    balanced: bool = False,
    progress: Progress | None = None,
) -> Head:
    """Train the head to convergence (L-BFGS), its penalty chosen by the loss on the validation part.

    Features are standardised first, so that one penalty suits all; kernel and bias undo it. The penalty is
    weakened step by step, each fit starting from the one before, until the validation loss has risen twice.

    Args:
        features: Of the training part, float32 (n, d).
        targets: Class numbers, shape (n,); every class must occur.
        val_features: Of the validation part, float32 (m, d).
        val_targets: Class numbers, shape (m,).
        classes: Number of classes.
        balanced: Weigh each class by the inverse of its frequency.
        progress: Where to report.
    """
    from sklearn.linear_model import LogisticRegression

    mean = features.mean(axis=0)
    scale = 1.0 / (features.std(axis=0) + 1e-6)
    standard = (features - mean) * scale
    solver = LogisticRegression(
        C=1.0, max_iter=_STEPS, tol=1e-4, warm_start=True, class_weight="balanced" if balanced else None
    )
    best: Head | None = None
    worse = 0
    with (
        (progress or Silent()).task("fitting the head", len(_STRENGTHS), "penalties") as task,
        warnings.catch_warnings(),
    ):
        # A fit that stopped at the last step is judged like any other, by its validation loss.
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        for strength in _STRENGTHS:
            solver.set_params(C=float(strength)).fit(standard, targets)
            kernel, bias = _softmax_form(solver.coef_, solver.intercept_, classes)
            kernel *= scale[:, None]
            found = _judged(kernel, bias - mean @ kernel, float(strength), features, targets, val_features, val_targets)
            worse = 0 if best is None or found.val_loss < best.val_loss else worse + 1
            best = found if worse == 0 else best
            task.advance(1, f"val {found.val_accuracy:.3f}")
            if worse >= _PATIENCE:
                break
    assert best is not None
    return best


def _softmax_form(
    coef: NDArray[np.float64], intercept: NDArray[np.float64], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel (d, classes) and bias; two classes share one row in scikit-learn, which is split in halves."""
    if classes == 2 and len(coef) == 1:
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    return coef.T.astype(np.float32), intercept.astype(np.float32)


def _judged(
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    strength: float,
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    val_features: NDArray[np.float32],
    val_targets: NDArray[np.int64],
) -> Head:
    loss, accuracy = score(features @ kernel + bias, targets)
    val_loss, val_accuracy = score(val_features @ kernel + bias, val_targets)
    return Head(kernel, bias, strength, loss, accuracy, val_loss, val_accuracy)


def score(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy of some logits."""
    logits = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -log_probabilities[np.arange(len(targets)), targets].mean()
    return float(loss), float((logits.argmax(axis=1) == targets).mean())


def fold(model: keras.Model, head: Head) -> None:
    """Make ``head`` the network's last layer, ``logits``."""
    model.get_layer("logits").set_weights([head.kernel, head.bias])
