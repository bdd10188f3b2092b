"""How well anomalies are told from normal images: area under the ROC curve, recall and false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from keensight.assess.uncertainty import wilson
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
        groups: Number of each image's group; None: each image stands for itself. Only the area heeds them.
        seconds: Wall time of predicting.

    Raises:
        DataError: there is no image.
    """
    if not len(scores):
        raise DataError("there is no image to measure", "give at least one image that can be read")
    given = np.array(kinds)
    odd, found = ~np.isin(given, normal), scores >= 1
    told = [KindScore(str(kind), int((given == kind).sum()), _share(found[given == kind]))
            for kind in dict.fromkeys(sorted(given[odd]))]  # fmt: skip
    return AnomalyEvaluation(
        part=part,
        normal=int((~odd).sum()),
        anomalous=int(odd.sum()),
        auroc=auroc(scores, odd, groups) if 0 < odd.sum() < len(odd) else None,
        recall=_share(found[odd]) if odd.any() else None,
        false_alarms=_share(found[~odd]) if not odd.all() else None,
        limits=limits,
        kinds=tuple(sorted(told, key=lambda kind: kind.recall.value)),
        seconds=seconds,
    )


def _share(found: NDArray[np.bool_]) -> Interval:
    return wilson(int(found.sum()), len(found))


def auroc(
    scores: NDArray[np.float32], odd: NDArray[np.bool_], groups: NDArray[np.int64] | None = None, level: float = 0.95
) -> Interval:
    """Area under the ROC curve with DeLong's interval (1988) on the log odds; over groups as in Obuchowski 1997.

    Args:
        scores: Larger for odder images, shape (n,).
        odd: Which images are anomalous, shape (n,); some must be and some not.
        groups: Number of each image's group; None: each image stands for itself.
        level: Share of such intervals that hold the true value.
    """
    from scipy.stats import rankdata

    m, n = int(odd.sum()), int((~odd).sum())
    ranks = rankdata(scores)
    placed = np.empty(len(scores))
    placed[odd] = (ranks[odd] - rankdata(scores[odd])) / n
    placed[~odd] = 1 - (ranks[~odd] - rankdata(scores[~odd])) / m
    area = float(placed[odd].mean())
    pull = (placed - area) / np.where(odd, m, n)
    if not 0 < area < 1:
        return _certain(area, m, n, level)
    by_group = pull if groups is None else np.bincount(groups, weights=pull)
    # Terms of few groups cancel out by chance (those of a single one always do): never less than image by image.
    error = max(float((pull**2).sum()), float((by_group**2).sum())) ** 0.5
    odds, half = np.log(area / (1 - area)), _z(level) * error / (area * (1 - area))
    low, high = (float(1 / (1 + np.exp(-(odds + sign * half)))) for sign in (-1, 1))
    return Interval(area, low, high, level, "DeLong")


def _certain(area: float, m: int, n: int, level: float) -> Interval:
    """Where all are told apart, or none: areas no further off than their own standard error allows.

    The error is Hanley and McNeil's (1982) as simplified by Newcombe (2006, Statistics in Medicine 25, method 5).
    """
    from scipy.optimize import brentq

    def beyond(miss: float) -> float:
        other, half = 1 - miss, (m + n) / 2 - 1
        variance = other * miss * (1 + half * (miss / (2 - other) + other / (1 + other))) / (m * n)
        return miss - _z(level) * float(variance**0.5)

    miss = float(brentq(beyond, 1e-12, 1))
    low, high = (1 - miss, 1.0) if area == 1 else (0.0, miss)
    return Interval(area, low, high, level, "Newcombe")


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
