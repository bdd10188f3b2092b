"""From probabilities to labels: one threshold a label, chosen on the validation set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.errors import DataError

DEFAULT = 0.5
_PRIOR = 10.0
"""As many images as the common threshold weighs, against those that have the label."""


def choose_thresholds(probabilities: NDArray[Any], truth: NDArray[Any]) -> tuple[float, ...]:
    """The threshold of each label at which its F1 is highest, drawn towards a common one where few images have it.

    Best thresholds of few images are mostly chance (Lipton, Elkan and Naryanaswamy 2014, "Optimal thresholding of
    classifiers to maximize F1 measure"). So each is its own mean best, which counts as many times as images
    have the label, and of the common threshold with the best F1 over all labels together, which counts 10 times.

    Args:
        probabilities: Of validation images, float (n, labels).
        truth: 0 and 1, (n, labels).

    Returns:
        One threshold a label, above 0 and below 1; a label counts as there at or above it.

    Raises:
        DataError: there is no image, or the shapes differ.
    """
    if not len(truth) or probabilities.shape != truth.shape:
        raise DataError(
            f"thresholds cannot be chosen from probabilities {probabilities.shape} and labels {truth.shape}",
            "give those of the validation set, one row per image and one column per label",
        )
    common = best_threshold(probabilities.ravel(), truth.ravel())
    positives = truth.sum(axis=0)
    own = [best_threshold(p, t, common) for p, t in zip(probabilities.T, truth.T, strict=True)]
    mixed = (positives * np.array(own) + _PRIOR * common) / (positives + _PRIOR)
    return tuple(float(t) for t in np.clip(mixed, 0.01, 0.99))


def best_threshold(probabilities: NDArray[Any], truth: NDArray[Any], otherwise: float = DEFAULT) -> float:
    """The threshold of the highest F1, half way to the next lower probability; ``otherwise`` where nothing is true.

    Args:
        probabilities: Float (n,).
        truth: 0 and 1, (n,).
        otherwise: What to give where no image has the label.
    """
    if not truth.any():
        return otherwise
    order = np.argsort(-probabilities, kind="stable")
    p, hits = probabilities[order].astype(np.float64), np.cumsum(truth[order], dtype=np.float64)
    lower = np.append(p[1:], 0.0)
    f1 = 2 * hits / (np.arange(1, len(p) + 1) + hits[-1])
    f1[p == lower] = -1.0  # no threshold parts equal probabilities
    best = int(f1.argmax())
    return float((p[best] + lower[best]) / 2)
