"""Two models on the same images."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, log_loss

from keensight.assess.intervals import wilson
from keensight.assess.paired import bootstrap, difference, flip_groups, group_difference, mcnemar


def test_mcnemar_is_the_exact_binomial_test():
    for only_first, only_second in ((3, 12), (10, 10), (0, 6), (25, 9)):
        assert mcnemar(only_first, only_second) == binomtest(only_second, only_first + only_second, 0.5).pvalue
    assert mcnemar(0, 0) == 1.0


def test_newcombes_interval_is_that_of_his_paper():
    # Newcombe 1998 (Statistics in Medicine 17, 2635), table III, first example: 36, 12, 2, 0 of 50, method 10.
    first = np.repeat([True, False, True, False], [36, 2, 12, 0])
    second = np.repeat([True, True, False, False], [36, 2, 12, 0])
    found = difference(second, first)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0569, 0.3404), abs=5e-4)


def test_the_interval_of_the_difference_holds_its_level():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        easy = rng.random(150) < 0.7
        first = easy | (rng.random(150) < 0.3)
        second = easy | (rng.random(150) < 0.5)
        found = difference(first, second)
        held += found.low <= 0.3 * 0.2 <= found.high
    assert held / 400 > 0.92


def test_bootstrapped_figures_are_scikit_learns():
    rng = np.random.default_rng(0)
    first, second = (rng.dirichlet(np.ones(3), 200).astype(np.float32) for _ in range(2))
    targets = rng.integers(0, 3, 200)
    found = bootstrap(first, second, targets)
    f1 = [f1_score(targets, p.argmax(1), average="macro") for p in (first, second)]
    assert found["macro_f1"].value == pytest.approx(f1[1] - f1[0])
    exact = [p.astype(np.float64) / p.sum(axis=1, dtype=np.float64)[:, None] for p in (first, second)]
    loss = [log_loss(targets, p, labels=[0, 1, 2]) for p in exact]
    assert found["loss"].value == pytest.approx(loss[1] - loss[0], rel=1e-3)
    assert found["loss"].low < found["loss"].value < found["loss"].high


def _flips(rng, groups):
    who = np.repeat(np.arange(groups), 8)
    odd, better = rng.random(groups) < 0.3, rng.random(groups) < 0.5
    return ~(odd & better)[who], ~(odd & ~better)[who], who


def test_flipping_groups_keeps_its_level_where_images_alone_would_not():
    rng = np.random.default_rng(0)
    grouped = alone = 0
    for _ in range(150):
        first, second, who = _flips(rng, 60)
        grouped += flip_groups(first, second, who) <= 0.05
        alone += mcnemar(int((first & ~second).sum()), int((second & ~first).sum())) <= 0.05
    assert grouped / 150 < 0.1 < 0.3 < alone / 150


def test_newcombes_correction_takes_a_weak_correlation_for_none():
    # both 10, first alone 9, second alone 9, neither 10: 10 * 10 - 9 * 9 = 19 is no more than half of 38.
    first = np.repeat([True, True, False, False], [10, 9, 9, 10])
    second = np.repeat([True, False, True, False], [10, 9, 9, 10])
    half = 2**0.5 * (wilson(19, 38).high - 0.5)
    found = difference(first, second)
    assert (found.low, found.high) == pytest.approx((-half, half))


def test_a_p_value_of_flips_is_never_0():
    better = np.ones(40, bool)
    assert flip_groups(~better, better, np.arange(40)) == 1 / 10_001


def test_the_bootstrapped_interval_is_of_the_second_less_the_first_and_counts_groups():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 100)
    first, second = (rng.dirichlet(np.ones(3), 100) + gain * np.eye(3)[targets] for gain in (0, 1))
    first, second = ((p / p.sum(axis=1, keepdims=True)).astype(np.float32) for p in (first, second))
    single = bootstrap(first, second, targets)
    assert single["accuracy"].low > 0 > single["loss"].high
    each = np.repeat(np.arange(100), 6)
    grouped = bootstrap(first[each], second[each], targets[each], each)
    for name, one in single.items():
        assert grouped[name].high - grouped[name].low == pytest.approx(one.high - one.low, rel=0.15)


def test_the_interval_of_groups_is_that_of_images_if_each_is_alone_and_wider_if_they_agree():
    rng = np.random.default_rng(0)
    first, second = rng.random(300) < 0.8, rng.random(300) < 0.7
    alone = group_difference(first, second, np.arange(300))
    expected = difference(first, second)
    assert alone.value == pytest.approx(expected.value)
    assert (alone.low, alone.high) == pytest.approx((expected.low, expected.high), abs=0.01)
    together = group_difference(first.repeat(4), second.repeat(4), np.arange(300).repeat(4))
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), abs=1e-9)


def test_exchanging_the_models_mirrors_the_bootstrapped_intervals():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 200)
    first, second = (rng.dirichlet([1, 1, 1], 200) + share * np.eye(3)[targets] for share in (0.3, 0.5))
    first, second = ((one / one.sum(axis=1, keepdims=True)).astype(np.float32) for one in (first, second))
    there, back = bootstrap(first, second, targets), bootstrap(second, first, targets)
    for name, found in there.items():
        assert (found.low, found.high) == pytest.approx((-back[name].high, -back[name].low))


def test_a_flip_of_groups_that_is_as_extreme_as_what_was_seen_counts() -> None:
    better = np.ones(12, bool)
    # Of two groups both better: one of two flips is as far from 0; of three: one of four.
    assert flip_groups(~better, better, np.arange(12) // 6) == pytest.approx(1 / 2, abs=0.02)
    assert flip_groups(~better, better, np.arange(12) // 4) == pytest.approx(1 / 4, abs=0.02)
    assert flip_groups(better, ~better, np.arange(12) // 4) == pytest.approx(1 / 4, abs=0.02)


def test_groups_in_which_the_models_are_alike_say_nothing() -> None:
    first, second = np.array([True, False, False, True]), np.array([False, True, False, True])
    assert flip_groups(first, second, np.zeros(4, int)) == 1.0
    assert flip_groups(first, second, np.array([0, 1, 2, 2])) == 1.0, "one group better and one worse"


def test_newcombes_interval_of_correlated_answers() -> None:
    # both 20, only first 5, only second 10, neither 15; 20 * 15 - 5 * 10 = 250, less half of 50 (his correction).
    first = np.repeat([True, True, False, False], [20, 5, 10, 15])
    second = np.repeat([True, False, True, False], [20, 5, 10, 15])
    phi = (250 - 25) / math.sqrt(30 * 20 * 25 * 25)
    a, b = wilson(30, 50), wilson(25, 50)

    def side(one: float, other: float) -> float:
        return math.sqrt(one**2 - 2 * phi * one * other + other**2)

    found = difference(first, second)
    below, above = side(0.6 - a.low, b.high - 0.5), side(0.5 - b.low, a.high - 0.6)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1 - below, 0.1 + above))
    assert (found.level, found.method) == (0.95, "Newcombe")


def test_where_one_model_is_never_right_the_answers_do_not_correlate() -> None:
    first, second = np.arange(40) < 20, np.zeros(40, bool)
    a, b = wilson(0, 40), wilson(20, 40)
    found = difference(first, second)
    assert found.low == pytest.approx(-0.5 - (b.high - 0.5))
    assert found.high == pytest.approx(-0.5 + math.hypot(0.5 - b.low, a.high))
    two = np.array([True, False])  # 1 * 1 - 0 * 0 = 1 is no more than half of 2
    assert difference(two, two).high == pytest.approx(math.sqrt(2) * (wilson(1, 2).high - 0.5))
    both = difference(np.ones(40, bool), np.ones(40, bool))
    assert (both.value, both.low, both.high) == pytest.approx((0, wilson(40, 40).low - 1, 1 - wilson(40, 40).low))


def test_the_interval_of_groups_leaves_out_a_fortieth_on_each_side() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(30), rng.integers(1, 9, 30))
    first, second = rng.random(len(groups)) < 0.6, rng.random(len(groups)) < 0.8
    found = group_difference(first, second, groups)
    gains = [second[groups == g].sum() - int(first[groups == g].sum()) for g in range(30)]
    drawn = np.random.default_rng(9).multinomial(30, np.full(30, 1 / 30), size=4000)
    low, high = np.quantile((drawn @ gains) / (drawn @ np.bincount(groups)), [0.025, 0.975])
    assert found.value == pytest.approx(second.mean() - first.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))
    assert (found.level, found.method) == (0.95, "paired bootstrap of groups")


def _two_models(n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 3, n)
    first, second = (rng.dirichlet(np.ones(3), n) + share * np.eye(3)[targets] for share in (0.3, 0.5))
    first, second = ((one / one.sum(axis=1, keepdims=True)).astype(np.float32) for one in (first, second))
    return first, second, targets


def test_a_bootstrapped_interval_leaves_out_what_its_level_says() -> None:
    first, second, targets = _two_models()
    one, other = (-np.log(p[np.arange(60), targets]) for p in (first, second))
    draws = np.random.default_rng(5).multinomial(60, np.full(60, 1 / 60), size=4000) @ (other - one) / 60
    for level in (0.95, 0.8):
        found = bootstrap(first, second, targets, level=level)["loss"]
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))
        assert (found.value, found.level) == (pytest.approx((other - one).mean(), rel=1e-5), level)
    unstated = bootstrap(first, second, targets)["accuracy"]
    assert (unstated.level, unstated.method) == (0.95, "paired bootstrap")
    assert bootstrap(first, second, targets, np.arange(60))["loss"].method == "paired bootstrap of groups"


def test_without_a_seed_it_is_0_and_another_draws_otherwise() -> None:
    first, second, targets = _two_models()
    right, better, groups = first.argmax(1) == targets, second.argmax(1) == targets, np.arange(60) // 3
    flips = [flip_groups(right, better, groups, **seed) for seed in ({}, {"seed": 0}, {"seed": 1})]
    assert flips[0] == flips[1] != flips[2]
    ways = [group_difference(right, better, groups, **seed) for seed in ({}, {"seed": 0}, {"seed": 1})]
    assert ways[0] == ways[1] != ways[2]
    draws = [bootstrap(first, second, targets, **seed)["loss"] for seed in ({}, {"seed": 0}, {"seed": 1})]
    assert draws[0] == draws[1] != draws[2]


def test_a_class_that_neither_occurs_nor_is_predicted_has_an_f1_of_0() -> None:
    wrong, right = np.array([[0.1, 0.9, 0]] * 4, np.float32), np.array([[0.9, 0.1, 0]] * 4, np.float32)
    found = bootstrap(wrong, right, np.zeros(4, int))
    assert found["macro_f1"].value == pytest.approx(1 / 3)
    assert (found["accuracy"].value, found["accuracy"].low, found["accuracy"].high) == (1, 1, 1)
    assert found["loss"].value == pytest.approx(math.log(0.1) - math.log(0.9), rel=1e-6)
