"""Figures of an anomaly detector."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keensight.assess.anomaly import auroc, evaluate
from keensight.core.anomaly import Limits
from keensight.errors import DataError

LIMITS = Limits(1.0, 1.0, 0.05, 40)


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
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))


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
