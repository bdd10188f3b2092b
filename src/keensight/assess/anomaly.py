"""How well anomalies are told from normal images: area under the ROC curve, recall and false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from keensight.assess.uncertainty import wilson
from keensight.core.anomaly import AnomalyEvaluation, KindScore, Limits
from keensight.core.records import Interval
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
    by_group = pull if groups is None else np.bincount(groups, weights=pull)
    # Where all are told apart the variance is 0: half a pair more on the wrong side keeps the interval honest.
    inner = float(np.clip(area, 0.5 / (m * n + 1), 1 - 0.5 / (m * n + 1)))
    least = (inner * (1 - inner) / min(m, n)) ** 0.5 if inner != area else 0.0
    # Terms of few groups cancel out by chance (those of a single one always do): never less than image by image.
    error = max(float((pull**2).sum()) ** 0.5, float((by_group**2).sum()) ** 0.5, least)
    half = NormalDist().inv_cdf((1 + level) / 2) * error / (inner * (1 - inner))
    low, high = (1 / (1 + np.exp(-(np.log(inner / (1 - inner)) + sign * half))) for sign in (-1, 1))
    return Interval(area, min(float(low), area), max(float(high), area), level, "DeLong")
