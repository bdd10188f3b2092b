"""Figures of an anomaly detector at their limits: perfect separation, missing sides, heatmaps that show nothing."""

from statistics import NormalDist

import numpy as np
import pytest

from keensight.assess.anomaly import auroc, chance_of_alarms, evaluate, pixel_auroc, region_overlap
from keensight.assess.intervals import share, wilson
from keensight.core.anomaly import Limits
from keensight.errors import DataError

LIMITS = Limits(1.0, 1.0, 0.05, 40)


@pytest.mark.parametrize(("m", "n", "level"), [(10, 10, 0.95), (3, 12, 0.95), (7, 2, 0.8)])
def test_a_perfect_area_reaches_down_to_newcombes_end_and_a_reversed_one_as_far_up(
    m: int, n: int, level: float
) -> None:
    odd = np.arange(m + n) >= n
    found = auroc(np.arange(m + n, dtype=np.float32), odd, level=level)
    low, half = found.low, (m + n) / 2 - 1
    # Newcombe 2006, method 5: the area whose own standard error, at that area, just reaches 1.
    variance = low * (1 - low) * (1 + half * (1 - low) / (2 - low) + half * low / (1 + low)) / (m * n)
    assert 1 - low == pytest.approx(NormalDist().inv_cdf((1 + level) / 2) * variance**0.5, rel=1e-6)
    assert (found.value, found.high, found.level, found.method) == (1.0, 1.0, level, "Newcombe")
    other = auroc(-np.arange(m + n, dtype=np.float32), odd, level=level)
    assert (other.value, other.low, other.high) == (0.0, 0.0, pytest.approx(1 - low))


def test_a_perfect_area_counts_the_groups_of_each_side() -> None:
    odd = np.arange(12) >= 4
    groups = np.array([0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4])  # two without and three with anomalies
    found = auroc(np.arange(12.0), odd, groups)
    assert found.low == pytest.approx(auroc(np.arange(5.0), np.arange(5) >= 2).low)


def test_the_level_of_an_area_is_95_percent_unless_given() -> None:
    scores, odd = np.array([1.0, 3, 2, 4, 2.5]), np.array([False, False, True, True, True])
    assert auroc(scores, odd).level == 0.95
    wide, narrow = auroc(scores, odd, level=0.99), auroc(scores, odd, level=0.5)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_an_evaluation_counts_each_kind_and_keeps_its_limits() -> None:
    scores = np.array([0.2, 1.1, 2.0, 0.9, 3.0, 0.5, 0.5], np.float32)
    kinds = ["good", "fine", "hole", "hole", "spur", "hole", "good"]
    found = evaluate(scores, kinds, ["good", "fine"], LIMITS)
    assert (found.part, found.normal, found.anomalous, found.n, found.limits) == ("test", 3, 4, 7, LIMITS)
    assert [(one.kind, one.n) for one in found.kinds] == [("hole", 3), ("spur", 1)]
    assert found.kinds[0].recall == wilson(1, 3) and found.recall == wilson(2, 4)
    assert found.false_alarms == wilson(1, 3)
    assert found.auroc is not None and found.auroc.value == pytest.approx(9.5 / 12)  # pairs in order, equal scores half


def test_each_fraction_is_of_its_own_groups() -> None:
    scores = np.array([0.2, 0.4, 1.1, 2.0, 0.9, 3.0, 0.5, 1.5], np.float32)
    kinds, groups = ["good"] * 4 + ["hole"] * 4, np.array([0, 0, 1, 1, 2, 2, 3, 3])
    found = evaluate(scores, kinds, ["good"], LIMITS, groups=groups)
    assert found.false_alarms == share(scores[:4] >= 1, groups[:4])
    assert found.recall == found.kinds[0].recall == share(scores[4:] >= 1, groups[4:])


def test_only_anomalous_images_have_no_area_and_no_false_alarms() -> None:
    found = evaluate(np.array([0.5, 2.0], np.float32), ["hole", "hole"], ["good"], LIMITS)
    assert (found.auroc, found.false_alarms) == (None, None)
    assert found.recall == wilson(1, 2)


def test_one_image_of_a_kind_has_an_area() -> None:
    scores = np.array([0.5, 2.0, 1.0], np.float32)
    for kinds in (["good", "hole", "good"], ["hole", "good", "hole"]):
        found = evaluate(scores, kinds, ["good"], LIMITS).auroc
        assert found is not None and found.value == (1.0 if kinds[1] == "hole" else 0.0)


def test_no_alarms_are_certain_and_one_is_as_likely_as_the_order_of_scores_has_it() -> None:
    # The threshold is the highest of 9 scores: one new one is above it in one of ten orders.
    limits = Limits(1.0, 1.0, 0.1, 9)
    assert chance_of_alarms(0, 5, limits) == 1.0
    assert chance_of_alarms(1, 1, limits) == pytest.approx(0.1)
    assert chance_of_alarms(2, 2, limits) == pytest.approx(1 / 55)  # both above nine: 1 of 11 * 10 / 2


@pytest.mark.parametrize("limit", [0.3, 0.5, 1.0])
def test_heatmaps_that_show_nothing_overlap_by_half_of_the_limit(limit: float) -> None:
    masks = np.arange(16).reshape(1, 4, 4) % 3 == 0
    maps = np.zeros((1, 4, 4), np.float32)
    assert region_overlap(maps, masks, limit) == pytest.approx(limit / 2)
    assert region_overlap(maps, masks) == pytest.approx(0.15)
    assert pixel_auroc(maps, masks) == 0.5


def test_a_normal_pixel_above_the_defect_costs_as_much_as_it_is_of_the_limit() -> None:
    # The hottest pixel is normal, one of ten: the defect is found from a false positive rate of 0.1 on.
    maps = np.zeros((1, 1, 11), np.float32)
    maps[0, 0, :2] = 2, 1
    masks = np.arange(11).reshape(1, 1, 11) == 1
    assert region_overlap(maps, masks, 0.2) == pytest.approx(0.5)
    assert region_overlap(maps, masks, 0.05) == 0.0
    assert region_overlap(maps, masks, 1.0) == pytest.approx(0.9)
    assert pixel_auroc(maps, masks) == pytest.approx(0.9)


def test_pixels_that_touch_only_at_a_corner_are_one_defect() -> None:
    masks = np.zeros((1, 4, 4), bool)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[0, 1, 2] = True
    maps = np.zeros(masks.shape, np.float32)
    maps[0, 0, 0] = 1
    assert region_overlap(maps, masks) == pytest.approx(1 / 3 + 2 / 3 * 0.15)


@pytest.mark.parametrize("metric", [pixel_auroc, region_overlap])
def test_masks_without_a_normal_pixel_are_refused(metric) -> None:
    with pytest.raises(DataError, match="masks lack normal or anomalous pixels") as refused:
        metric(np.zeros((1, 2, 2), np.float32), np.ones((1, 2, 2), bool))
    assert refused.value.hint == "give masks of images with and without defects"
    with pytest.raises(DataError, match=r"heatmaps are \(1, 2, 2\), the masks \(1, 2, 3\)") as refused:
        metric(np.zeros((1, 2, 2), np.float32), np.ones((1, 2, 3), bool))
    assert refused.value.hint == "enlarge the heatmaps to the masks"


@pytest.mark.parametrize("limit", [0.0999999, 0.1, 0.1000001])
def test_the_overlap_below_a_limit_at_which_the_curve_rises_does_not_jump(limit: float) -> None:
    maps = np.zeros((1, 1, 11), np.float32)
    maps[0, 0, :2] = 2, 1  # one false alarm of ten, then the region as a whole
    masks = np.arange(11).reshape(1, 1, 11) == 1
    assert region_overlap(maps, masks, limit=limit) == pytest.approx(0, abs=1e-5)
