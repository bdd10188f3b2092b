"""Softmax and sigmoid learn and answer by their own rules."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from keensight.nets.training.losses import Sigmoid, Softmax, image_weights, objective_of, rows

LOGITS = np.array([[2.0, -1.0, 0.5], [-3.0, 0.2, 1.0], [0.0, 0.0, -0.1]])
TRUTH = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0]], np.uint8)


def test_targets_tell_the_task():
    assert isinstance(objective_of(np.array([0, 2])), Softmax)
    assert isinstance(objective_of(TRUTH), Sigmoid)
    np.testing.assert_array_equal(rows(np.array([0, 2]), 3), [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(rows(TRUTH, 3), TRUTH)
    np.testing.assert_array_equal(image_weights(np.array([0, 1]), np.array([2.0, 3.0], np.float32)), [2, 3])
    np.testing.assert_array_equal(image_weights(TRUTH, np.array([2.0, 3.0, 4.0], np.float32)), 1)


def test_probabilities_of_labels_are_independent():
    found = Sigmoid().probabilities(LOGITS)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-LOGITS)))
    assert np.isfinite(Sigmoid().probabilities(np.array([[1e4, -1e4]]))).all()
    np.testing.assert_allclose(Softmax().probabilities(LOGITS).sum(axis=1), 1)


def test_scores_of_labels_count_pairs():
    probabilities = Sigmoid().probabilities(LOGITS)
    loss, accuracy = Sigmoid().score(probabilities, TRUTH)
    right = np.where(TRUTH == 1, probabilities, 1 - probabilities)
    assert loss == pytest.approx(-np.log(right).mean())
    assert accuracy == pytest.approx(((probabilities >= 0.5) == TRUTH).mean())
    areas = [average_precision_score(TRUTH[:, j], LOGITS[:, j]) for j in range(3)]
    assert Sigmoid().ranking(LOGITS, TRUTH) == pytest.approx(np.mean(areas))
    assert Softmax().ranking(LOGITS, np.array([0, 1, 2])) is None


def test_balanced_labels_weigh_presence_and_absence_alike():
    truth = np.array([[1, 0]] * 2 + [[0, 0]] * 7 + [[0, 1]], np.uint8)
    weights = objective_of(truth, balanced=True).weigh(truth, np.ones(2, np.float32))
    for j in range(2):
        assert weights[truth[:, j] == 1, j].sum() == pytest.approx(weights[truth[:, j] == 0, j].sum())
        assert weights[:, j].mean() == pytest.approx(1)


@pytest.mark.slow
def test_keras_says_the_same_as_numpy():
    import tensorflow as tf

    task = Sigmoid()
    truth, logits = tf.constant(TRUTH, tf.float32), tf.constant(LOGITS, tf.float32)
    loss, accuracy = task.score(task.probabilities(LOGITS), TRUTH)
    assert float(task.loss(0.3)(truth, logits)) == pytest.approx(loss, rel=1e-5)  # labels are not smoothed
    metric = task.accuracy()
    metric.update_state(truth, logits)
    assert float(metric.result()) == pytest.approx(accuracy)
    balanced = objective_of(TRUTH, balanced=True)
    terms, _ = balanced.terms(truth, logits)
    weighted = (np.asarray(terms) * balanced.weigh(TRUTH, np.ones(3, np.float32))).mean()
    np.testing.assert_allclose(balanced.loss(0.0)(truth, logits), weighted, rtol=1e-5)


@pytest.mark.slow
def test_the_head_is_one_logistic_regression_a_label():
    from keensight.nets.training.linear_head import fit_head

    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 6)).astype(np.float32)
    truth = (features[:, :3] + rng.normal(size=(400, 3)) > (0.0, 1.0, 2.0)).astype(np.uint8)
    strength = 0.3
    head = fit_head(features[:300], truth[:300], 3, strength)
    mean, spread = features[:300].mean(axis=0), features[:300].std(axis=0) * np.sqrt(6 / 300)
    for j in range(3):
        one = LogisticRegression(C=strength, tol=1e-8, max_iter=5000)
        one.fit((features[:300] - mean) / spread, truth[:300, j])
        expected = one.decision_function((features[300:] - mean) / spread)
        np.testing.assert_allclose(head.logits(features[300:])[:, j], expected, rtol=0.01, atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("balanced", ["true", "false"])
def test_training_from_scratch_learns_labels_and_ranks_them(balanced):
    from keensight.core.config import RunConfig
    from keensight.core.records import ImageSpec, LabelSet, Split
    from keensight.nets import runtime
    from keensight.nets.classifier import Classifier
    from keensight.nets.models.build import build
    from keensight.nets.training.fit import fit

    rng = np.random.default_rng(0)
    truth = (rng.random((160, 2)) < (0.5, 0.3)).astype(np.uint8)
    images = rng.integers(0, 90, (160, 12, 12, 3))
    images[..., 0] += 140 * truth[:, 0, None, None]
    images[..., 2] += 140 * truth[:, 1, None, None]
    images = images.astype(np.uint8)

    class Memory:
        shape = (12, 12, 3)

        def take(self, indices):
            return images[indices]

    off = {f"augment.{name}": value for name, value in (("enabled", False), ("flip", "none"), ("color", "none"))}
    values = {"model.name": "cnn", "train.batch_size": 16, "train.epochs": 12, "train.class_weights": balanced}
    config = RunConfig().with_values(off | values | {"augment.erase": 0, "train.precision": "float32"})
    runtime.configure(seed=0)
    model = build("cnn", ImageSpec(12, 12), 2, width=4)
    split = Split(tuple(range(100)), tuple(range(100, 160)), (), "parts")
    history = fit(model, Memory(), truth, split, config)
    best = history.epochs[history.best_epoch - 1]
    assert best.reached == best.val_map > 0.95
    assert not model.get_compile_config()  # what is saved names no loss of ours
    classifier = Classifier(model, LabelSet(("red", "blue")), ImageSpec(12, 12), thresholds=(0.5, 0.5))
    found = classifier.predict(list(images[100:104]))
    assert found.thresholds == (0.5, 0.5)
    assert Sigmoid().ranking(classifier.predict_array(images[100:]), truth[100:]) == pytest.approx(best.val_map)


@pytest.mark.slow
def test_thresholds_must_fit_the_network():
    from keensight.core.records import ImageSpec, LabelSet
    from keensight.errors import StoreError
    from keensight.nets.classifier import Classifier
    from keensight.nets.models.build import build

    model = build("cnn", ImageSpec(12, 12), 2, width=4)
    with pytest.raises(StoreError, match="3 thresholds"):
        Classifier(model, LabelSet(("red", "blue")), ImageSpec(12, 12), thresholds=(0.5, 0.5, 0.5))
