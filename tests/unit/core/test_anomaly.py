"""The rule of anomalies, on numbers."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from keensight.core.anomaly import AnomalyScores, gaussian, image_scores, limits


def test_the_gaussian_measures_mahalanobis_distances():
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(4000, 3)) @ np.array([[2, 0, 0], [1, 1, 0], [0, 0.5, 0.3]])
    patches = (mixed + np.array([4, -7, 2])).astype(np.float32)
    mean, whiten = gaussian([patches[:1000].reshape(10, 10, 10, 3), patches[1000:].reshape(30, 10, 10, 3)])
    point = np.array([5.0, -9.0, 2.5])
    expected = mahalanobis(point, patches.mean(axis=0), np.linalg.inv(np.cov(patches, rowvar=False)))
    assert np.linalg.norm((point - mean) @ whiten) == pytest.approx(expected, rel=0.01)


def test_a_score_is_the_mean_of_the_oddest_twentieth():
    maps = np.zeros((1, 10, 10), np.float32)
    maps[0, 0, :5] = [1, 2, 3, 4, 5]
    assert image_scores(maps)[0] == 3


def test_false_alarms_keep_their_rate_on_new_normal_images():
    rng = np.random.default_rng(0)
    above = []
    for _ in range(400):
        maps = rng.exponential(size=(60, 4, 4)).astype(np.float32) * rng.uniform(1, 2, (60, 1, 1)).astype(np.float32)
        found = limits(maps[:39])
        assert found.rate == pytest.approx(0.05)
        above.append((image_scores(maps[39:]) > found.threshold).mean())
    assert np.mean(above) == pytest.approx(0.05, abs=0.012)


def test_too_few_normal_images_say_what_they_can_keep():
    found = limits(np.arange(1, 5, dtype=np.float32)[:, None, None])
    assert (found.threshold, found.rate, found.images) == (4.0, 0.2, 4)


def test_rows_name_what_is_odd_and_what_could_not_be_read():
    found = AnomalyScores(("a", "b", "c"), np.array([0.5, 1.5, np.nan], np.float32), {"c": "no image"})
    rows = found.rows()
    assert [row["label"] for row in rows] == ["normal", "anomalous", None]
    assert rows[1]["score"] == 1.5
    assert (rows[2]["decision"], rows[2]["error"]) == ("abstain", "no image")


def test_an_image_at_the_threshold_is_anomalous():
    assert AnomalyScores(("a",), np.ones(1, np.float32)).rows()[0]["label"] == "anomalous"


def test_of_few_patches_the_oddest_one_is_the_score():
    assert image_scores(np.array([[[1, 2], [3, 8]]], np.float32))[0] == 8


def test_the_threshold_of_twenty_images_is_their_highest_score():
    found = limits(np.arange(1, 21, dtype=np.float32)[:, None, None])
    assert (found.threshold, found.rate) == (20.0, pytest.approx(1 / 21))


def test_a_heatmap_is_clear_for_99_in_100_patches():
    maps = np.random.default_rng(0).exponential(size=(50, 4, 4)).astype(np.float32)
    found = limits(maps)
    assert (maps < found.patch).mean() == pytest.approx(0.99, abs=0.002)


def test_a_direction_without_variance_is_not_infinitely_odd():
    line = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    mean, whiten = gaussian([np.stack([line, line], axis=1).reshape(200, 10, 10, 2)])
    aside = np.array([1, -1]) / np.sqrt(2)
    assert np.linalg.norm((mean + aside - mean) @ whiten) == pytest.approx(1e-3**-0.5, rel=0.05)
