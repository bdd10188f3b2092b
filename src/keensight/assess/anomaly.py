"""How well anomalies are told from normal images: area under the ROC curve, recall and false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from keensight.assess.intervals import auroc_interval, auroc_parts, share
from keensight.core.anomaly import AnomalyEvaluation, KindScore, Limits
from keensight.core.interval import Interval
from keensight.errors import DataError


def evaluate(
    scores: NDArray[np.float32],
    kinds: Sequence[str],
    normal: Sequence[str],
    limits: Limits,
    *,
    part: str = "test",
    groups: NDArray[np.int64] | None = None,
    seconds: float = 0.0,
) -> AnomalyEvaluation:
    """Measure scores against what the images are.

    Args:
        scores: Shape (n,): 1 is the threshold.
        kinds: Class of each image as it was given.
        normal: The classes that are normal.
        limits: Where the threshold comes from.
        part: What the images are.
        groups: Number of each image's group; None: each image stands for itself.
        seconds: Wall time of predicting.

    Raises:
        DataError: there is no image.
    """
    if not len(scores):
        raise DataError("there is no image to measure", "give at least one image that can be read")
    given = np.array(kinds)
    odd, found = ~np.isin(given, normal), scores >= 1

    def among(chosen: NDArray[np.bool_]) -> Interval | None:
        return share(found[chosen], None if groups is None else groups[chosen]) if chosen.any() else None

    told = [KindScore(str(kind), int((given == kind).sum()), recall)
            for kind in np.unique(given[odd]) if (recall := among(given == kind))]  # fmt: skip
    return AnomalyEvaluation(
        part=part,
        normal=int((~odd).sum()),
        anomalous=int(odd.sum()),
        auroc=auroc(scores, odd, groups) if 0 < odd.sum() < len(odd) else None,
        recall=among(odd),
        false_alarms=among(~odd),
        limits=limits,
        kinds=tuple(sorted(told, key=lambda kind: kind.recall.value)),
        seconds=seconds,
    )


def auroc(
    scores: NDArray[np.float32], odd: NDArray[np.bool_], groups: NDArray[np.int64] | None = None, level: float = 0.95
) -> Interval:
    """Area under the ROC curve with its interval (:func:`keensight.assess.intervals.auroc_interval`).

    Where all are told apart, or none, it is Newcombe's, at the number of images or groups of each side.

    Args:
        scores: Larger for odder images, shape (n,).
        odd: Which images are anomalous, shape (n,); some must be and some not.
        groups: Number of each image's group; None: each image stands for itself.
        level: Share of such intervals that hold the true value.
    """
    area, pull = auroc_parts(scores, odd)
    if 0 < area < 1:
        return auroc_interval(area, pull, odd, groups, level)
    units = np.arange(len(odd)) if groups is None else groups
    m, n = (len(np.unique(units[side])) for side in (odd, ~odd))
    return _certain(area, m, n, level)


def _certain(area: float, m: int, n: int, level: float) -> Interval:
    """Where all are told apart, or none: areas no further off than their own standard error allows.

    The error is Hanley and McNeil's (1982) as simplified by Newcombe (2006, Statistics in Medicine 25, method 5).
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
