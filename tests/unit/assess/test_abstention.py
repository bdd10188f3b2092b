import math

import numpy as np
import pytest
from scipy.stats import beta

from keensight.assess.abstention import choose, measure, precise_threshold, risk_coverage
from keensight.assess.intervals import wilson
from keensight.core.predictions import Decision
from keensight.core.prototypes import softmax
from keensight.errors import DataError


def _drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    honest = softmax(2 * rng.normal(size=(n, 4)))
    return honest.astype(np.float32), (rng.random((n, 1)) > honest.cumsum(axis=1)).sum(axis=1)


@pytest.mark.slow
def test_a_stated_precision_holds_on_new_images_nine_times_in_ten() -> None:
    new = _drawn(20_000, 1)
    reached = []
    for seed in range(2, 102):
        rule = choose(*_drawn(400, seed), precision=0.85)
        found = measure(*new, rule)
        assert found.accuracy is not None
        reached.append(found.accuracy.value >= 0.85 or (rule.reached or 0) < 0.85)
    assert np.mean(reached) >= 0.9
    assert found.answered.value > 0.05, "a rule that never answers would keep any promise"


def test_a_precision_beyond_reach_says_so() -> None:
    rule = choose(*_drawn(60, 0), precision=0.999)
    assert rule.asked == 0.999
    assert rule.reached is not None and rule.reached < 0.999


def test_coverage_is_that_of_the_validation_images() -> None:
    probabilities, targets = _drawn(1_000, 0)
    rule = choose(probabilities, targets, coverage=0.7)
    assert rule.accepts(probabilities).mean() == pytest.approx(0.7, abs=0.002)
    assert rule.reached == pytest.approx(0.7, abs=0.002)


def test_sets_hold_their_level_on_new_images() -> None:
    new = _drawn(20_000, 1)
    covered = []
    for seed in range(2, 102):
        held = choose(*_drawn(200, seed), set_level=0.9).members(new[0])
        assert held is not None
        covered.append(held[np.arange(len(held)), new[1]].mean())
    assert 0.895 <= np.mean(covered) <= 0.915


def test_sets_of_too_few_images_are_not_made() -> None:
    assert choose(*_drawn(8, 0), set_level=0.9).set_threshold is None
    assert choose(*_drawn(9, 0), set_level=0.9).set_threshold is not None


def test_the_most_probable_class_is_always_in_the_set() -> None:
    held = Decision(set_level=0.9, set_threshold=0.9).members(np.array([[0.4, 0.35, 0.25], [0.95, 0.03, 0.02]]))
    assert held is not None
    np.testing.assert_array_equal(held, [[True, False, False], [True, False, False]])


def test_without_a_target_every_image_is_answered() -> None:
    probabilities, targets = _drawn(100, 0)
    found = measure(probabilities, targets, choose(probabilities, targets))
    assert found.answered.value == 1.0
    assert found.set_coverage is None and found.unlike is None


def test_what_is_unlike_the_training_images_gets_no_answer() -> None:
    probabilities, targets = _drawn(100, 0)
    odd = np.arange(100) < 30
    found = measure(probabilities, targets, Decision(), odd)
    assert found.answered.value == pytest.approx(0.7)
    assert found.unlike is not None and found.unlike.value == pytest.approx(0.3)
    nothing = measure(probabilities, targets, Decision(), np.ones(100, bool))
    assert nothing.accuracy is None and nothing.answered.value == 0.0


def test_the_curve_ends_at_the_accuracy_of_all() -> None:
    probabilities, targets = _drawn(1_000, 0)
    points, area = risk_coverage(probabilities, targets)
    assert len(points) <= 100
    assert points[-1] == (1.0, pytest.approx((probabilities.argmax(axis=1) == targets).mean()))
    shuffled = risk_coverage(np.full((4, 2), 0.5, np.float32), np.array([0, 1, 0, 1]))
    assert 0 < area < shuffled[1] < 1


def test_no_image_no_rule() -> None:
    with pytest.raises(DataError, match="no validation image"):
        choose(np.zeros((0, 3)), np.zeros(0, int))


def test_every_interval_of_alike_images_is_as_long_as_of_one_each() -> None:
    probabilities, targets = _drawn(120, 0)
    each, odd = np.repeat(np.arange(120), 6), np.arange(120) % 3 == 0
    rule = Decision(threshold=0.6, set_level=0.8, set_threshold=0.3)
    single = measure(probabilities, targets, rule, odd)
    grouped = measure(probabilities[each], targets[each], rule, odd[each], each)
    for name in ("answered", "accuracy", "unlike", "set_coverage"):
        one, other = getattr(single, name), getattr(grouped, name)
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.1), name


def test_a_tiny_coverage_answers_the_surest_image() -> None:
    probabilities, targets = _drawn(100, 0)
    assert choose(probabilities, targets, coverage=0.001).threshold == pytest.approx(probabilities.max())


def test_a_threshold_is_a_probability_though_rounding_goes_beyond() -> None:
    assert choose(np.full((10, 1), 1.0000001, np.float32), np.zeros(10, int), coverage=1.0).threshold == 1.0


def test_the_level_is_shared_out_among_some_sixty_thresholds() -> None:
    _, bound = precise_threshold(np.linspace(0, 1, 1000), np.ones(1000, bool), 0.5)
    assert (0.1 / 70) ** (1 / 1000) <= bound <= (0.1 / 40) ** (1 / 1000)


def test_a_bound_that_equals_what_was_asked_will_do() -> None:
    scores, right = np.linspace(1, 0, 200), np.arange(200) < 120
    lowest, bound = precise_threshold(scores, right, 0.0)
    assert lowest == 0.0
    assert precise_threshold(scores, right, bound) == (lowest, bound)


def test_sets_of_one_class_are_counted() -> None:
    p = np.array([[0.9, 0.05, 0.05], [0.5, 0.45, 0.05], [0.4, 0.3, 0.3], [0.8, 0.1, 0.1]])
    found = measure(p, np.zeros(4, int), Decision(set_level=0.9, set_threshold=0.25))
    assert (found.set_singles, found.set_size) == (0.5, (1 + 2 + 3 + 1) / 4)


def test_a_probability_that_rounding_left_below_the_threshold_reaches_it() -> None:
    rule = Decision(threshold=0.7)
    assert rule.accepts(np.array([[0.7, 0.3], [0.7 - 1e-7, 0.3], [0.69, 0.31]])).tolist() == [True, True, False]


def test_each_possible_threshold_of_ten_images_shares_the_level() -> None:
    """Clopper and Pearson's bound of k of k is the k-th root of the level, here of a tenth over ten thresholds."""
    scores = np.linspace(1, 0.1, 10)
    assert precise_threshold(scores, np.ones(10, bool), 0.5) == (pytest.approx(0.1), pytest.approx(0.01 ** (1 / 10)))
    right = np.arange(10) < 5
    assert precise_threshold(scores, right, 0.9) == (pytest.approx(0.6), pytest.approx(0.01 ** (1 / 5)))
    bound = beta.ppf(0.01, 5, 4)  # 5 of 8
    assert precise_threshold(scores, right, bound - 1e-9) == (pytest.approx(0.3), pytest.approx(bound))
    assert precise_threshold(scores, right, bound + 1e-9)[0] == pytest.approx(0.4)
    # The most confident one is right, no other: 1 of 1.
    assert precise_threshold(scores, np.arange(10) < 1, 0.9) == (pytest.approx(1), pytest.approx(0.01))
    # The level of a single threshold is not divided; a higher confidence lowers its bound.
    equal = np.full(10, 0.7)
    assert precise_threshold(equal, right, 0.9) == (0.7, pytest.approx(beta.ppf(0.1, 5, 6)))
    assert precise_threshold(equal, right, 0.9, 0.99) == (0.7, pytest.approx(beta.ppf(0.01, 5, 6)))


def test_predictions_that_are_all_wrong_guarantee_nothing() -> None:
    assert precise_threshold(np.linspace(1, 0.1, 10), np.zeros(10, bool), 0.9) == (pytest.approx(1), 0.0)


def test_thresholds_are_those_of_each_fortieth_and_of_ten_images_to_all_on_a_geometric_scale() -> None:
    tried = {25 * i for i in range(1, 41)} | {math.ceil(10 * 100 ** (i / 19) - 1e-9) for i in range(20)}
    scores = np.linspace(1, 0, 1000)
    whole = precise_threshold(scores, np.ones(1000, bool), 0.5)
    assert whole == (0.0, pytest.approx((0.1 / len(tried)) ** (1 / 1000)))
    # Where the first ten are right and no others, the threshold is that of the tenth.
    few = precise_threshold(scores, np.arange(1000) < 10, 0.9)
    assert few == (scores[9], pytest.approx((0.1 / len(tried)) ** (1 / 10)))


def test_a_coverage_takes_that_fraction_of_the_surest_images_and_those_equal_to_the_last() -> None:
    p = np.array([0.9, 0.8, 0.8, 0.7, 0.6])
    p = np.stack([p, 1 - p], axis=1)
    found = choose(p, np.zeros(5, int), coverage=0.4)
    assert (found.target, found.asked, found.threshold, found.reached, found.n) == ("coverage", 0.4, 0.8, 0.6, 5)
    assert choose(p, np.zeros(5, int), coverage=1.0).threshold == 0.6
    assert choose(p, np.zeros(5, int), precision=0.1, coverage=0.4).target == "precision"


@pytest.mark.parametrize(("level", "place"), [(0.9, 2), (0.95, 1), (0.85, 3), (0.5, 10)])
def test_a_set_threshold_is_that_true_class_of_a_fixed_place(level: float, place: int) -> None:
    """Of n = 19, the floor((1 - level) (n + 1))-th lowest (Sadinle, Lei and Wasserman 2019)."""
    true = np.random.default_rng(0).permutation(np.linspace(0.05, 0.95, 19))
    found = choose(np.stack([1 - true, true], axis=1), np.ones(19, int), set_level=level)
    assert (found.set_level, found.set_threshold) == (level, pytest.approx(0.05 * place))
    assert (found.threshold, found.target) == (0, None)


def test_figures_of_a_rule_on_other_images_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    rule = Decision(threshold=0.65, set_level=0.5, set_threshold=0.35)
    found = measure(p, np.array([0, 0, 0, 1]), rule)
    assert found.answered == wilson(3, 4)
    assert found.accuracy == wilson(2, 3)
    assert found.set_coverage == wilson(3, 4)  # the last set has both classes, the second one the wrong class
    assert (found.set_size, found.set_singles) == (1.25, 0.75)
    odd = measure(p, np.array([0, 0, 0, 1]), rule, np.array([False, True, False, False]))
    assert (odd.answered, odd.accuracy, odd.unlike) == (wilson(2, 4), wilson(2, 2), wilson(1, 4))


def test_the_curve_lists_accuracies_from_the_surest_image_on() -> None:
    p = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    points, area = risk_coverage(p, np.array([0, 0, 0]))
    assert points == tuple((pytest.approx(k / 3), pytest.approx(hit)) for k, hit in ((1, 1), (2, 1 / 2), (3, 2 / 3)))
    assert area == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)


@pytest.mark.parametrize(("n", "shown"), [(100, 100), (101, 100), (1000, 100)])
def test_a_curve_has_at_most_a_hundred_points_from_the_first_image_to_all(n: int, shown: int) -> None:
    points, _ = risk_coverage(*_drawn(n, 0))
    assert len(points) == shown
    assert (points[0][0], points[-1][0]) == (1 / n, 1.0)


def test_a_rule_for_a_precision_says_what_is_guaranteed() -> None:
    scores = np.linspace(0.95, 0.5, 10)
    p, targets = np.stack([scores, 1 - scores], axis=1), np.array([0] * 5 + [1] * 5)
    found = choose(p, targets, precision=0.9)
    assert (found.target, found.asked, found.n) == ("precision", 0.9, 10)
    assert (found.threshold, found.reached) == (pytest.approx(0.75), pytest.approx(0.01 ** (1 / 5)))  # 5 of 5
