"""When to answer: thresholds for a stated precision or coverage, prediction sets, and what they do on other images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.assess.uncertainty import share
from keensight.core.certainty import Abstention, Decision, Target
from keensight.errors import DataError

CONFIDENCE = 0.9
"""Chance with which a stated precision holds on new images."""
_POINTS = 100


def choose(
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    *,
    precision: float | None = None,
    coverage: float | None = None,
    set_level: float | None = None,
) -> Decision:
    """A rule from validation images.

    For a ``precision``: the lowest threshold whose answers are right so often on new images, with a confidence of
    90 % over all thresholds tried (Geifman and El-Yaniv 2017, "Selective classification for deep neural networks",
    by bisection with Clopper-Pearson bounds). For a ``coverage``: the threshold that so many validation images reach.
    Sets are split-conformal with the probability of the true class as score (Sadinle, Lei and Wasserman 2019): of
    images like the validation images at least ``set_level`` of the sets hold the true class, whatever the model.

    Args:
        probabilities: Calibrated, float (n, classes).
        targets: Class numbers (n,).
        precision: Share of answers that shall be right; None: no such demand.
        coverage: Share of images that shall be answered; None: no such demand.
        set_level: Share of sets that shall hold the true class; None, or too few images for it: no sets.

    Raises:
        DataError: there is no image.
    """
    if not len(targets):
        raise DataError("there is no validation image to choose a rule by", "give some images to validation")
    found = Decision(n=len(targets))
    if precision is not None:
        threshold, reached = _for_precision(probabilities, targets, precision)
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


def _for_precision(probabilities: NDArray[Any], targets: NDArray[Any], asked: float) -> tuple[float, float]:
    """The lowest threshold whose bound reaches what was asked, and the bound; else the one with the best bound."""
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    right = np.cumsum((probabilities.argmax(axis=1) == targets)[order])
    tries = int(np.ceil(np.log2(max(len(ranked), 2))))
    low, high, best = 0, len(ranked) - 1, (-1.0, 0)
    for _ in range(tries):
        middle = (low + high) // 2
        middle = int(np.searchsorted(-ranked, -ranked[middle], side="right")) - 1  # equal confidences go together
        bound = _lower(int(right[middle]), middle + 1, (1 - CONFIDENCE) / tries)
        best = max(best, (min(bound, asked), middle))  # of those that reach it, the one with the most answers
        if bound >= asked:
            low = min(middle + 1, len(ranked) - 1)
        else:
            high = max(middle - 1, 0)
    place = best[1]
    return float(ranked[place]), _lower(int(right[place]), place + 1, (1 - CONFIDENCE) / tries)


def _lower(hits: int, n: int, delta: float) -> float:
    """Lower bound of a share, which fails with a chance of ``delta`` at most (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    return float(beta.ppf(delta, hits, n - hits + 1)) if hits else 0.0


def _set_threshold(probabilities: NDArray[Any], targets: NDArray[Any], level: float) -> float | None:
    """The probability that all but a share ``1 - level`` of the true classes reach, corrected for few images."""
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
    """What a rule does on images that did not choose it.

    Args:
        probabilities: Calibrated, float (n, classes).
        targets: Class numbers (n,).
        decision: The rule.
        unlike: Images that are refused as unlike the training images, shape (n,); None: the model cannot tell.
        groups: Number of each image's group; None: each image stands for itself.
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
    """Coverage and accuracy as images are answered from the surest on, and the mean error over all coverages."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    n = np.arange(1, len(order) + 1)
    accuracy = np.cumsum((probabilities.argmax(axis=1) == targets)[order]) / n
    shown: Sequence[int] = np.unique(np.linspace(0, len(n) - 1, min(len(n), _POINTS)).round().astype(int)).tolist()
    points = tuple((float(n[i] / len(n)), float(accuracy[i])) for i in shown)
    return points, float((1 - accuracy).mean())
