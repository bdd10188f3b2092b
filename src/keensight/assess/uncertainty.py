"""How sure a figure is: confidence intervals."""

from __future__ import annotations

import math
from statistics import NormalDist

from keensight.core.records import Interval
from keensight.errors import DataError


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Score interval of a share.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22. It keeps
    its level for small ``n`` and near 0 and 1, where mean ± 1.96 standard errors does not.

    Args:
        successes: How many of the ``n`` were right; no whole number where ``n`` is an effective one.
        n: How many there were; taken as independent of one another.
        level: Share of such intervals that hold the true value, above 0 and below 1.

    Raises:
        DataError: ``n`` is 0, ``successes`` is not between 0 and ``n``, or ``level`` is no share.
    """
    if n < 1 or not 0 <= successes <= n:
        raise DataError(f"there is no share of {successes} in {n}", "give at least one image")
    if not 0 < level < 1:
        raise DataError(f"a confidence level cannot be {level}", "give a share such as 0.95")
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = successes / n
    centre = (successes + z2 / 2) / (n + z2)
    half = math.sqrt(z2) / (n + z2) * math.sqrt(n * share * (1 - share) + z2 / 4)
    # At 0 and n the interval touches the end exactly; rounding must not leave it a hair off.
    low = 0.0 if successes == 0 else min(centre - half, share)
    high = 1.0 if successes == n else max(centre + half, share)
    return Interval(share, low, high, level, "wilson")
