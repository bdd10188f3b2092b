"""Where a model is weak: its accuracy on slices of the images, corrected for multiple testing. A slice is the images
with one value of a column, or a quarter of a numeric one. Each is compared with the rest of its column by Fisher's
exact test (Fisher 1935), one-sided: is it worse? Of many slices some look bad by chance, so p-values are corrected by
Holm's step-down procedure (Holm 1979, Scand. J. Statist. 6), which keeps the chance of any false alarm at ``ALPHA``
however the slices overlap.

Images of one group (patient, track) are no independent draws. Where there are groups, intervals are Wilson's at the
effective number of images (Kish 1965: n over the design effect), a slice must also be worse by a test whose variance is
summed over groups (Liang and Zeger 1986), and needs ``GROUPS`` of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from keensight.assess.intervals import share, standard_error
from keensight.core.evaluation import Slices, SliceScore, SmallSlices

SMALLEST, GROUPS = 20, 10
"""Minimum number of images, and of groups if there are any, of a slice."""
ALPHA = 0.05
QUANTILES = 4
MISSING = "(none)"
"""What the slice of images without a value is called."""
_NUMERIC = 8
"""From this many distinct numbers on a column is cut at quantiles."""

Column = Sequence[str | float | int | bool | None]
Bools = NDArray[np.bool_]


def find_slices(
    right: Bools,
    classes: NDArray[np.int64],
    columns: Mapping[str, Column],
    *,
    groups: NDArray[np.int64] | Sequence[Hashable] | None = None,
    part: str = "test",
) -> Slices:
    """Score every slice of ``SMALLEST`` images or more.

    Args:
        right: Which images were classified right, shape (n,).
        classes: The true class of each, shape (n,).
        columns: Name to one value an image. Numbers with many values are cut at quartiles; None and NaN are missing.
        groups: Name or number of each image's group; None: each image stands for itself.
        part: The split of the images.
    """
    numbers = None if groups is None else np.unique(np.array(groups, dtype=str), return_inverse=True)[1].reshape(-1)
    per_class = np.bincount(classes, weights=right) / np.maximum(np.bincount(classes), 1)
    found: list[SliceScore] = []
    small: list[SmallSlices] = []
    for name, values in columns.items():
        slices = cut(values)
        if len(slices) < 2:
            continue
        large = {value: chosen for value, chosen in slices.items() if _is_large(chosen, numbers)}
        found += [_score(name, value, chosen, right, per_class[classes], numbers) for value, chosen in large.items()]
        if len(large) < len(slices):
            small.append(_small(name, {value: slices[value] for value in slices if value not in large}))
    adjusted = holm(np.array([score.p for score in found]))
    scores = tuple(
        dataclasses.replace(score, adjusted=float(p), weak=bool(p <= ALPHA))
        for score, p in zip(found, adjusted, strict=True)
    )
    count = None if numbers is None else int(numbers.max()) + 1
    method = "Fisher's exact test, one-sided, corrected by Holm's procedure"
    if count is not None:
        method += "; and a test whose variance is summed over groups"
    return Slices(part, len(right), float(right.mean()), scores, tuple(small), SMALLEST, ALPHA, count, method)


def cut(values: Column) -> dict[str, Bools]:
    """The slices of one column by name, each as (n,) booleans; images without a value are one of them."""
    missing = np.array([value is None or value != value for value in values])
    present = [value for value, gone in zip(values, missing, strict=True) if not gone]
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in present)
    if numeric and len(set(present)) >= _NUMERIC:
        slices = _quantiles(np.array([math.nan if value is None else value for value in values], dtype=np.float64))
    else:
        texts = np.array(["" if gone else str(value) for value, gone in zip(values, missing, strict=True)])
        order = [str(value) for value, _ in Counter(map(str, present)).most_common()]
        slices = {value: (texts == value) & ~missing for value in order}
    return slices | ({MISSING: missing} if missing.any() and slices else {})


def _quantiles(values: NDArray[np.float64]) -> dict[str, Bools]:
    """Quarters by size; where many values are equal there may be fewer."""
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, QUANTILES + 1)[1:-1]))
    place = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="left"))
    numbers = [number for number in range(len(edges) + 1) if (place == number).any()]
    ends = {number: (values[place == number].min(), values[place == number].max()) for number in numbers}
    return {f"{ends[number][0]:.4g} to {ends[number][1]:.4g}": place == number for number in numbers}


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's corrected p-values, shape (n,), in the order given."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty_like(p)
    found[order] = np.minimum(steps, 1.0)
    return found


def _is_large(chosen: Bools, groups: NDArray[np.int64] | None) -> bool:
    return int(chosen.sum()) >= SMALLEST and (groups is None or len(np.unique(groups[chosen])) >= GROUPS)


def _small(name: str, slices: Mapping[str, Bools]) -> SmallSlices:
    sizes = {value: int(chosen.sum()) for value, chosen in slices.items()}
    largest = sorted(sizes, key=lambda value: -sizes[value])[:5]
    return SmallSlices(name, len(sizes), sum(sizes.values()), tuple(largest))


def _score(
    name: str,
    value: str,
    chosen: Bools,
    right: Bools,
    by_class: NDArray[np.float64],
    groups: NDArray[np.int64] | None,
) -> SliceScore:
    n, hits = int(chosen.sum()), int(right[chosen].sum())
    p = fisher_less(hits, n, int(right.sum()), len(right))
    if groups is not None:
        p = max(p, _p_of_groups(chosen, right, groups))
    return SliceScore(
        name, value, n, share(right[chosen], None if groups is None else groups[chosen]),
        float(right[~chosen].mean()), float(by_class[chosen].mean()), p, p, weak=False,
    )  # fmt: skip


def fisher_less(hits: int, n: int, all_hits: int, total: int) -> float:
    """Fisher's exact test, one-sided: the chance of so few hits among ``n`` images drawn from ``total``."""
    from scipy.stats import hypergeom

    return float(hypergeom.cdf(hits, total, all_hits, n))


def _p_of_groups(chosen: Bools, right: Bools, groups: NDArray[np.int64]) -> float:
    """One-sided p-value of the difference of two shares, its variance summed over groups; Student's t."""
    from scipy.stats import t

    inside, outside = float(right[chosen].mean()), float(right[~chosen].mean())
    pull = np.where(chosen, (right - inside) / chosen.sum(), (outside - right) / (~chosen).sum())
    error = standard_error(pull, groups)
    if error == 0.0:
        return float(inside >= outside)
    return float(t.cdf((inside - outside) / error, len(np.unique(groups)) - 1))
