"""Intervals of all figures: against other implementations, and by how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from keensight.assess.bootstrap import _basic, _resampled
from keensight.assess.intervals import auroc_interval, auroc_parts, class_intervals, f1_interval, share, wilson
from keensight.assess.metrics import accuracy_without, evaluate
from keensight.core.prototypes import softmax
from keensight.core.records import LabelSet

LABELS = LabelSet(("a", "b", "c"))


def _drawn(n: int, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, 3))
    targets = (rng.random((n, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1)
    return softmax(sharpness * logits).astype(np.float32), targets


def test_areas_are_scikit_learns() -> None:
    probabilities, targets = _drawn(300, 0)
    found = evaluate(probabilities, targets, LABELS)
    for i, row in enumerate(found.per_class):
        assert row.auroc == pytest.approx(roc_auc_score(targets == i, probabilities[:, i]))
    assert found.auroc == pytest.approx(roc_auc_score(targets, probabilities, multi_class="ovr"), abs=1e-6)


def test_the_pull_of_images_is_that_of_leaving_one_out() -> None:
    rng = np.random.default_rng(0)
    scores, held = rng.normal(size=40), np.arange(40) < 15
    area, pull = auroc_parts(scores, held)
    assert pull.sum() == pytest.approx(0, abs=1e-12)
    without = [roc_auc_score(np.delete(held, i), np.delete(scores, i)) for i in range(15)]
    np.testing.assert_allclose(14 * (area - np.array(without)), 15 * pull[:15], atol=1e-9)


def test_equal_scores_count_half() -> None:
    area, _ = auroc_parts(np.array([0.5, 0.5, 0.5, 0.5]), np.array([True, False, True, False]))
    assert area == 0.5


def test_an_area_of_one_has_an_interval() -> None:
    area, pull = auroc_parts(np.arange(10.0), np.arange(10) > 6)
    found = auroc_interval(area, pull, np.arange(10) > 6)
    assert found.value == found.high == 1.0
    assert found.low < 0.6


@pytest.mark.slow
def test_intervals_hold_the_truth_nineteen_times_in_twenty() -> None:
    probabilities, targets = _drawn(200_000, 0, sharpness=1.5)
    truth = evaluate(probabilities, targets, LABELS)
    hits: dict[str, list[bool]] = {}
    for seed in range(1, 201):
        found = evaluate(*_drawn(150, seed, sharpness=1.5), LABELS)
        ends = dict(found.intervals) | {f"class {name}": one for name, one in found.per_class[0].intervals.items()}
        for name, one in ends.items():
            row = truth.per_class[0] if name.startswith("class ") else truth
            value = getattr(row, name.removeprefix("class "))
            hits.setdefault(name, []).append(one.low <= value <= one.high)
    assert {"loss", "brier", "ece", "macro_f1", "auroc", "class f1", "class recall"} <= hits.keys()
    for name, held in hits.items():
        assert np.mean(held) >= 0.91, name  # of 200 at 95% fewer than 0.91 are seen once in 100


def test_images_of_one_group_make_intervals_wider() -> None:
    probabilities, targets = _drawn(100, 0)
    each = np.repeat(np.arange(100), 5)
    plain = evaluate(probabilities[each], targets[each], LABELS)
    grouped = evaluate(probabilities[each], targets[each], LABELS, groups=each)
    single = evaluate(probabilities, targets, LABELS)

    def width(found, name):
        one = found.intervals[name]
        return one.high - one.low

    for name in ("loss", "brier", "macro_f1", "auroc"):
        assert width(grouped, name) > 1.8 * width(plain, name)
        assert width(grouped, name) == pytest.approx(width(single, name), rel=0.15)
        assert "groups" in grouped.intervals[name].method


def test_a_class_that_is_never_named_has_no_precision_interval() -> None:
    found = class_intervals(np.zeros(4, bool), np.array([True, False, False, False]))
    assert found.keys() == {"recall", "f1"}
    assert found["f1"].value == 0.0


def test_f1_rises_with_the_jaccard_index() -> None:
    found = f1_interval(wilson(8, 12))
    assert found.value == pytest.approx(16 / 20)
    assert found.low < found.value < found.high


def test_shares_of_groups_count_as_their_effective_number() -> None:
    hits = np.repeat([True, False, True, True], 10)
    grouped, plain = share(hits, np.repeat(np.arange(4), 10)), share(hits)
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)


def test_what_the_temperature_changed_is_told() -> None:
    probabilities, targets = _drawn(2_000, 0)
    found = evaluate(probabilities, targets, LABELS, temperature=2.0).calibration
    sharper = evaluate(*_drawn(2_000, 0, sharpness=2.0), LABELS)
    assert found is not None and found.temperature == 2.0
    assert found.loss_before == pytest.approx(sharper.loss, rel=1e-3)
    assert found.ece_before == pytest.approx(sharper.ece, abs=2e-3)


def test_the_change_by_the_temperature_has_a_paired_interval() -> None:
    probabilities, targets = _drawn(400, 0)
    found = evaluate(probabilities, targets, LABELS, temperature=2.0)
    assert found.calibration is not None
    change, loss = found.intervals["loss_change"], found.intervals["loss"]
    assert change.value == pytest.approx(found.loss - found.calibration.loss_before)
    assert change.low < change.value < change.high < 0
    assert change.high - change.low < loss.high - loss.low
    assert found.headline()["loss_change_ci"] == [change.low, change.high]
    grouped = evaluate(probabilities, targets, LABELS, temperature=2.0, groups=np.arange(400) // 8)
    assert "groups" in grouped.intervals["loss_change"].method
    assert "loss_change" not in evaluate(probabilities, targets, LABELS).intervals


def test_all_right_in_few_groups_is_not_all_right_in_many_images() -> None:
    found = share(np.ones(40, bool), np.repeat(np.arange(4), 10))
    assert (found.low, found.high) == pytest.approx((wilson(4, 4).low, 1.0))
    assert share(np.array([True, False, True]), np.zeros(3, int)).low < 0.1


def test_copies_in_groups_tell_no_more_of_an_area_than_the_images_themselves() -> None:
    rng = np.random.default_rng(0)
    held = np.arange(30) < 6
    scores, each = rng.normal(size=30) + held, np.repeat(np.arange(30), 4)
    single = auroc_interval(*auroc_parts(scores, held), held)
    grouped = auroc_interval(*auroc_parts(scores[each], held[each]), held[each], each)
    assert (grouped.low, grouped.high) == pytest.approx((single.low, single.high))


def test_the_variance_of_an_area_is_delongs() -> None:
    rng = np.random.default_rng(0)
    held = np.arange(400) < 150
    scores = rng.normal(size=400) + held
    area, pull = auroc_parts(scores, held)
    above = (scores[held][:, None] > scores[~held]).astype(float)
    variance = above.mean(axis=1).var(ddof=1) / 150 + above.mean(axis=0).var(ddof=1) / 250
    found = auroc_interval(area, pull, held)
    half = np.log(found.high / (1 - found.high)) - np.log(area / (1 - area))
    assert half / 1.96 == pytest.approx(variance**0.5 / (area * (1 - area)), rel=0.01)


def test_one_image_of_a_class_tells_little_of_its_area() -> None:
    held = np.arange(50) == 20
    found = auroc_interval(*auroc_parts(np.arange(50.0), held), held)
    assert found.high - found.low > 0.5


def test_resamples_of_small_classes_vary_as_means_do() -> None:
    values = np.random.default_rng(0).normal(size=8)
    strata = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    sums = _resampled(np.stack([values, np.ones(8)], axis=1), strata, 20_000, 0)
    np.testing.assert_allclose(sums[:, 1], 8, rtol=1e-6)
    expected = sum(part.size * part.var(ddof=1) for part in (values[:5], values[5:]))
    assert sums[:, 0].var() == pytest.approx(expected, rel=0.05)


def test_classes_of_one_image_are_resampled_together() -> None:
    sums = _resampled(np.eye(4), np.array([0, 1, 1, 2]), 200, 0)
    assert (sums[:, 0] + sums[:, 3] == pytest.approx(2)) and len(np.unique(sums[:, 0])) > 1
    assert np.isfinite(_resampled(np.ones((1, 1)), np.zeros(1, int), 5, 0)).all()


def _quantile(freedom: float) -> float:
    return float(t.ppf(0.975, freedom))


@pytest.mark.parametrize("hits_of_ten", [(10, 0, 10, 10, 0, 10, 10, 0), (6, 5), (9, 1, 5)])
def test_the_design_effect_is_that_of_the_variance_between_groups_with_students_t(hits_of_ten: tuple[int, ...]) -> None:
    hits = np.concatenate([np.arange(10) < count for count in hits_of_ten])
    k, n = len(hits_of_ten), len(hits)
    means = np.array(hits_of_ten) / 10
    effect = means.var(ddof=1) / k / (hits.mean() * (1 - hits.mean()) / n)  # of equal groups: the mean of k means
    effect *= (_quantile(k - 1) / _quantile(n - 1)) ** 2
    assert 1 < effect < n
    found, expected = share(hits, np.repeat(np.arange(k), 10)), wilson(hits.sum() / effect, n / effect)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_groups_that_even_one_another_out_make_no_interval_shorter() -> None:
    hits = np.tile([True, False], 30)
    found, alone = share(hits, np.repeat(np.arange(30), 2)), share(hits)
    assert (found.low, found.high) == (alone.low, alone.high)


def test_few_images_of_a_class_reach_as_far_as_welch_and_satterthwaite_have_it() -> None:
    scores = np.array([2.0, 0.4, 1.1, 3.0, 0.2, 0.1, 0.7, 0.3, 1.5, 0.6, 0.5])
    held = np.arange(11) < 4
    area, pull = auroc_parts(scores, held)
    above = (scores[held][:, None] > scores[~held]).astype(float)
    one, other = above.mean(axis=1).var(ddof=1) / 4, above.mean(axis=0).var(ddof=1) / 7
    freedom = (one + other) ** 2 / (one**2 / 3 + other**2 / 6)
    half = _quantile(freedom) * (one + other) ** 0.5 / (area * (1 - area))
    found = auroc_interval(area, pull, held)
    odds = np.log(area / (1 - area))
    expected = [1 / (1 + np.exp(-(odds + sign * half))) for sign in (-1, 1)]
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_class_of_one_group_alone_has_an_f1_that_is_hardly_known() -> None:
    right = np.ones(100, bool)
    found = class_intervals(right, right, np.zeros(100, int))
    assert found["f1"].value == found["f1"].high == 1.0
    # F1 = 2J / (1 + J), and of J no more is known than of recall: one group.
    assert found["f1"].low == pytest.approx(2 * found["recall"].low / (1 + found["recall"].low))
    assert found["recall"].low == pytest.approx(wilson(1, 1).low)


def test_groups_of_uneven_size_that_are_all_right_count_as_kish_has_it() -> None:
    found = share(np.ones(12, bool), np.repeat([0, 1, 2], [1, 2, 9]))
    effective = 12 * 12 / (1 + 4 + 81)
    assert found.low == pytest.approx(wilson(effective, effective).low)


def test_two_groups_that_differ_count_as_one_image_at_least() -> None:
    found = share(np.array([True, True, False, False]), np.array([0, 0, 1, 1]))
    assert (found.low, found.high) == (wilson(0.5, 1).low, wilson(0.5, 1).high)


def test_pulls_that_cancel_out_within_groups_make_no_area_surer() -> None:
    rng = np.random.default_rng(3)
    held = np.arange(40) < 20
    scores = rng.normal(size=40) + held
    area, pull = auroc_parts(scores, held)
    groups = np.empty(40, int)
    groups[np.flatnonzero(held)[np.argsort(pull[held])]] = np.arange(20)
    groups[np.flatnonzero(~held)[np.argsort(-pull[~held])]] = np.arange(20)
    assert np.abs(np.bincount(groups, weights=pull)).sum() < 0.5 * np.abs(pull).sum()
    grouped, single = auroc_interval(area, pull, held, groups), auroc_interval(area, pull, held)
    assert (grouped.low, grouped.high) == pytest.approx((single.low, single.high))


def test_where_all_are_in_order_the_rarest_class_counts() -> None:
    held = np.arange(10) > 6
    found = auroc_interval(*auroc_parts(np.arange(10.0), held), held)
    assert found.low == wilson(3, 3).low


def test_a_class_of_one_image_leaves_the_mean_area_its_interval() -> None:
    probabilities, targets = _drawn(120, 0)
    targets = np.where(targets == 2, 1, targets)
    targets[0] = 2
    found = evaluate(probabilities, targets, LABELS)
    assert found.intervals["auroc"].method == "delong"
    assert found.per_class[2].intervals["auroc"].method == "wilson"


def test_the_mean_area_of_two_classes_is_that_of_each() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 80)
    p = softmax(rng.normal(size=(80, 2)) + np.eye(2)[targets])
    found = evaluate(p, targets, LabelSet(("a", "b")))
    mean, one = found.intervals["auroc"], found.per_class[0].intervals["auroc"]
    assert (mean.low, mean.high) == pytest.approx((one.low, one.high))


def test_intervals_hold_their_own_figure_and_stay_where_it_can_be() -> None:
    for seed in range(25):
        probabilities, targets = _drawn(7, seed, sharpness=4.0)
        found = evaluate(probabilities, targets if seed % 2 else (targets + 1) % 3, LABELS)
        for name, one in found.intervals.items():
            highest = {"loss": np.inf, "brier": 2.0}.get(name, 1.0)
            assert 0 <= one.low <= one.value <= one.high <= highest
            assert one.value == pytest.approx(getattr(found, name), rel=1e-5)


def test_the_interval_of_a_skewed_loss_reaches_further_up_than_down() -> None:
    right = np.arange(100) >= 4
    p = np.where(right[:, None], [0.9, 0.05, 0.05], [0.01, 0.98, 0.01])
    loss = evaluate(p, np.zeros(100, int), LABELS).intervals["loss"]
    assert loss.high - loss.value > 1.2 * (loss.value - loss.low)


def test_a_calibration_error_that_luck_explains_reaches_0_and_its_upper_side_is_no_shorter() -> None:
    honest = [evaluate(*_drawn(100, seed), LABELS).intervals["ece"] for seed in range(12)]
    assert sum(one.low == 0 for one in honest) >= 10
    too_sure = [evaluate(*_drawn(300, seed, sharpness=4.0), LABELS).intervals["ece"] for seed in range(4)]
    for one in too_sure:
        assert one.low > 0
        assert one.high - one.value >= one.value - one.low - 1e-9


def test_a_calibration_error_of_alike_images_reaches_0_as_of_one_each() -> None:
    each = np.repeat(np.arange(60), 8)
    reach = 0
    for seed in range(8):
        probabilities, targets = _drawn(60, seed)
        reach += evaluate(probabilities[each], targets[each], LABELS, groups=each).intervals["ece"].low == 0
    assert reach >= 6


def test_a_single_class_of_one_image_is_resampled_with_another() -> None:
    sums = _resampled(np.eye(4), np.array([0, 1, 1, 1]), 200, 0)
    assert len(np.unique(sums[:, 0])) > 1


def test_groups_are_resampled_within_their_class() -> None:
    targets = np.repeat([0, 1], 40)
    p = np.where(targets[:, None] == 0, [0.8, 0.1, 0.1], [0.6, 0.3, 0.1])
    loss = evaluate(p, targets, LABELS, groups=np.arange(80) // 4).intervals["loss"]
    assert loss.high - loss.low < 1e-3  # within a class all losses are alike


def test_every_interval_of_alike_images_is_as_long_as_of_one_each() -> None:
    probabilities, targets = _drawn(90, 1)
    each = np.repeat(np.arange(90), 5)
    single = evaluate(probabilities, targets, LABELS)
    grouped = evaluate(probabilities[each], targets[each], LABELS, groups=each)
    for one, other in zip([single, *single.per_class], [grouped, *grouped.per_class], strict=True):
        pairs = [(one.intervals[name], other.intervals[name]) for name in one.intervals]
        pairs += [(single.accuracy, grouped.accuracy)]
        for a, b in pairs:
            assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.25)
    out = np.arange(450) < 50
    assert accuracy_without(probabilities[each], targets[each], out, each) == share(
        (probabilities.argmax(axis=1) == targets)[each][~out], each[~out]
    )


def test_few_large_groups_among_many_small_have_few_degrees_of_freedom() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([1] * 40 + [30, 12, 7])
    groups = np.repeat(np.arange(43), sizes)
    hits = rng.random(len(groups)) < rng.uniform(0.2, 1, 43)[groups]
    n, value, weights = len(hits), hits.mean(), sizes / len(groups)
    # The sum of squares over groups is h' A h of the groups' means h: Bell and McCaffrey's form, written out.
    less = np.eye(43) - weights
    form = less.T @ np.diag(weights**2) @ less
    freedom = np.trace(form) ** 2 / np.trace(form @ form)
    squares = (np.bincount(groups, weights=hits - value) ** 2).sum() / n**2
    effect = squares * (weights**2).sum() / np.trace(form) / (value * (1 - value) / n)
    effect *= (_quantile(freedom) / _quantile(n - 1)) ** 2
    assert freedom < 5 and effect < n
    found, expected = share(hits, groups), wilson(hits.sum() / effect, n / effect)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_intervals_hold_the_truth_in_clusters_of_uneven_size() -> None:
    rng, held = np.random.default_rng(0), 0
    sizes = np.arange(1, 31)
    for _ in range(300):
        groups = np.repeat(np.arange(40), rng.choice(sizes, 40, p=sizes**-1.8 / (sizes**-1.8).sum()))
        found = share((rng.random(40) < 0.8)[groups], groups)
        held += found.low <= 0.8 <= found.high
    assert held / 300 > 0.92


def test_a_class_that_neither_occurs_nor_is_named_counts_with_0_in_the_macro_f1() -> None:
    p = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.7, 0.3, 0]])
    found = evaluate(p, np.array([0, 1, 0]), LABELS)
    assert found.intervals["macro_f1"].value == found.macro_f1 == pytest.approx(2 / 3)


def test_the_interval_of_a_calibration_error_mirrors_the_resamples_about_the_value():
    draws = np.linspace(0.01, 0.11, 1001)  # 95% of them are from 0.0125 to 0.1075
    assert _basic(0.1, draws, np.zeros(9)) == pytest.approx((0.0925, 0.1875), abs=1e-3)
    assert _basic(0.1, draws, np.full(9, 0.2))[0] == 0.0
    assert _basic(0.1, draws + 0.05, np.zeros(9)) == pytest.approx((0.0425, 0.1575), abs=1e-3)
    assert _basic(0.05, draws + 0.05, np.zeros(9)) == pytest.approx((0.0, 0.1), abs=1e-3)


def test_classes_of_one_image_are_resampled_together_and_those_of_two_alone() -> None:
    strata = np.array([0, 1, 2, 2, 3, 3, 3])
    sums = _resampled((strata[:, None] == np.arange(4)).astype(float), strata, 50, 0)
    assert (sums[:, 2] == 2).all() and (sums[:, 3] == 3).all()
    assert (sums[:, 0] + sums[:, 1] == 2).all() and sums[:, 0].std() > 0
    two = strata[2:]
    assert (_resampled((two[:, None] == [2, 3]).astype(float), two, 50, 0) == [2, 3]).all()
