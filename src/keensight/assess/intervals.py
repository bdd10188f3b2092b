"""Confidence intervals."""

from __future__ import annotations

import dataclasses
import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.interval import Interval
from keensight.errors import DataError


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Confidence interval of a proportion: ``ks.wilson(45, 50)`` is ``0.900 (0.786 to 0.957)``.

    The score interval (Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22)
    is valid for small ``n`` and near 0 and 1, where mean ± 1.96 standard errors is not.

    Args:
        successes: Number of successes; not an integer if ``n`` is an effective sample size.
        n: Number of independent trials.
        level: Confidence level, above 0 and below 1.

    Raises:
        DataError: ``n`` is 0, ``successes`` is not between 0 and ``n``, or ``level`` is not between 0 and 1.

    Examples:
        >>> share = ks.wilson(45, 50)
        >>> round(share.low, 2), round(share.high, 2)
        (0.79, 0.96)
    """
    if n < 1 or not 0 <= successes <= n:
        raise DataError(f"{successes} of {n} is not a valid fraction", "give at least one image")
    if not 0 < level < 1:
        raise DataError(f"a confidence level cannot be {level}", "give a fraction such as 0.95")
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = successes / n
    centre = (successes + z2 / 2) / (n + z2)
    half = math.sqrt(z2) / (n + z2) * math.sqrt(n * share * (1 - share) + z2 / 4)
    # At 0 and n the interval ends exactly at 0 or 1, despite rounding.
    low = 0.0 if successes == 0 else min(centre - half, share)
    high = 1.0 if successes == n else max(centre + half, share)
    return Interval(share, low, high, level, "wilson")


def share(hits: NDArray[Any], groups: NDArray[np.int64] | None = None, level: float = 0.95) -> Interval:
    """Interval of a fraction of images; with groups (patient, track), from the effective number of images.

    That number is n over the design effect (Kish 1965): how much the similarity within groups increases the variance;
    and less if few groups, or few large ones among many small, determine that variance (Korn and Graubard 1998; bias
    and degrees of freedom as in Bell and McCaffrey 2002). If all images are hits, or none, the variance is unknown, and
    the images of a group are treated as identical.

    Args:
        hits: Which images are hits, shape (n,), n at least 1.
        groups: Number of each image's group; None: all images are independent.
        level: Confidence level.
    """
    n, count = len(hits), int(hits.sum())
    if groups is None:
        return wilson(count, n, level)
    _, unit, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    value = count / n
    effect = float((sizes**2).sum()) / n
    if 0 < count < n and len(sizes) > 1:
        sums = np.bincount(unit.reshape(-1), weights=hits - value) / n
        bias, freedom = _of_uneven(sizes / n)
        spread = float((sums**2).sum()) / bias / (value * (1 - value) / n)
        effect = spread * (_student(freedom, level) / _student(n - 1, level)) ** 2
    effect = float(np.clip(effect, 1.0, n))
    found = wilson(count / effect, n / effect, level)
    return dataclasses.replace(found, method="wilson, at the effective number of images")


def difference(first: Interval, second: Interval) -> Interval:
    """Interval of the difference of two fractions of independent images, from their intervals (Newcombe 1998)."""
    gain = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Interval(gain, gain - below, gain + above, first.level, "newcombe, independent")


def _of_uneven(weights: NDArray[np.float64]) -> tuple[float, float]:
    """Bias of the variance of a mean estimated from groups, and its degrees of freedom.

    Bell and McCaffrey 2002 (Survey Methodology 28), with identical images in a group: the sum of squares over
    groups is a quadratic form ``h' A h`` of the groups' means, with the traces of A and of its square below. Of k
    groups of one size they give (k - 1) / k and k - 1.

    Args:
        weights: Fraction of the images in each group, shape (groups,), 2 groups at least.
    """
    squares = weights**2
    total = float(squares.sum())
    off = total / 2 - weights
    trace = float((squares * (1 + 2 * off)).sum())
    crossed = total * float((squares * off**2).sum()) + float((squares * off).sum()) ** 2
    return trace / total, trace**2 / (2 * crossed + float((squares**2 * (1 + 4 * off)).sum()))


def _student(freedom: float, level: float) -> float:
    """Half width of an interval in standard errors, for the given degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, freedom))


def standard_error(pull: NDArray[Any], groups: NDArray[np.int64] | None = None) -> float:
    """Standard error of a sum of terms (n,) that are only independent between groups (Liang and Zeger 1986)."""
    sums = pull if groups is None else np.bincount(np.unique(groups, return_inverse=True)[1].reshape(-1), weights=pull)
    return math.sqrt(float((sums**2).sum()) * len(sums) / max(len(sums) - 1, 1))


def f1_interval(jaccard: Interval) -> Interval:
    """Interval of F1, a function of the Jaccard index J: 2J / (1 + J).

    Args:
        jaccard: Interval of the fraction of true positives among all images that have the class or are predicted to.
    """
    value, low, high = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return Interval(value, low, high, jaccard.level, f"{jaccard.method}, of the Jaccard index")


def auroc_parts(scores: NDArray[Any], held: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """Area under the ROC curve, and each image's influence on it, shape (n,), with sum 0 (DeLong et al. 1988).

    Args:
        scores: Higher for images that are more likely to have the class, shape (n,).
        held: Which images have the class, shape (n,); some, not all.
    """
    from scipy.stats import rankdata

    inside, outside = scores[held], scores[~held]
    m, n = len(inside), len(outside)
    ranks = rankdata(scores)
    above = (ranks[held] - rankdata(inside)) / n
    below = 1 - (ranks[~held] - rankdata(outside)) / m
    area = float(above.mean())
    pull = np.empty(len(scores))
    pull[held], pull[~held] = (above - area) / m, (below - area) / n
    return area, pull


def auroc_interval(
    area: float,
    pull: NDArray[np.float64],
    classes: NDArray[Any],
    groups: NDArray[np.int64] | None = None,
    level: float = 0.95,
) -> Interval:
    """Interval of an area under the ROC curve on the scale of its log odds, its variance summed over groups.

    DeLong, DeLong and Clarke-Pearson 1988; for groups Obuchowski 1997. Student's t accounts for classes of few images
    or groups, whose variance is uncertain (degrees of freedom of Satterthwaite 1946). If all pairs are in order, or one
    side is a single image or group, the variance is unknown, and the interval is Wilson's from the number of images or
    groups of the rarest class.

    Args:
        area: The area, or the mean of several.
        pull: Each image's influence on it (:func:`auroc_parts`).
        classes: What each image is, shape (n,): of the class or not, or of several areas the class.
        groups: Number of each image's group; None: all images are independent.
        level: Confidence level.
    """
    from scipy.special import expit

    numbers, place = np.unique(classes, return_inverse=True)
    unit = np.arange(len(pull)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    apart = np.unique(np.stack([place.reshape(-1), unit]), axis=1, return_inverse=True)
    units = np.bincount(apart[0][0])
    scaled = pull * np.sqrt(units / np.maximum(units - 1, 1))[place.reshape(-1)]
    # Terms of few groups may cancel by chance: use at least the variance over images.
    error = math.sqrt(max(float((scaled**2).sum()), float((np.bincount(unit, weights=scaled) ** 2).sum())))
    fewest = int(units.min())
    if not 0 < area < 1 or error == 0 or (fewest < 2 and len(numbers) == 2):
        found = wilson(area * fewest, fewest, level)
        return Interval(area, found.low, found.high, level, "wilson")
    terms = np.bincount(apart[0][0], weights=np.bincount(apart[1].reshape(-1), weights=scaled) ** 2)
    freedom = terms.sum() ** 2 / (terms**2 / np.maximum(units - 1, 1)).sum()
    odds, half = math.log(area / (1 - area)), _student(freedom, level) * error / (area * (1 - area))
    low, high = (float(expit(x)) for x in (odds - half, odds + half))
    return Interval(area, low, high, level, "delong" if groups is None else "delong, over groups")


def class_intervals(
    called: NDArray[np.bool_], held: NDArray[np.bool_], groups: NDArray[np.int64] | None = None
) -> dict[str, Interval]:
    """Intervals of ``precision``, ``recall`` and ``f1`` of one class, where they are defined.

    Args:
        called: Which images are predicted to have the class, shape (n,).
        held: Which images have the class, shape (n,).
        groups: Number of each image's group; None: all images are independent.
    """
    both, found = called & held, {}
    for name, chosen in (("precision", called), ("recall", held), ("f1", called | held)):
        if chosen.any():
            found[name] = share(both[chosen], None if groups is None else groups[chosen])
    if "f1" in found:
        found["f1"] = f1_interval(found["f1"])
    return found
