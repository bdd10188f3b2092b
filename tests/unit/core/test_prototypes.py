"""The rule of enrolment, on vectors made by code."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from keensight.core import prototypes as class_means
from keensight.core.predictions import Predictions
from keensight.core.records import LabelSet

CLASSES, D = 4, 16


@pytest.fixture(scope="module")
def clouds():
    """Embeddings around four points far from the origin, as a rectified network's are, and their classes."""
    rng = np.random.default_rng(0)
    points = 5 + rng.normal(size=(CLASSES, D))
    targets = np.repeat(np.arange(CLASSES), 50)
    return (points[targets] + rng.normal(scale=0.2, size=(200, D))).astype(np.float32), targets


@pytest.fixture(scope="module")
def prototypes(clouds):
    vectors, targets = clouds
    return class_means.measure(vectors[::2], targets[::2], vectors[1::2], targets[1::2], CLASSES)


def test_the_centre_is_the_mean_of_the_class_means_however_many_images_a_class_has(clouds, prototypes):
    vectors, targets = clouds
    few = np.concatenate([np.arange(5), np.arange(50, 200)])
    centre = np.mean([vectors[few][targets[few] == k].mean(0) for k in range(CLASSES)], axis=0)
    found = class_means.measure(vectors[few], targets[few], vectors, targets, CLASSES)
    np.testing.assert_allclose(found.centre, centre, rtol=1e-5)
    assert list(found.counts) == [5, 50, 50, 50]


def test_the_threshold_keeps_the_share_that_it_says(clouds, prototypes):
    vectors, targets = clouds
    similar = class_means.cosines(vectors[1::2], prototypes)
    assert (similar.argmax(1) == targets[1::2]).all()
    kept = (~class_means.unknown(similar, prototypes.threshold)).mean()
    assert kept == prototypes.kept
    assert class_means.KEEP <= kept <= class_means.KEEP + 1 / 100


@pytest.mark.parametrize("n", [1, 3, 19, 20, 21])
def test_few_validation_images_are_kept_all_or_all_but_one(clouds, n):
    vectors, targets = clouds
    found = class_means.measure(vectors, targets, vectors[:n], targets[:n], CLASSES)
    assert found.kept >= class_means.KEEP


def test_without_validation_images_nothing_is_unknown(clouds):
    vectors, targets = clouds
    found = class_means.measure(vectors, targets, vectors[:0], targets[:0], CLASSES)
    assert not class_means.unknown(class_means.cosines(-vectors, found), found.threshold).any()


def test_what_is_far_from_all_means_is_unknown_and_so_is_what_is_not_finite(prototypes):
    away = np.random.default_rng(1).normal(5, 3, (200, D)).astype(np.float32)
    assert class_means.unknown(class_means.cosines(away, prototypes), prototypes.threshold).mean() > 0.9
    broken = np.full((1, D), np.nan, np.float32)
    assert class_means.unknown(class_means.cosines(broken, prototypes), prototypes.threshold).all()


def test_an_embedding_on_the_centre_has_no_direction(prototypes):
    similar = class_means.cosines(prototypes.centre[None], prototypes)
    np.testing.assert_array_equal(similar, np.zeros((1, CLASSES)))


def test_enrolling_in_two_steps_is_enrolling_at_once_and_leaves_the_others(prototypes):
    new = np.random.default_rng(2).normal(5, 1, (7, D)).astype(np.float32)
    once = class_means.enrolled(prototypes, new, CLASSES)
    twice = class_means.enrolled(class_means.enrolled(prototypes, new[:3], CLASSES), new[3:], CLASSES)
    np.testing.assert_allclose(once.means, twice.means, atol=1e-6)
    assert list(once.counts) == list(twice.counts) == [*prototypes.counts, 7]
    np.testing.assert_array_equal(once.means[:CLASSES], prototypes.means)
    assert len(prototypes) == CLASSES
    assert (once.threshold, once.temperature) == (prototypes.threshold, prototypes.temperature)


def test_probabilities_follow_the_rule(prototypes):
    rng = np.random.default_rng(3)
    logits = rng.normal(scale=3, size=(500, CLASSES))
    network = class_means.softmax(logits).astype(np.float32)
    similar = rng.uniform(-1, 1, (500, CLASSES + 2))
    found = class_means.joined(network, similar, 0.1)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    rule = np.where(similar.argmax(1) >= CLASSES, similar.argmax(1), network.argmax(1))
    np.testing.assert_array_equal(found.argmax(1), rule)
    odds = found[:, :CLASSES] / found[:, :CLASSES].max(1, keepdims=True)
    clear = odds > 1e-4
    np.testing.assert_allclose(odds[clear], (network / network.max(1, keepdims=True))[clear], rtol=1e-3)


def test_a_network_that_is_certain_gives_finite_probabilities():
    network = np.array([[1, 0, 0]], np.float32)
    found = class_means.joined(network, np.array([[0.9, 0.1, 0.2, -0.5]]), 0.005)
    assert np.isfinite(found).all() and found.argmax() == 0


def test_an_unknown_image_keeps_its_best_guess_and_abstains():
    p = np.array([[0.2, 0.8], [0.7, 0.3]], np.float32)
    rows = Predictions(("a", "b"), LabelSet(("x", "y")), p, unknown=np.array([True, False])).rows()
    assert [row["decision"] for row in rows] == ["abstain", "accept"]
    assert rows[0]["label"] == "y" and rows[0]["error"] is None


def near_axes(n, noise, seed=0):
    """Embeddings near three axes, and their classes."""
    targets = np.arange(n) % 3
    return (np.eye(3)[targets] + np.random.default_rng(seed).normal(0, noise, (n, 3))).astype(np.float32), targets


def test_directions_have_length_1_however_near_the_centre_they_are():
    centre = np.array([1, 2], np.float32)
    found = class_means.directions(np.array([[1.003, 2.004], [31, 42], [1, 2]], np.float32), centre)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.6, 0.8], [0, 0]], atol=1e-4)


def test_cosines_are_those_with_the_directions_of_the_means():
    found = class_means.Prototypes(np.array([1, 0], np.float32), np.array([[0, 0.5], [-0.3, 0.4], [0, 0]], np.float32),
                                   np.array([1, 1, 1]), 0.5, 1.0, 0.1)  # fmt: skip
    np.testing.assert_allclose(class_means.cosines(np.array([[1, 9], [7, 8]], np.float32), found),
                               [[1, 0.8, 0], [0.8, 0.28, 0]], atol=1e-6)  # fmt: skip


def test_of_forty_validation_images_two_are_below_the_threshold():
    vectors, targets = near_axes(40, 0.3)
    found = class_means.measure(vectors, targets, vectors, targets, 3)
    nearest = np.sort(class_means.cosines(vectors, found).max(axis=1))
    assert (found.threshold, found.kept) == (nearest[2], 38 / 40)
    assert class_means.unknown(class_means.cosines(vectors, found), found.threshold).sum() == 2


def test_without_validation_images_all_are_kept_at_a_usual_temperature():
    vectors, targets = near_axes(9, 0.1)
    found = class_means.measure(vectors, targets, vectors[:0], targets[:0], 3)
    assert (found.threshold, found.kept, found.temperature) == (-1, 1, 0.1)
    np.testing.assert_allclose(found.centre, np.mean([vectors[k::3].mean(0) for k in range(3)], axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        found.means, [class_means.directions(vectors, found.centre)[k::3].mean(0) for k in range(3)], atol=1e-6
    )


def test_the_temperature_minimizes_the_cross_entropy_of_the_validation_images():
    vectors, targets = near_axes(90, 0.7)
    found = class_means.measure(vectors, targets, vectors, targets, 3)
    similar = class_means.cosines(vectors, found)

    def loss(temperature):
        return -log_softmax(similar / temperature, axis=1)[np.arange(90), targets].mean()

    best = minimize_scalar(loss, bounds=(0.005, 1), method="bounded")
    assert 0.1 < best.x < 0.9
    assert found.temperature == pytest.approx(best.x, rel=0.06)  # neighbors are 9% apart


@pytest.mark.parametrize(("shift", "temperature"), [(0, 0.005), (1, 1)])
def test_classes_that_are_always_right_or_wrong_have_the_sharpest_or_flattest_temperature(shift, temperature):
    vectors, targets = near_axes(30, 0.01)
    found = class_means.measure(vectors, targets, vectors, (targets + shift) % 3, 3)
    assert found.temperature == pytest.approx(temperature)


def test_a_softmax_of_large_numbers_is_finite():
    want = [[1, 0, 0], [0.25, 0.25, 0.5]]
    logits = np.array([[1000, 0, -1000], [-1000, -1000, -1000 + np.log(2)]])
    np.testing.assert_allclose(class_means.softmax(logits), want, atol=1e-9)


def test_an_enrolled_class_has_the_mean_direction_of_its_images_and_their_number():
    vectors, targets = near_axes(9, 0.1)
    before = class_means.measure(vectors, targets, vectors, targets, 3)
    new = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    found = class_means.enrolled(before, new, 3)
    assert (len(found), found.means.shape) == (4, (4, 3))
    np.testing.assert_allclose(found.means[3], class_means.directions(new, before.centre).mean(axis=0), atol=1e-6)
    assert (found.kept, found.counts.tolist()) == (before.kept, [3, 3, 3, 4])
    more = class_means.enrolled(before, new, 1)
    together = class_means.directions(np.concatenate([vectors[1::3], new]), before.centre)
    np.testing.assert_allclose(more.means[1], together.mean(axis=0), atol=1e-6)
    assert (len(more), more.counts.tolist(), before.counts.tolist()) == (3, [3, 7, 3], [3, 3, 3])


def test_odds_of_trained_classes_are_the_networks_and_an_enrolled_one_is_compared_with_the_nearest():
    network = np.array([[0.1, 0.4, 0.5]], np.float32)
    found = class_means.joined(network, np.array([[0.9, 0.2, 0.3, 0.8]]), 0.1)[0]
    # The logits: log odds against the most probable class, which has 0.9 / 0.1; the enrolled one 0.8 / 0.1.
    want = np.exp([np.log(0.2) + 9, np.log(0.8) + 9, 9, 8])
    np.testing.assert_allclose(found, want / want.sum(), rtol=1e-5)


def test_an_image_with_the_cosine_of_the_threshold_is_known():
    assert class_means.unknown(np.array([[0.2, 0.5], [0.2, 0.4999]]), 0.5).tolist() == [False, True]
