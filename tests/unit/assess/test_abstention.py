import numpy as np
import pytest

from keensight.assess.abstention import choose, measure, precise_threshold, risk_coverage
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
