"""Abstention: thresholds for a target precision or coverage, prediction sets, and their effect on other images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.assess.intervals import share
from keensight.core.predictions import Abstention, Decision, Target
from keensight.errors import DataError

CONFIDENCE = 0.9
"""Confidence with which a target precision is reached on new images."""
_EVEN, _RARE, _RARE_FROM = 40, 20, 10
"""Number of thresholds tried in equal and in geometric steps; minimum number of images for the latter."""
_POINTS = 100


def choose(
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    *,
    precision: float | None = None,
    coverage: float | None = None,
    set_level: float | None = None,
) -> Decision:
    """Choose a decision rule on validation images.

    For a ``precision``: the lowest threshold that reaches this precision on new images with 90% confidence
    (:func:`precise_threshold`). For a ``coverage``: the threshold that this fraction of the validation images reaches.
    Sets are split-conformal with the probability of the true class as score (Sadinle, Lei and Wasserman 2019): at least
    a fraction ``set_level`` of the sets of in-distribution images contain the true class, whatever the model.

    Args:
        probabilities: Calibrated, float (n, classes).
        targets: Class numbers (n,).
        precision: Target fraction of predictions that are right; None: no target.
        coverage: Target fraction of images with a prediction; None: no target.
        set_level: Fraction of sets that must contain the true class; None, or too few images: no sets.

    Raises:
        DataError: there are no images.
    """
    if not len(targets):
        raise DataError("there are no validation images to choose a decision rule on", "use a larger validation set")
    found = Decision(n=len(targets))
    if precision is not None:
        right = probabilities.argmax(axis=1) == targets
        threshold, reached = precise_threshold(probabilities.max(axis=1), right, precision)
        found = _with(found, "precision", precision, threshold, reached)
    elif coverage is not None:
        ranked = np.sort(probabilities.max(axis=1))[::-1]
        place = max(1, round(coverage * len(ranked)))
        threshold = float(ranked[place - 1])
        found = _with(found, "coverage", coverage, threshold, float((ranked >= threshold).mean()))
    limit = None if set_level is None else _set_threshold(probabilities, targets, set_level)
    return found if limit is None else dataclasses.replace(found, set_level=set_level, set_threshold=limit)


def _with(found: Decision, target: Target, asked: float, threshold: float, reached: float) -> Decision:
    return dataclasses.replace(found, target=target, asked=asked, threshold=min(threshold, 1.0), reached=reached)


def precise_threshold(
    scores: NDArray[Any], right: NDArray[Any], asked: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Find the lowest of about 60 thresholds that reaches a precision, and the guaranteed precision.

    The thresholds are those that 2.5%, 5% and so on of the images reach, and, for low coverage, those of 10 images to
    all on a geometric scale. All are tested with the exact bound of a proportion (Clopper and Pearson 1934), corrected
    for their number (Bonferroni), so that the guarantee is valid for whichever is chosen (Geifman and El-Yaniv 2017;
    Angelopoulos et al. 2021, "Learn then test").

    Args:
        scores: Confidence of each prediction, shape (n,), n at least 1.
        right: Which predictions are right, shape (n,).
        asked: Target precision on new images.
        confidence: Chance that the bound holds.

    Returns:
        The threshold, and the bound; where none reaches what was asked, those of the highest bound.
    """
    from scipy.stats import beta

    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(right[order])
    even = np.linspace(0, len(ranked), _EVEN + 1)[1:]
    rare = np.geomspace(min(_RARE_FROM, len(ranked)), len(ranked), _RARE)
    places = np.ceil(np.concatenate([even, rare])).astype(np.int64).clip(1, len(ranked)) - 1
    # Equal scores belong to one threshold.
    places = np.unique(np.searchsorted(-ranked, -ranked[places], side="right") - 1)
    found, n = hits[places], places + 1
    bounds = np.where(found > 0, beta.ppf((1 - confidence) / len(places), np.maximum(found, 1), n - found + 1), 0.0)
    reached = np.flatnonzero(bounds >= asked)
    best = int(reached[-1]) if len(reached) else int(bounds.argmax())
    return float(ranked[places[best]]), float(bounds[best])


def _set_threshold(probabilities: NDArray[Any], targets: NDArray[Any], level: float) -> float | None:
    """The probability that a fraction ``level`` of the true classes reaches, corrected for few images."""
    true = np.sort(probabilities[np.arange(len(targets)), targets].astype(np.float64))
    place = int(np.floor((1 - level) * (len(true) + 1) + 1e-9))
    return float(true[place - 1]) if place >= 1 else None


def measure(
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    decision: Decision,
    unlike: NDArray[np.bool_] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> Abstention:
    """Evaluate a decision rule on images that it was not chosen on.

    Args:
        probabilities: Calibrated, float (n, classes).
        targets: Class numbers (n,).
        decision: The rule.
        unlike: Out-of-distribution images, shape (n,); None: the model has no OOD detection.
        groups: Number of each image's group; None: all images are independent.
    """
    right = probabilities.argmax(axis=1) == targets
    kept = decision.accepts(probabilities) & (np.ones(len(right), bool) if unlike is None else ~unlike)
    curve, aurc = risk_coverage(probabilities, targets)
    held = decision.members(probabilities)
    sets: dict[str, Any] = {}
    if held is not None:
        sizes = held.sum(axis=1)
        sets = {
            "set_coverage": share(held[np.arange(len(targets)), targets], groups),
            "set_size": float(sizes.mean()),
            "set_singles": float((sizes == 1).mean()),
        }
    return Abstention(
        decision=decision,
        answered=share(kept, groups),
        accuracy=share(right[kept], None if groups is None else groups[kept]) if kept.any() else None,
        unlike=None if unlike is None else share(unlike, groups),
        aurc=aurc,
        curve=curve,
        **sets,
    )


def risk_coverage(probabilities: NDArray[Any], targets: NDArray[Any]) -> tuple[tuple[tuple[float, float], ...], float]:
    """Coverage and accuracy in order of decreasing confidence, and the mean error over all coverages."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    n = np.arange(1, len(order) + 1)
    accuracy = np.cumsum((probabilities.argmax(axis=1) == targets)[order]) / n
    shown: Sequence[int] = np.unique(np.linspace(0, len(n) - 1, min(len(n), _POINTS)).round().astype(int)).tolist()
    points = tuple((float(n[i] / len(n)), float(accuracy[i])) for i in shown)
    return points, float((1 - accuracy).mean())
