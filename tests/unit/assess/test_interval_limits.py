"""Confidence intervals at their limits, and those of differences and sums, against published examples."""

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import t

from keensight.assess.intervals import (
    auroc_interval,
    auroc_parts,
    class_intervals,
    difference,
    f1_interval,
    share,
    standard_error,
    wilson,
)
from keensight.core.interval import Interval
from keensight.errors import DataError


def test_the_level_is_95_percent_unless_given() -> None:
    hits, groups = np.array([True, True, False, True]), np.array([0, 0, 1, 2])
    assert wilson(3, 4) == wilson(3, 4, 0.95) and wilson(3, 4, 0.8).level == 0.8
    assert share(hits) == wilson(3, 4) and share(hits, level=0.8) == wilson(3, 4, 0.8)
    assert share(hits, groups) == share(hits, groups, 0.95)
    assert share(hits, groups, 0.8).level == 0.8


def test_one_trial_is_enough_and_less_is_refused() -> None:
    assert (wilson(1, 1).high, wilson(0, 1).low) == (1.0, 0.0)
    with pytest.raises(DataError, match=r"^0.5 of 0.9 is not a valid fraction") as refused:
        wilson(0.5, 0.9)
    assert refused.value.hint == "give at least one image"
    for level in (0, 1, 1.5):
        with pytest.raises(DataError, match="a confidence level cannot be") as refused:
            wilson(1, 2, level)
        assert refused.value.hint == "give a fraction such as 0.95"


@pytest.mark.parametrize("level", [0.001, 0.01])
def test_an_interval_of_hardly_any_level_still_holds_its_value(level: float) -> None:
    for successes in range(51):
        found = wilson(successes, 50, level)
        assert found.low <= found.value == successes / 50 <= found.high
        assert (found.low == 0) is (successes == 0) and (found.high == 1) is (successes == 50)


def test_a_difference_is_newcombes() -> None:
    # Newcombe 1998 (Statistics in Medicine 17), method 10, example (a): 56 of 70 and 48 of 80.
    found = difference(wilson(56, 70), wilson(48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert (found.level, found.method) == (0.95, "newcombe, independent")
    other = difference(wilson(48, 80), wilson(56, 70))
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low))
    assert difference(wilson(1, 2, 0.8), wilson(1, 2, 0.8)).level == 0.8


def test_the_standard_error_of_a_mean_is_the_usual_one_and_of_groups_that_of_their_sums() -> None:
    values = np.array([1.0, 4, 2, 8, 5, 7])
    pull = (values - values.mean()) / 6
    assert standard_error(pull) == pytest.approx(values.std(ddof=1) / 6**0.5)
    pairs = values.reshape(3, 2).mean(axis=1)
    assert standard_error(pull, np.array([7, 7, 3, 3, 5, 5])) == pytest.approx(pairs.std(ddof=1) / 3**0.5)
    assert standard_error(np.array([0.5, 0.25]), np.zeros(2, int)) == 0.75


def test_shares_of_groups_say_how_they_were_counted() -> None:
    hits = np.array([True, True, True, False, True, False])
    groups = np.array([4, 4, 9, 9, 1, 1])
    found = share(hits, groups)
    assert (found.value, found.method) == (pytest.approx(4 / 6), "wilson, at the effective number of images")
    assert found.low < wilson(4, 6).low and found.high > wilson(4, 6).high
    assert share(hits).method == "wilson"


def test_the_effective_number_of_few_groups_depends_on_the_level() -> None:
    hits = np.concatenate([np.arange(10) < count for count in (9, 1, 5)])
    effect = np.array([0.9, 0.1, 0.5]).var(ddof=1) / 3 / (0.25 / 30)  # of three equal groups
    for level in (0.5, 0.9):
        quantile = [float(t.ppf((1 + level) / 2, freedom)) for freedom in (2, 29)]
        whole = effect * (quantile[0] / quantile[1]) ** 2
        found, expected = share(hits, np.arange(30) // 10, level), wilson(15 / whole, 30 / whole, level)
        assert 1 < whole < 30 and (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("many", [1, 11])
def test_one_hit_or_one_miss_has_the_variance_between_groups(many: int) -> None:
    hits = np.arange(12) < many
    value, means = many / 12, hits.reshape(4, 3).mean(axis=1)
    effect = means.var(ddof=1) / 4 / (value * (1 - value) / 12) * (t.ppf(0.975, 3) / t.ppf(0.975, 11)) ** 2
    found, expected = share(hits, np.arange(12) // 3), wilson(many / effect, 12 / effect)
    assert 1 < effect < 3 and (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_share_without_hits_counts_as_kish_has_it() -> None:
    found = share(np.zeros(12, bool), np.repeat([0, 1, 2], [1, 2, 9]))
    effective = 12 * 12 / (1 + 4 + 81)
    assert (found.low, found.high) == (0.0, pytest.approx(wilson(0, effective).high))


def test_a_single_group_is_one_image() -> None:
    found = share(np.array([True, False]), np.zeros(2, int))
    assert (found.low, found.high) == (wilson(0.5, 1).low, wilson(0.5, 1).high)


def test_f1_is_twice_the_jaccard_index_over_one_more() -> None:
    found = f1_interval(Interval(0.5, 0.25, 1.0, 0.8, "wilson"))
    assert found == Interval(pytest.approx(2 / 3), pytest.approx(0.4), 1.0, 0.8, "wilson, of the Jaccard index")


def test_class_intervals_are_of_what_is_predicted_held_and_either() -> None:
    called, held = np.array([1, 1, 1, 0, 0, 0], bool), np.array([1, 1, 0, 1, 1, 0], bool)
    found = class_intervals(called, held)
    assert (found["precision"], found["recall"]) == (wilson(2, 3), wilson(2, 4))
    assert found["f1"] == f1_interval(wilson(2, 5))
    groups = np.array([0, 1, 1, 2, 2, 2])
    grouped = class_intervals(called, held, groups)
    assert grouped["precision"] == share(np.array([True, True, False]), groups[:3])
    assert class_intervals(np.zeros(3, bool), np.zeros(3, bool)) == {}
    assert class_intervals(np.array([True]), np.array([False])).keys() == {"precision", "f1"}


def area_of(scores: list[float], held: list[int], groups: list[int] | None = None, level: float = 0.95) -> Interval:
    positive = np.array(held, bool)
    area, pull = auroc_parts(np.array(scores), positive)
    return auroc_interval(area, pull, positive, None if groups is None else np.array(groups), level)


def test_the_interval_of_an_area_names_its_method_and_level() -> None:
    scores, held = [1.0, 4, 2, 3, 6, 5], [0, 0, 0, 1, 1, 1]
    found = area_of(scores, held)
    assert (found.value, found.method, found.level) == (pytest.approx(8 / 9), "delong", 0.95)
    grouped = area_of(scores, held, [0, 1, 2, 3, 4, 5])
    assert grouped.method == "delong, over groups"
    assert (grouped.low, grouped.high) == pytest.approx((found.low, found.high))
    narrow = area_of(scores, held, level=0.5)
    assert found.low < narrow.low < narrow.high < found.high and narrow.level == 0.5


def test_an_area_over_groups_is_unsure_by_the_sums_of_their_pulls() -> None:
    # Groups 0 and 2 hold images of both kinds, so that each counts among the units of either.
    scores, held = [1.0, 4, 2, 3.5, 6, 5, 0.5, 3], [0, 0, 0, 0, 1, 1, 1, 1]
    groups = [0, 1, 1, 2, 0, 3, 2, 4]
    found = area_of(scores, held, groups)
    area, pull = auroc_parts(np.array(scores), np.array(held, bool))
    scaled = pull * np.sqrt(np.where(held, 4 / 3, 3 / 2))  # units: 0, 2, 3, 4 and 0, 1, 2
    sums = np.bincount(groups, weights=scaled)
    error = max((scaled**2).sum(), (sums**2).sum()) ** 0.5
    one = sum(scaled[[i]].sum() ** 2 for i in range(4, 8))
    other = scaled[0] ** 2 + scaled[[1, 2]].sum() ** 2 + scaled[3] ** 2
    freedom = (one + other) ** 2 / (one**2 / 3 + other**2 / 2)
    half = t.ppf(0.975, freedom) * error / (area * (1 - area))
    assert (logit(found.low), logit(found.high)) == pytest.approx((logit(area) - half, logit(area) + half))


def test_areas_whose_variance_is_unknown_are_wilsons_of_the_rarest() -> None:
    for scores, value in (([1.0, 2, 3, 4, 5], 1.0), ([5.0, 4, 3, 2, 1], 0.0)):
        found, expected = area_of(scores, [0, 0, 0, 1, 1]), wilson(2 * value, 2)
        assert (found.value, found.low, found.high) == (value, expected.low, expected.high)
        assert (found.level, found.method) == (0.95, "wilson")
    equal, expected = area_of([1.0] * 7, [0, 0, 0, 0, 1, 1, 1]), wilson(1.5, 3)
    assert (equal.value, equal.low, equal.high, equal.method) == (0.5, expected.low, expected.high, "wilson")
    single, expected = area_of([1.0, 3, 4, 2], [0, 0, 0, 1]), wilson(1 / 3, 1)
    assert (single.low, single.high, single.method) == (expected.low, expected.high, "wilson")
    grouped = area_of([1.0, 2.5, 3, 4, 2, 5], [0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 3, 3], level=0.8)
    expected = wilson(grouped.value, 1, 0.8)  # the anomalous ones are one group
    assert (grouped.low, grouped.high, grouped.level) == (expected.low, expected.high, 0.8)


def test_two_images_on_each_side_have_a_variance() -> None:
    assert area_of([1.0, 3, 2, 4], [0, 0, 1, 1]).method == "delong"
