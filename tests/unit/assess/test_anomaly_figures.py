"""Figures of an anomaly detector."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keensight.assess.anomaly import auroc, chance_of_alarms, evaluate, pixel_auroc, region_overlap
from keensight.core.anomaly import Limits
from keensight.errors import DataError

LIMITS = Limits(1.0, 1.0, 0.05, 40)


@pytest.mark.parametrize(("n", "rank", "m", "alarms"), [(7, 1, 1, 1), (40, 2, 15, 4), (57, 2, 8, 1), (3, 1, 30, 20)])
def test_the_chance_of_alarms_is_that_of_a_simulation(n: int, rank: int, m: int, alarms: int) -> None:
    rng = np.random.default_rng(0)
    threshold = np.sort(rng.random((20_000, n)), axis=1)[:, -rank]
    above = (rng.random((20_000, m)) > threshold[:, None]).sum(axis=1)
    found = chance_of_alarms(alarms, m, Limits(1.0, 1.0, rank / (n + 1), n))
    assert found == pytest.approx((above >= alarms).mean(), abs=0.015)


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


@pytest.fixture
def heat():
    """Coarse scores, so that many pixels tie, and masks of five regions of different sizes."""
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 2:4, 2:5] = masks[0, 10:19, 10:25] = masks[1, :2, 28:] = masks[1, 7, 7] = masks[2, 9:12, :] = True
    noise = np.random.default_rng(0).normal(size=masks.shape)
    return (np.round(2 * (noise + masks)) / 2).astype(np.float32), masks


def test_the_pixels_area_is_scikit_learns(heat):
    maps, masks = heat
    assert pixel_auroc(maps, masks) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()))


def test_the_overlap_of_regions_is_an_area_in_which_each_counts_the_same(heat):
    maps, masks = heat
    sizes = np.ones(masks.shape)
    sizes[0, 2:4, 2:5], sizes[0, 10:19, 10:25], sizes[1, :2, 28:], sizes[2, 9:12] = 6, 135, 4, 90
    expected = roc_auc_score(masks.ravel(), maps.ravel(), sample_weight=1 / sizes.ravel())
    assert region_overlap(maps, masks, limit=1) == pytest.approx(expected)


def test_the_overlap_is_averaged_up_to_a_rate_of_false_alarms(heat):
    maps, masks = heat
    spots = [(0, slice(2, 4), slice(2, 5)), (0, slice(10, 19), slice(10, 25)), (1, slice(2), slice(28, None)),
             (1, 7, 7), (2, slice(9, 12), slice(None))]  # fmt: skip
    thresholds = [np.inf, *np.unique(maps)[::-1]]
    alarms = [(maps[~masks] >= one).mean() for one in thresholds]
    overlap = [np.mean([(maps[spot] >= one).mean() for spot in spots]) for one in thresholds]
    rates = np.linspace(0, 0.3, 100_001)
    assert region_overlap(maps, masks) == pytest.approx(np.interp(rates, alarms, overlap).mean(), abs=1e-4)


def test_perfect_heatmaps_overlap_wholly_and_reversed_ones_not_at_all(heat):
    _, masks = heat
    maps = masks.astype(np.float32)
    assert (pixel_auroc(maps, masks), region_overlap(maps, masks)) == (1.0, pytest.approx(1))
    assert (pixel_auroc(-maps, masks), region_overlap(-maps, masks)) == (0.0, 0.0)


def test_regions_that_touch_only_across_images_are_two():
    masks = np.zeros((2, 4, 4), bool)
    masks[0, 0, 0], masks[1, :2, :2] = True, True
    maps = np.zeros(masks.shape, np.float32)
    maps[0, 0, 0] = 1
    assert region_overlap(maps, masks) == pytest.approx(0.5 + 0.5 * 0.15)


@pytest.mark.parametrize("metric", [pixel_auroc, region_overlap])
def test_heatmaps_without_their_masks_are_refused(metric):
    maps = np.zeros((2, 4, 4), np.float32)
    with pytest.raises(DataError, match="heatmaps"):
        metric(maps, np.zeros((2, 8, 8), bool))
    with pytest.raises(DataError, match="masks lack"):
        metric(maps, np.zeros((2, 4, 4), bool))
