"""Intervals of all figures: against other implementations, and by how often they hold the truth."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keensight.assess.bootstrap import _resampled
from keensight.assess.metrics import evaluate
from keensight.assess.uncertainty import auroc_interval, auroc_parts, class_intervals, f1_interval, share, wilson
from keensight.core.nearest import softmax
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
        assert np.mean(held) >= 0.91, name  # of 200 at 95 % fewer than 0.91 are seen once in 100


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
    found = f1_interval(8, 4)
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
