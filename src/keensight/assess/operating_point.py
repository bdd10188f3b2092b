"""Operating points: thresholds of one class for a target sensitivity, specificity or precision.

A threshold that just reaches a target on some images will miss it on half of all new sets of images. So each is chosen
to reach it on new images with a given confidence:

- sensitivity and specificity by the exact tolerance limit of order statistics (Wilks 1941): the fraction of new images
  beyond the k-th smallest of n scores is Beta(k, n - k + 1);
- precision as for the decision rule (:func:`keensight.assess.abstention.precise_threshold`).
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
    """Find the highest threshold that flags a fraction ``target`` of the images, and whether there are enough of them.

    Args:
        scores: Probabilities of images that should be flagged, shape (n,).
        target: Fraction of new such images to flag.
        confidence: Confidence that the target is reached on new images.
    """
    from scipy.stats import beta

    ordered, n = np.sort(scores), len(scores)
    places = np.arange(1, n + 1)
    kept = np.flatnonzero(beta.cdf(1 - target, places, n - places + 1) >= confidence)
    return (float(ordered[kept[-1]]), True) if len(kept) else (float(ordered[0]), False)


def for_specificity(scores: Scores, target: float, confidence: float) -> tuple[float, bool]:
    """Find the lowest threshold that leaves a fraction ``target`` of the images unflagged, and whether there are
    enough.

    Args:
        scores: Probabilities of images that should not be flagged, shape (n,).
        target: Fraction of new such images to leave unflagged.
        confidence: Confidence that the target is reached on new images.
    """
    mirrored, enough = for_sensitivity(-scores, target, confidence)
    return math.nextafter(-mirrored, math.inf), enough


def for_precision(scores: Scores, positive: Bools, target: float, confidence: float) -> tuple[float, bool]:
    """Find the lowest threshold with a precision of ``target``, and whether it is guaranteed.

    Args:
        scores: Probabilities of all images, shape (n,).
        positive: Which of them should be flagged, shape (n,).
        target: Target precision on new images.
        confidence: Confidence that the target is reached on new images.

    Returns:
        If no threshold is guaranteed: the one with the best lower bound, and False.
    """
    threshold, bound = precise_threshold(scores, positive, target, confidence)
    return threshold, bound >= target


def measure(  # noqa: PLR0913 - each is a field of the record
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
    """Evaluate a threshold.

    Args:
        scores: Probability of ``label`` for each image, shape (n,).
        positive: Which images have ``label``, shape (n,).
        threshold: Images at or above it are flagged.
        label: Name of the class.
        part: The split of the images.
        target: What the threshold was chosen for, in words.
        reached: Whether the target is reached.
        groups: Number of each image's group; None: each image stands for itself.

    Raises:
        DataError: there are no images.
    """
    if not len(scores):
        raise DataError("there are no images to evaluate", "give at least one readable image")
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
    """Rows of threshold, false positive rate and true positive rate; only the corners of the curve."""
    steps = np.unique(scores)[::-1]
    sides = [np.sort(scores[side]) for side in (~positive, positive)]
    false, true = (1 - np.searchsorted(side, steps, side="left") / len(side) for side in sides)
    x, y, cut = np.append(0.0, false), np.append(0.0, true), np.append(math.inf, steps)
    turns = np.ones(len(x), dtype=np.bool_)
    turns[1:-1] = (np.diff(x)[:-1] * np.diff(y)[1:]) != (np.diff(y)[:-1] * np.diff(x)[1:])
    return tuple(zip(cut[turns].tolist(), x[turns].tolist(), y[turns].tolist(), strict=True))
