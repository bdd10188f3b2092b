"""When to answer: thresholds for a stated precision or coverage, prediction sets, and what they do on other images."""

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
"""Chance with which a stated precision holds on new images."""
_EVEN, _RARE, _RARE_FROM = 40, 20, 10
"""How many thresholds are tried, by equal and by geometric steps; the latter from so many images on."""
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
    90 % (:func:`precise_threshold`). For a ``coverage``: the threshold that so many validation images reach.
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
    """The lowest of some 60 thresholds from which on so many are right, and the share that is certain.

    The thresholds are those that 2.5 %, 5 % and so on of the images reach, and, for rare answers, those of 10 images to
    all on a geometric scale. All are held against the exact bound of a share (Clopper and Pearson 1934) at once, the
    level shared out among them (Bonferroni), so that whichever is taken keeps its promise (Geifman and El-Yaniv 2017;
    Angelopoulos et al. 2021, "Learn then test").

    Args:
        scores: How sure each answer is, shape (n,), n at least 1.
        right: Which answers are right, shape (n,).
        asked: Share of answers on new images that is to be right.
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
    # Equal scores go together.
    places = np.unique(np.searchsorted(-ranked, -ranked[places], side="right") - 1)
    found, n = hits[places], places + 1
    bounds = np.where(found > 0, beta.ppf((1 - confidence) / len(places), np.maximum(found, 1), n - found + 1), 0.0)
    reached = np.flatnonzero(bounds >= asked)
    best = int(reached[-1]) if len(reached) else int(bounds.argmax())
    return float(ranked[places[best]]), float(bounds[best])


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
