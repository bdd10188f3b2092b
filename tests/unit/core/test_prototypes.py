"""The rule of enrolment, on vectors made by code."""

import numpy as np
import pytest

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
