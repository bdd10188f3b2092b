"""Two models on the same images."""

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
