"""Intervals of all figures: against other implementations, and by how often they hold the truth."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keensight.assess.metrics import evaluate
from keensight.assess.uncertainty import auroc_interval, auroc_parts, class_intervals, f1_interval, share
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
    found = auroc_interval(area, pull, 3)
    assert found.value == found.high == 1.0
    assert found.low < 0.6


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
