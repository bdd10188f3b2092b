"""Logit adjustment for imbalanced classes: subtract a multiple of the log class frequency from the logits.

Menon et al. 2021, "Long-tail learning via logit adjustment". The multiple is chosen on held-out logits by macro F1, in
which a class of 30 images counts as much as one of 3,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
_RESAMPLES, _CERTAINTY, _WORTH = 200, 0.95, 0.005
"""Bootstrap samples; the fraction of them that must be better; and the least gain in macro F1, since every adjustment
makes frequent classes worse."""
_BALANCED = 1.5
"""With the largest class at most this many times as large as the smallest, there is nothing to adjust."""

_Tried = tuple[float, NDArray[np.float64], NDArray[np.int64]]
"""A strength, its macro F1 on all images and on each bootstrap sample, and the classes predicted."""


@dataclass(frozen=True, slots=True, eq=False)
class Adjustment:
    """What is subtracted from the logits, and what that changes on held-out images."""

    strength: float
    """Multiple of the log class frequency; 0: no adjustment."""
    offsets: NDArray[np.float32]
    """Shape (classes,): ``strength`` times the log frequency of each class."""
    macro_f1: tuple[float, float]
    """Macro F1 before and after."""
    accuracy: tuple[float, float]
    """Accuracy before and after."""


def choose_adjustment(
    logits: NDArray[Any], targets: NDArray[np.int64], units: NDArray[np.int64], *, strength: float | None = None
) -> Adjustment:
    """Choose the lowest strength whose macro F1 is within a standard error of the highest; 0 unless the highest is
    better by 0.005, and with a confidence of 95%.

    The confidence is the fraction of 200 bootstrap samples of whole units with a higher macro F1 than without
    adjustment; the standard error is from the same samples. The lowest, because each step makes frequent classes worse
    (the one-standard-error rule of Breiman et al. 1984).

    Args:
        logits: Of images that the model was not fitted to, shape (n, classes).
        targets: Class numbers, shape (n,).
        units: Shape (n,): images with the same number are resampled together.
        strength: Take this one; None: choose.

    Example:
        >>> choose_adjustment(np.eye(2)[[0, 0, 1]], np.array([0, 0, 1]), np.arange(3), strength=0.0).macro_f1
        (1.0, 1.0)
    """
    counts = np.bincount(targets, minlength=logits.shape[1])
    log_frequency = np.log(np.maximum(counts, 0.5) / len(targets)).astype(np.float32)
    right = logits.argmax(axis=1)
    weights = _resampled(units)
    plain = _macro_f1(right, targets, len(counts), weights)

    def adjusted(tau: float) -> _Tried:
        predicted = (logits - tau * log_frequency).argmax(axis=1)
        return tau, _macro_f1(predicted, targets, len(counts), weights), predicted

    if strength is not None:
        tau, scores, predicted = adjusted(strength)
    elif counts.max() <= _BALANCED * counts[counts > 0].min():
        tau, scores, predicted = 0.0, plain, right
    else:
        tau, scores, predicted = _weakest([adjusted(one) for one in STRENGTHS], plain) or (0.0, plain, right)
    accuracy = float((right == targets).mean()), float((predicted == targets).mean())
    return Adjustment(tau, (tau * log_frequency).astype(np.float32), (float(plain[0]), float(scores[0])), accuracy)


def _weakest(tried: list[_Tried], plain: NDArray[np.float64]) -> _Tried | None:
    """The weakest adjustment that helps and is as good as the best one; None: the best one does not help."""

    def helps(one: _Tried) -> bool:
        return bool(one[1][0] >= plain[0] + _WORTH and (one[1][1:] > plain[1:]).mean() >= _CERTAINTY)

    best = max(tried, key=lambda one: one[1][0])[1]
    return next((one for one in tried if helps(one) and one[1][0] >= best[0] - best[1:].std()), None)


def _resampled(units: NDArray[np.int64]) -> NDArray[np.float32]:
    """How often each image counts, (1 + resamples, n): once, then in each bootstrap sample of units."""
    _, number = np.unique(units, return_inverse=True)
    count = int(number.max()) + 1
    rng = np.random.default_rng(0)
    drawn = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(_RESAMPLES)])
    return np.concatenate([np.ones((1, len(number))), drawn[:, number.reshape(-1)]]).astype(np.float32)


def _macro_f1(
    predicted: NDArray[np.int64], targets: NDArray[np.int64], classes: int, weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Macro F1 over the classes that occur, for each row of weights (m, n); shape (m,)."""
    true, found = np.eye(classes, dtype=np.float32)[targets], np.eye(classes, dtype=np.float32)[predicted]
    hits, sizes = weights @ (true * found), weights @ true + weights @ found
    present = np.bincount(targets, minlength=classes) > 0
    scores: NDArray[np.float64] = (2 * hits / np.maximum(sizes, 1))[:, present].mean(axis=1, dtype=np.float64)
    return scores
