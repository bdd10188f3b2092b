"""The rule of anomalies, on numbers."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, mahalanobis

from keensight.core import anomaly
from keensight.core.anomaly import AnomalyScores, PatchSampler, coreset, heatmaps, image_scores, limits, spread


def learned(patches, *cuts):
    """Normal patches learned from maps of 10 by 10, in batches that begin at ``cuts``."""
    sampler = PatchSampler(len(patches))
    for batch in np.split(patches.reshape(-1, 10, 10, patches.shape[-1]), cuts):
        sampler.add(batch)
    return sampler.finish()


def test_whitened_distances_are_mahalanobis_distances():
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(4000, 3)) @ np.array([[2, 0, 0], [1, 1, 0], [0, 0.5, 0.3]])
    patches = (mixed + np.array([4, -7, 2])).astype(np.float32)
    found = learned(patches, 10)
    point = np.array([5.0, -9.0, 2.5])
    expected = mahalanobis(point, patches.mean(axis=0), np.linalg.inv(np.cov(patches, rowvar=False)))
    assert np.linalg.norm((point - found.mean) @ found.whiten) == pytest.approx(expected, rel=0.01)


def test_the_memory_is_a_draw_of_bounded_size_that_batches_do_not_change(monkeypatch):
    monkeypatch.setattr(anomaly, "CANDIDATES", 300)
    patches = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    found = learned(patches, 10, 11, 30)
    assert found.memory.shape == (300, 3)
    assert found.memory == pytest.approx(learned(patches).memory, abs=1e-5)
    whitened = (patches - found.mean) @ found.whiten
    places = np.abs(whitened[None] - found.memory[:, None]).max(axis=-1).argmin(axis=1)
    assert whitened[places] == pytest.approx(found.memory, abs=1e-5)
    assert len(np.unique(places)) == 300
    assert 1500 < places.mean() < 2500


@pytest.mark.parametrize("d", [3, 100])
def test_the_coreset_keeps_what_is_rare_and_covers_the_rest_better_than_a_draw(d):
    rng = np.random.default_rng(0)
    patches = np.concatenate([rng.normal(size=(3000, d)), rng.normal(20, 1, (2, d))])
    found = coreset(patches, 100)
    assert found.shape == (100, d)
    assert len(np.unique(found, axis=0)) == 100
    farthest = [cdist(patches, kept).min(axis=1).max() for kept in (found, patches[rng.permutation(3000)[:100]])]
    assert farthest[0] < 0.95 * farthest[1]
    assert (found.mean(axis=1) > 10).sum() >= 1
    assert np.array_equal(found, coreset(patches, 100))


def test_the_spread_of_a_patch_is_the_distance_of_its_ten_nearest_neighbors():
    memory = np.random.default_rng(0).normal(size=(1200, 5))
    distance = np.sort(cdist(memory, memory, "sqeuclidean"), axis=1)[:, 1:11].mean(axis=1)
    assert spread(memory) == pytest.approx(distance / np.median(distance) + 0.1)


@pytest.mark.parametrize("memory", [np.ones((1, 3)), np.ones((40, 3)), np.array([[0.0, 0], [1, 1]])])
def test_the_spread_of_few_or_equal_patches_is_the_same_for_all(memory):
    found = spread(memory)
    assert len(np.unique(found)) == 1
    assert found[0] >= 1


def test_where_normal_patches_are_alike_the_same_distance_is_more_anomalous():
    rng = np.random.default_rng(0)
    alike, unlike = rng.normal(0, 0.1, (100, 4)), rng.normal(50, 3, (100, 4))
    found = spread(np.concatenate([alike, unlike]))
    assert found[:100].max() < found[100:].min() / 10


def test_of_few_patches_all_are_remembered():
    assert len(learned(np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)).memory) == 200


def test_a_score_is_the_geometric_mean_of_each_levels_most_anomalous_patches():
    levels = np.ones((1, 10, 10, 3), np.float32)
    levels[0, 0, :5, 0] = [2, 3, 4, 5, 6]
    levels[0, 1, 1, 1] = 496
    levels[0, ..., 2] = 10
    levels[0, :5, :, 2] = 0
    assert image_scores(levels)[0] == pytest.approx((4 * 100 * 5) ** (1 / 3))


def test_a_heatmap_is_the_geometric_mean_of_the_levels():
    assert heatmaps(np.array([[[[1, 4, 16]]]], np.float32)) == pytest.approx(np.full((1, 1, 1), 4))


def test_a_patch_that_is_remembered_by_a_level_has_no_infinite_logarithm():
    assert 0 < heatmaps(np.array([[[[0, 4, 16]]]], np.float32)).item() < 0.1


def test_the_single_level_of_an_older_bundle_has_the_mean_of_the_oddest_twentieth():
    maps = np.zeros((1, 10, 10, 1), np.float32)
    maps[0, 0, :5, 0] = [1, 2, 3, 4, 5]
    assert image_scores(maps)[0] == pytest.approx(3)


def test_false_alarms_keep_their_rate_on_new_normal_images():
    rng = np.random.default_rng(0)
    above = []
    for _ in range(400):
        maps = rng.exponential(size=(60, 4, 4, 2)).astype(np.float32)
        maps *= rng.uniform(1, 2, (60, 1, 1, 1)).astype(np.float32)
        found = limits(maps[:39])
        assert found.rate == pytest.approx(0.05)
        above.append((image_scores(maps[39:]) > found.threshold).mean())
    assert np.mean(above) == pytest.approx(0.05, abs=0.012)


def test_too_few_normal_images_say_what_they_can_keep():
    found = limits(np.arange(1, 5, dtype=np.float32)[:, None, None, None])
    assert (found.threshold, found.rate, found.images) == (pytest.approx(4), 0.2, 4)


def test_rows_name_what_is_odd_and_what_could_not_be_read():
    found = AnomalyScores(("a", "b", "c"), np.array([0.5, 1.5, np.nan], np.float32), {"c": "no image"})
    rows = found.rows()
    assert [row["label"] for row in rows] == ["normal", "anomalous", None]
    assert rows[1]["score"] == 1.5
    assert (rows[2]["decision"], rows[2]["error"]) == ("abstain", "no image")


def test_an_image_at_the_threshold_is_anomalous():
    assert AnomalyScores(("a",), np.ones(1, np.float32)).rows()[0]["label"] == "anomalous"


def test_of_few_patches_the_oddest_one_is_the_score():
    assert image_scores(np.array([[[[1], [2]], [[3], [8]]]], np.float32))[0] == pytest.approx(8)


def test_one_odd_image_among_nineteen_normal_ones_does_not_decide_the_threshold():
    scores = np.arange(1, 20, dtype=np.float32)
    scores[-1] = 1000
    found = limits(scores[:, None, None, None])
    assert (found.threshold, found.rate) == (pytest.approx(18), pytest.approx(2 / 20))
    assert limits(scores[1:, None, None, None]).threshold == pytest.approx(1000)


def test_a_heatmap_is_clear_for_99_in_100_patches():
    levels = np.random.default_rng(0).exponential(size=(50, 4, 4, 3)).astype(np.float32)
    found = limits(levels)
    assert (heatmaps(levels) < found.patch).mean() == pytest.approx(0.99, abs=0.002)


def test_a_direction_without_variance_is_not_infinitely_odd():
    line = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    found = learned(np.stack([line, line], axis=1))
    aside = np.array([1, -1]) / np.sqrt(2)
    assert np.linalg.norm(aside @ found.whiten) == pytest.approx(1e-3**-0.5, rel=0.05)


def test_a_coreset_of_as_many_patches_as_there_are_is_all_of_them():
    patches = np.random.default_rng(0).normal(size=(5, 3))
    assert np.array_equal(coreset(patches, 5), patches)
    assert len(coreset(patches, 4)) == 4


@pytest.mark.parametrize(("images", "place"), [(38, 37), (39, 38), (98, 95), (99, 95), (199, 190)])
def test_the_threshold_is_the_lowest_score_that_1_in_20_new_images_exceed_at_most(images, place):
    found = limits(np.arange(1, images + 1, dtype=np.float32)[:, None, None, None])
    assert found.threshold == pytest.approx(place)
    assert found.rate == pytest.approx((images + 1 - place) / (images + 1))


def test_records_of_the_same_images_are_equal_and_print_no_maps():
    def found(value):
        numbers = np.full(2, value, np.float32)
        return AnomalyScores(("a", "b"), numbers, maps=numbers, indices=numbers.astype(np.int64), truth=("x", "y"))

    assert found(1) == found(2)
    assert "maps" not in repr(found(1)) and "indices" not in repr(found(1)) and "truth" not in repr(found(1))
    assert len(found(1)) == 2


def test_a_record_of_other_classes_is_equal_too():
    one, other = (AnomalyScores(("a",), np.ones(1, np.float32), truth=(label,)) for label in ("x", "y"))
    assert one == other


def test_a_row_says_what_is_strange_about_an_image_and_has_no_probability():
    found = AnomalyScores(("a", "b"), np.array([0.25, np.nan], np.float32), {"b": "no image"}, notes={"a": "odd"})
    read = {"label": "normal", "score": 0.25, "decision": "accept", "error": None, "note": "odd"}
    unread = {"label": None, "score": None, "decision": "abstain", "error": "no image"}
    none = {"probability": None, "top": []}
    assert found.rows() == [{"path": "a", **none, **read}, {"path": "b", **none, **unread}]


def test_rows_need_a_score_for_each_path():
    with pytest.raises(ValueError, match="shorter"):
        AnomalyScores(("a", "b"), np.ones(1, np.float32)).rows()


def test_a_feature_that_is_the_same_in_all_patches_is_learned_from():
    rng = np.random.default_rng(0)
    patches = np.column_stack([rng.normal(size=400), np.full(400, 3.0)]).astype(np.float32)
    found = learned(patches)
    assert all(np.isfinite(part).all() for part in (found.whiten, found.memory, found.spread))
    assert np.linalg.norm(np.array([0, 0.01]) @ found.whiten) == pytest.approx(10, rel=0.01)  # 0.01 / sqrt(1e-6)


@pytest.mark.parametrize("d", [2, 32])
def test_each_patch_of_a_coreset_is_the_farthest_from_those_before_it(d):
    patches = np.random.default_rng(0).normal(size=(60, d))
    found = coreset(patches, 12)
    for count in range(1, 12):
        nearest = cdist(patches, found[:count]).min(axis=1)
        assert cdist(found[count : count + 1], found[:count]).min() == pytest.approx(nearest.max(), rel=1e-5)


def test_two_thousand_patches_are_remembered():
    patches = np.random.default_rng(0).normal(size=(2100, 2)).astype(np.float32)
    assert learned(patches).memory.shape == (2000, 2)
