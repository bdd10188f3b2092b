"""Calibration: temperature scaling, Brier score, calibration error, reliability."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.assess.intervals import standard_error
from keensight.core.predictions import ReliabilityBin
from keensight.core.prototypes import softmax
from keensight.errors import DataError

FEWEST = 30
"""Minimum number of validation images for a temperature."""
PRIOR = 0.15
"""Standard deviation of the prior of the temperature's natural logarithm, about 0."""
FOLDS = 10
LEAST = float(np.finfo(np.float32).tiny)
"""Smallest probability that float32 holds in full precision: smaller ones are clipped (87.3 nats)."""
_LEAST_REST = 2.0**-25
"""Half the distance from 1 to the float32 below it: the remaining probability of a sigmoid rounded to 1."""
BINS = 15
_RANGE = (-3.0, 3.0)
"""Natural logarithms of the temperatures tried: 0.05 to 20."""


def fit_temperature(
    probabilities: NDArray[Any], targets: NDArray[Any], groups: NDArray[np.int64] | None = None
) -> float:
    """Fit the temperature that logits are divided by (Guo et al. 2017); 1 without a clear benefit.

    Its logarithm has a normal prior about 0, and the posterior mode is used: if all validation images are classified
    correctly, the likelihood increases without limit as the temperature falls, and few images are weak evidence. It is
    used only if temperatures chosen on nine tenths of the images lower the loss of the last tenth, over all tenths, by
    more than the standard error of that gain.

    Args:
        probabilities: Of validation images at temperature 1, float (n, classes), rows that sum to 1; or of a
            multi-label model, one sigmoid per label.
        targets: Class numbers (n,), or 0 and 1 (n, labels).
        groups: Number of each image's group, (n,), which stay together; images count as their effective number (Kish
            1965), those of a group taken to be all alike. None: all images are independent.

    Returns:
        1 where there are fewer than ``FEWEST`` images.

    Raises:
        DataError: the shapes do not fit.
    """
    if len(probabilities) != len(targets) or probabilities.ndim != 2:
        raise DataError(
            f"probabilities {probabilities.shape} and targets {targets.shape} do not fit", "give one row per image"
        )
    if len(targets) < FEWEST:
        return 1.0
    logits = _logits(probabilities) if targets.ndim == 1 else _odds(probabilities)
    unit = np.arange(len(targets)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    return _posterior_mode(logits, targets, unit) if _helps(logits, targets, unit) else 1.0


def _posterior_mode(logits: NDArray[np.float64], targets: NDArray[Any], unit: NDArray[np.int64]) -> float:
    from scipy.optimize import minimize_scalar

    effective = len(unit) ** 2 / (np.bincount(unit) ** 2).sum()

    def cost(x: float) -> float:
        return float(effective * _losses(logits, targets, np.exp(x)).mean() + (x / PRIOR) ** 2 / 2)

    return float(np.exp(minimize_scalar(cost, bounds=_RANGE, method="bounded", options={"xatol": 1e-3}).x))


def _helps(logits: NDArray[np.float64], targets: NDArray[Any], unit: NDArray[np.int64]) -> bool:
    """Whether temperatures lower the cross-validated loss by more than one standard error."""
    fold = np.random.default_rng(0).permutation(unit.max() + 1)[unit] % FOLDS
    gain = np.zeros(len(unit))
    for held in (fold == number for number in np.unique(fold)):
        if held.all():
            return False
        temperature = _posterior_mode(logits[~held], targets[~held], unit[~held])
        gain[held] = _losses(logits[held], targets[held], 1.0) - _losses(logits[held], targets[held], temperature)
    return bool(gain.sum() > standard_error(gain - gain.mean(), unit))


def _losses(logits: NDArray[np.float64], targets: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Cross-entropy of each image, (n,), summed over the labels of a multi-label set."""
    from scipy.special import logsumexp

    scaled = logits / temperature
    if targets.ndim == 1:
        found = logsumexp(scaled, axis=1) - scaled[np.arange(len(targets)), targets]
    else:
        found = (np.logaddexp(0.0, scaled) - targets * scaled).sum(axis=1)
    losses: NDArray[np.float64] = found
    return losses


def at_temperature(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Probabilities (n, classes) after dividing the logits by ``temperature``.

    Rows that sum to 1 are treated as a softmax, others as sigmoids.
    """
    if _is_softmax(probabilities):
        return softmax(_logits(probabilities) / temperature)
    sharpened: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-_odds(probabilities) / temperature))
    return sharpened


def _logits(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.log(np.maximum(probabilities.astype(np.float64), LEAST))
    return found


def _odds(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    rest = np.maximum(1.0 - probabilities.astype(np.float64), _LEAST_REST)
    found: NDArray[np.float64] = _logits(probabilities) - np.log(rest)
    return found


def _is_softmax(probabilities: NDArray[Any]) -> bool:
    return bool(np.allclose(probabilities.sum(axis=1, dtype=np.float64), 1.0, atol=1e-3))


def cross_entropies(probabilities: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """-log(probability of the true class) of each image in nats, shape (n,).

    Probabilities are clipped only at ``LEAST``, so that a confident mistake costs its full loss, up to 87.3 nats.
    scikit-learn's ``log_loss`` clips at the resolution of the dtype about 1 (float32: 1.2e-7, 15.9 nats; float64:
    2.2e-16, 36 nats) and agrees if no true class has less.

    Args:
        probabilities: Float (n, classes).
        targets: Integer (n,).
    """
    true = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    losses: NDArray[np.float64] = -np.log(np.clip(true, LEAST, 1.0))
    return losses


def label_cross_entropies(probabilities: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """Binary cross-entropy of each image in nats, averaged over the labels, shape (n,).

    A present label is clipped as in :func:`cross_entropies`; an absent one costs at most 17.3 nats, because float32 has
    no number between 1 and 1 - 2**-24.

    Args:
        probabilities: Float (n, labels), one sigmoid per label.
        truth: 0 and 1, (n, labels).
    """
    p = probabilities.astype(np.float64)
    right = np.where(truth == 1, np.maximum(p, LEAST), np.maximum(1.0 - p, _LEAST_REST))
    losses: NDArray[np.float64] = -np.log(right).mean(axis=1)
    return losses


def brier_scores(probabilities: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Squared distance of each row (n, classes) from the truth, shape (n,), 0 to 2 (Brier 1950)."""
    p = probabilities.astype(np.float64)
    true = p[np.arange(len(targets)), targets]
    scores: NDArray[np.float64] = (p**2).sum(axis=1) - 2 * true + 1
    return scores


def bin_of(confidence: NDArray[Any]) -> NDArray[np.int64]:
    """The bin of each confidence, 0 to 14: equal widths, left-open."""
    bins: NDArray[np.int64] = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    return bins


def reliability(probabilities: NDArray[Any], targets: NDArray[Any]) -> tuple[ReliabilityBin, ...]:
    """The reliability diagram: confidence and accuracy in 15 equal-width bins, the lowest first."""
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

    Guo et al. 2017, "On calibration of modern neural networks", equation 3. Bins are left-open.

    Args:
        probabilities: Float (n, classes); the confidence is the largest value of a row.
        targets: Integer (n,).
    """
    return sum(row.n * abs(row.right - row.said) for row in reliability(probabilities, targets)) / len(targets)
