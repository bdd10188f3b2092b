"""Evaluate an anomaly detector: area under the ROC curve, recall and false positive rate; its heatmaps by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from keensight.assess.intervals import auroc_interval, auroc_parts, share
from keensight.core.anomaly import Limits
from keensight.core.anomaly_evaluation import AnomalyEvaluation, KindScore
from keensight.core.interval import Interval
from keensight.errors import DataError


def evaluate(
    scores: NDArray[np.float32],
    kinds: Sequence[str],
    normal: Sequence[str],
    limits: Limits,
    *,
    groups: NDArray[np.int64] | None = None,
) -> AnomalyEvaluation:
    """Evaluate scores against the true classes.

    Args:
        scores: Shape (n,): 1 is the threshold.
        kinds: Original class of each image.
        normal: The classes that are normal.
        limits: The thresholds.
        groups: Number of each image's group; None: all images are independent.

    Raises:
        DataError: there are no images.
    """
    if not len(scores):
        raise DataError("there are no images to evaluate", "give at least one readable image")
    given = np.array(kinds)
    odd, found = ~np.isin(given, normal), scores >= 1

    def among(chosen: NDArray[np.bool_]) -> Interval | None:
        return share(found[chosen], None if groups is None else groups[chosen]) if chosen.any() else None

    told = [KindScore(str(kind), int((given == kind).sum()), recall)
            for kind in np.unique(given[odd]) if (recall := among(given == kind))]  # fmt: skip
    return AnomalyEvaluation(
        part="test",
        normal=int((~odd).sum()),
        anomalous=int(odd.sum()),
        auroc=auroc(scores, odd, groups) if 0 < odd.sum() < len(odd) else None,
        recall=among(odd),
        false_alarms=among(~odd),
        limits=limits,
        kinds=tuple(sorted(told, key=lambda kind: kind.recall.value)),
    )


def auroc(
    scores: NDArray[np.float32], odd: NDArray[np.bool_], groups: NDArray[np.int64] | None = None, level: float = 0.95
) -> Interval:
    """Area under the ROC curve with its interval (:func:`keensight.assess.intervals.auroc_interval`).

    If the separation is perfect, or perfectly wrong, it is Newcombe's, from the number of images or groups of each
    side.

    Args:
        scores: Larger for more anomalous images, shape (n,).
        odd: Which images are anomalous, shape (n,); both kinds must occur.
        groups: Number of each image's group; None: all images are independent.
        level: Confidence level.
    """
    area, pull = auroc_parts(scores, odd)
    if 0 < area < 1:
        return auroc_interval(area, pull, odd, groups, level)
    units = np.arange(len(odd)) if groups is None else groups
    m, n = (len(np.unique(units[side])) for side in (odd, ~odd))
    return _certain(area, m, n, level)


def chance_of_alarms(alarms: int, normal: int, limits: Limits) -> float:
    """Probability of at least so many false alarms, if the images behind the threshold were like those of the test.

    The threshold is the r-th highest of n scores. All n + m scores in one order, it is the probability that among the
    first r - 1 + j at least j are of the m test images (a negative hypergeometric tail, by the hypergeometric one).

    Args:
        alarms: Number of false alarms, j.
        normal: Number of normal test images, m.
        limits: The thresholds, with n.
    """
    from scipy.stats import hypergeom

    rank = round(limits.rate * (limits.images + 1))
    return float(hypergeom.sf(alarms - 1, normal + limits.images, normal, rank - 1 + alarms))


def pixel_auroc(maps: NDArray[np.float32], masks: NDArray[np.bool_]) -> float:
    """Area under the ROC curve over all pixels: the probability that an anomalous one scores above a normal one.

    Large defects dominate it; :func:`region_overlap` counts each defect the same.

    Args:
        maps: Heatmaps, enlarged to the masks' size, shape (n, height, width).
        masks: Which pixels are anomalous, of the same shape; all False for a normal image.

    Raises:
        DataError: the shapes differ, or the masks lack one kind of pixel.

    Examples:
        >>> maps = np.array([[[0.1, 0.2], [0.9, 0.3]]], np.float32)
        >>> pixel_auroc(maps, maps > 0.5)
        1.0
    """
    _check_masks(maps, masks)
    return auroc_parts(maps.ravel(), masks.ravel())[0]


def region_overlap(maps: NDArray[np.float32], masks: NDArray[np.bool_], limit: float = 0.3) -> float:
    """Per-region overlap (PRO): how much of each defect lies above a threshold, on average.

    The mean over defects, which are the connected regions of the masks, is averaged over the thresholds whose false
    positive rate among normal pixels is at most ``limit`` (Bergmann et al. 2020, "Uninformed students"). 1 is perfect;
    heatmaps of noise reach ``limit / 2``.

    Args:
        maps: Heatmaps, enlarged to the masks' size, shape (n, height, width).
        masks: Which pixels are anomalous, of the same shape; all False for a normal image.
        limit: Highest false positive rate, above 0, at most 1.

    Raises:
        DataError: the shapes differ, or the masks lack one kind of pixel.

    Examples:
        >>> maps = np.array([[[0.1, 0.2], [0.9, 0.3]]], np.float32)
        >>> round(region_overlap(maps, maps > 0.5), 6)
        1.0
    """
    from scipy.ndimage import label

    _check_masks(maps, masks)
    alone = np.zeros((3, 3, 3), bool)
    alone[1] = True  # regions of different images never touch
    regions, count = label(masks, alone)
    weights = 1 / (count * np.bincount(regions.ravel()))
    order = np.argsort(-maps, axis=None)
    ordered, region = maps.ravel()[order], regions.ravel()[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    overlap = np.cumsum(np.where(region > 0, weights[region], 0))[last]
    alarms = (np.cumsum(region == 0) / (region == 0).sum())[last]
    overlap, alarms = np.insert(overlap, 0, 0), np.insert(alarms, 0, 0)
    inside = alarms <= limit
    at_limit = np.interp(limit, alarms, overlap)
    return float(np.trapezoid(np.append(overlap[inside], at_limit), np.append(alarms[inside], limit)) / limit)


def _check_masks(maps: NDArray[np.float32], masks: NDArray[np.bool_]) -> None:
    if maps.shape != masks.shape:
        raise DataError(f"the heatmaps are {maps.shape}, the masks {masks.shape}", "enlarge the heatmaps to the masks")
    if masks.all() or not masks.any():
        raise DataError("the masks lack normal or anomalous pixels", "give masks of images with and without defects")


def _certain(area: float, m: int, n: int, level: float) -> Interval:
    """For perfect separation: areas within their own standard error, which is Hanley and McNeil's (1982) as simplified
    by Newcombe (2006, Statistics in Medicine 25, method 5).
    """
    from scipy.optimize import brentq

    z = NormalDist().inv_cdf((1 + level) / 2)

    def beyond(miss: float) -> float:
        other, half = 1 - miss, (m + n) / 2 - 1
        variance = other * miss * (1 + half * (miss / (2 - other) + other / (1 + other))) / (m * n)
        return miss - z * float(variance**0.5)

    miss = float(brentq(beyond, 1e-12, 1))
    low, high = (1 - miss, 1.0) if area == 1 else (0.0, miss)
    return Interval(area, low, high, level, "Newcombe")
