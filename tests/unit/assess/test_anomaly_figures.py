"""Figures of an anomaly detector."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keensight.assess.anomaly import auroc, evaluate
from keensight.core.anomaly import Limits
from keensight.errors import DataError

LIMITS = Limits(1.0, 1.0, 0.05, 40)


@pytest.mark.slow
def test_the_area_is_scikit_learns_and_its_interval_holds_its_level():
    rng = np.random.default_rng(0)
    odd = np.arange(150) < 60
    held = 0
    for _ in range(300):
        scores = rng.normal(size=150) + odd
        found = auroc(scores, odd)
        assert found.value == pytest.approx(roc_auc_score(odd, scores))
        held += found.low <= 0.7602 <= found.high  # of two normals one deviation apart: Phi(1 / sqrt(2))
    assert 0.91 < held / 300 < 0.985


def test_all_told_apart_is_not_certain():
    found = auroc(np.arange(20.0), np.arange(20) >= 10)
    assert found.value == found.high == 1.0
    assert 0.5 < found.low < 0.99


def test_a_single_group_makes_nobody_sure():
    rng = np.random.default_rng(0)
    odd = np.arange(100) < 50
    scores = rng.normal(size=100) + 2 * odd
    alone, together = (auroc(scores, odd, groups) for groups in (None, np.zeros(100, int)))
    assert together.low < 0.25 < 0.85 < alone.low


def test_every_figure_of_alike_images_is_as_unsure_as_of_one_each():
    rng = np.random.default_rng(0)
    scores, kinds = rng.normal(0.8, 0.4, 40).astype(np.float32), np.repeat(["good", "hole", "spur"], [20, 12, 8])
    each = np.repeat(np.arange(40), 5)
    single = evaluate(scores, list(kinds), ["good"], LIMITS)
    grouped = evaluate(scores[each], list(kinds[each]), ["good"], LIMITS, groups=each)
    for one, other in ((single.auroc, grouped.auroc), (single.recall, grouped.recall),
                       (single.false_alarms, grouped.false_alarms),
                       *((a.recall, b.recall) for a, b in zip(single.kinds, grouped.kinds, strict=True))):  # fmt: skip
        assert other.value == pytest.approx(one.value)
        # Student's t makes few groups a little less sure than as many images.
        assert 0.99 * (one.high - one.low) < other.high - other.low < 1.25 * (one.high - one.low)


def test_all_told_apart_counts_groups():
    odd = np.repeat([False, True], 40)
    found = auroc(np.arange(80.0), odd, np.repeat(np.arange(8), 10))
    assert found.low == pytest.approx(auroc(np.arange(8.0), np.arange(8) >= 4).low)


def test_figures_at_the_threshold_kind_by_kind():
    scores = np.array([0.2, 1.1, 2.0, 0.9, 3.0, 1.5], np.float32)
    found = evaluate(scores, ["good", "good", "hole", "hole", "spur", "spur"], ["good"], LIMITS)
    assert (found.normal, found.anomalous) == (2, 4)
    assert (found.recall.value, found.false_alarms.value) == (0.75, 0.5)
    assert [(kind.kind, kind.recall.value) for kind in found.kinds] == [("hole", 0.5), ("spur", 1.0)]


def test_only_normal_images_have_no_area():
    found = evaluate(np.array([0.5, 2.0], np.float32), ["good", "good"], ["good"], LIMITS)
    assert found.auroc is None
    assert found.recall is None
    with pytest.raises(DataError, match="no image"):
        evaluate(np.array([], np.float32), [], ["good"], LIMITS)


def test_a_score_at_the_threshold_is_found_and_the_hardest_kind_stands_first():
    scores = np.array([0.5, 1.0, 1.0, 0.5], np.float32)
    found = evaluate(scores, ["good", "ant", "ant", "bee"], ["good"], LIMITS)
    assert [(kind.kind, kind.recall.value) for kind in found.kinds] == [("bee", 0.0), ("ant", 1.0)]
