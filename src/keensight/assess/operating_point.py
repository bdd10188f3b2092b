"""Thresholds of one class for a stated sensitivity, specificity or precision, and what they give.

A threshold at which a target is just met on some images will miss it on half of all new sets of images. So each is
chosen to hold on new images with a stated confidence:

- sensitivity and specificity by the exact tolerance limit of order statistics (Wilks 1941): the share of new images
  beyond the k-th smallest of n scores is Beta(k, n - k + 1);
- precision as that of all answers is (:func:`keensight.assess.abstention.precise_threshold`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from keensight.assess.abstention import precise_threshold
from keensight.assess.intervals import auroc_interval, auroc_parts, share
from keensight.core.evaluation import OperatingPoint
from keensight.core.interval import Interval
from keensight.errors import DataError

Bools = NDArray[np.bool_]
Scores = NDArray[np.float64]


def for_sensitivity(scores: Scores, target: float, confidence: float) -> tuple[float, bool]:
    """The highest threshold that keeps ``target`` of the images behind ``scores``, and whether they suffice for it.

    Args:
        scores: Probabilities of images that should be flagged, shape (n,).
        target: Share of new such images to flag.
        confidence: Chance that the threshold keeps its promise.
    """
    from scipy.stats import beta

    ordered, n = np.sort(scores), len(scores)
    places = np.arange(1, n + 1)
    kept = np.flatnonzero(beta.cdf(1 - target, places, n - places + 1) >= confidence)
    return (float(ordered[kept[-1]]), True) if len(kept) else (float(ordered[0]), False)


def for_specificity(scores: Scores, target: float, confidence: float) -> tuple[float, bool]:
    """The lowest threshold that leaves ``target`` of the images behind ``scores`` unflagged, and whether they suffice.

    Args:
        scores: Probabilities of images that should not be flagged, shape (n,).
        target: Share of new such images to leave unflagged.
        confidence: Chance that the threshold keeps its promise.
    """
    mirrored, enough = for_sensitivity(-scores, target, confidence)
    return math.nextafter(-mirrored, math.inf), enough


def for_precision(scores: Scores, positive: Bools, target: float, confidence: float) -> tuple[float, bool]:
    """The lowest threshold found from which on ``target`` of the flagged images are right, and whether it is bounded.

    Args:
        scores: Probabilities of all images, shape (n,).
        positive: Which of them should be flagged, shape (n,).
        target: Share of flagged new images that are to be right.
        confidence: Chance that the threshold keeps its promise.

    Returns:
        Where no threshold can be promised: the one with the best lower bound, and False.
    """
    threshold, bound = precise_threshold(scores, positive, target, confidence)
    return threshold, bound >= target


def measure(
    scores: Scores,
    positive: Bools,
    threshold: float,
    *,
    label: str,
    part: str,
    target: str,
    reached: bool = True,
    groups: NDArray[np.int64] | None = None,
) -> OperatingPoint:
    """What flagging from ``threshold`` on gives.

    Args:
        scores: Probability of ``label`` for each image, shape (n,).
        positive: Which images are of ``label``, shape (n,).
        threshold: Images at or above it are flagged.
        label: Name of the class.
        part: What the images are.
        target: What the threshold was chosen for, in words.
        reached: Whether the target is held.
        groups: Number of each image's group; None: each image stands for itself.

    Raises:
        DataError: there is no image.
    """
    if not len(scores):
        raise DataError("there is no image to measure", "give at least one image that can be read")
    flagged = scores >= threshold

    def among(chosen: Bools, right: Bools) -> Interval | None:
        return share(right[chosen], None if groups is None else groups[chosen]) if chosen.any() else None

    both_sides = bool(positive.any() and not positive.all())
    told = [int((right & side).sum()) for right, side in
            ((~flagged, ~positive), (flagged, ~positive), (~flagged, positive), (flagged, positive))]  # fmt: skip
    return OperatingPoint(
        label=label, part=part, n=len(scores), threshold=threshold, target=target, reached=reached,
        counts=(told[0], told[1], told[2], told[3]),
        sensitivity=among(positive, flagged), specificity=among(~positive, ~flagged),
        precision=among(flagged, positive), negative_value=among(~flagged, ~positive),
        flagged=share(flagged, groups),
        auroc=_auroc(scores, positive, groups) if both_sides else None,
        curve=roc(scores, positive) if both_sides else (),
    )  # fmt: skip


def _auroc(scores: Scores, positive: Bools, groups: NDArray[np.int64] | None) -> Interval:
    return auroc_interval(*auroc_parts(scores, positive), positive, groups)


def roc(scores: Scores, positive: Bools) -> tuple[tuple[float, float, float], ...]:
    """Threshold, share of the negatives flagged, share of the positives flagged; the corners of the curve only."""
    steps = np.unique(scores)[::-1]
    sides = [np.sort(scores[side]) for side in (~positive, positive)]
    false, true = (1 - np.searchsorted(side, steps, side="left") / len(side) for side in sides)
    x, y, cut = np.append(0.0, false), np.append(0.0, true), np.append(math.inf, steps)
    turns = np.ones(len(x), dtype=np.bool_)
    turns[1:-1] = (np.diff(x)[:-1] * np.diff(y)[1:]) != (np.diff(y)[:-1] * np.diff(x)[1:])
    return tuple(zip(cut[turns].tolist(), x[turns].tolist(), y[turns].tolist(), strict=True))
