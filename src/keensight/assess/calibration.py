"""Are probabilities what they say? Temperature, Brier score, calibration error, reliability."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.certainty import ReliabilityBin
from keensight.core.nearest import softmax
from keensight.errors import DataError

FEWEST = 30
"""Validation images below which a temperature would be mostly chance."""
BINS = 15
_TINY = 1e-12
_RANGE = (-3.0, 3.0)
"""Natural logarithms of the temperatures that are tried: 0.05 to 20."""


def fit_temperature(probabilities: NDArray[Any], targets: NDArray[Any]) -> float:
    """The temperature of the least cross-entropy, by which logits are divided (Guo et al. 2017).

    Args:
        probabilities: Of validation images at temperature 1, float (n, classes), rows that sum to 1; or of a
            multi-label model, one sigmoid a label.
        targets: Class numbers (n,), or 0 and 1 (n, labels).

    Returns:
        1 where there are fewer than ``FEWEST`` images.

    Raises:
        DataError: the shapes do not fit.
    """
    from scipy.optimize import minimize_scalar

    if len(probabilities) != len(targets) or probabilities.ndim != 2:
        raise DataError(
            f"probabilities {probabilities.shape} and targets {targets.shape} do not fit", "give one row an image"
        )
    if len(targets) < FEWEST:
        return 1.0

    def loss(logarithm: float) -> float:
        return _cross_entropy(at_temperature(probabilities, float(np.exp(logarithm))), targets)

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded", options={"xatol": 1e-4}).x))


def at_temperature(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Probabilities (n, classes) whose logits are divided by ``temperature``; below 1 undoes what above 1 did.

    Rows that sum to 1 are taken as a softmax, others as sigmoids.
    """
    p = np.clip(probabilities.astype(np.float64), _TINY, 1.0)
    if _is_softmax(probabilities):
        return softmax(np.log(p) / temperature)
    odds = np.log(p) - np.log(np.clip(1.0 - probabilities.astype(np.float64), _TINY, 1.0))
    sharpened: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-odds / temperature))
    return sharpened


def _is_softmax(probabilities: NDArray[Any]) -> bool:
    return bool(np.allclose(probabilities.sum(axis=1, dtype=np.float64), 1.0, atol=1e-3))


def _cross_entropy(p: NDArray[np.float64], targets: NDArray[Any]) -> float:
    true = p[np.arange(len(targets)), targets] if targets.ndim == 1 else np.where(targets == 1, p, 1.0 - p)
    return float(-np.log(np.maximum(true, _TINY)).mean())


def brier_scores(probabilities: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Squared distance of each row (n, classes) from the truth, shape (n,), 0 to 2 (Brier 1950)."""
    p = probabilities.astype(np.float64)
    true = p[np.arange(len(targets)), targets]
    scores: NDArray[np.float64] = (p**2).sum(axis=1) - 2 * true + 1
    return scores


def bin_of(confidence: NDArray[Any]) -> NDArray[np.int64]:
    """The bin of each confidence, 0 to 14: equal widths, open on the left."""
    bins: NDArray[np.int64] = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    return bins


def reliability(probabilities: NDArray[Any], targets: NDArray[Any]) -> tuple[ReliabilityBin, ...]:
    """Said and right over 15 equal-width bins of confidence, the lowest first."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == targets
    bins, edges = bin_of(confidence), np.linspace(0, 1, BINS + 1)
    n = np.bincount(bins, minlength=BINS)
    said = np.bincount(bins, weights=confidence, minlength=BINS) / np.maximum(n, 1)
    held = np.bincount(bins, weights=right, minlength=BINS) / np.maximum(n, 1)
    return tuple(
        ReliabilityBin(float(edges[i]), float(edges[i + 1]), int(n[i]), float(said[i]), float(held[i]))
        for i in range(BINS)
    )


def expected_calibration_error(probabilities: NDArray[Any], targets: NDArray[Any]) -> float:
    """Mean distance of confidence and accuracy over 15 equal-width bins of confidence, weighted by their images.

    Guo et al. 2017, "On calibration of modern neural networks", equation 3. Bins are open on the left.

    Args:
        probabilities: Float (n, classes); the confidence is a row's largest.
        targets: Integer (n,).
    """
    return sum(row.n * abs(row.right - row.said) for row in reliability(probabilities, targets)) / len(targets)
