"""The discriminant analysis of the classifier head, against scikit-learn's."""

import dataclasses

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from keensight.core.folds import deal
from keensight.core.progress import Silent
from keensight.nets.training.discriminant import calibrating_scale, fit_discriminant, out_of_fold
from keensight.nets.training.head import HeadInputs
from keensight.nets.training.linear_head import score, standardization

pytestmark = pytest.mark.slow  # the logistic half needs TensorFlow


def _clusters(n, classes, width=20, spread=1.5, seed=0):
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(classes, width))
    targets = rng.integers(0, classes, n)
    return (centers[targets] + rng.normal(size=(n, width)) * spread).astype(np.float32), targets


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("count", [15, 300])
def test_it_agrees_with_scikit_learn_also_with_fewer_images_than_features(classes, count):
    features, targets = _clusters(count, classes)
    unseen, _ = _clusters(100, classes, seed=1)
    mean, scale = standardization(features, ())
    rows = (features - mean) * scale
    within = np.concatenate([rows[targets == c] - rows[targets == c].mean(axis=0) for c in range(classes)])
    covariance = within.T @ within / count
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / 20 * np.eye(20)
    reference = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=_Given(shrunk)).fit(rows, targets)
    ours = fit_discriminant(features, targets, classes).logits(unseen)
    theirs = reference.decision_function((unseen - mean) * scale)
    if classes == 2:
        ours = ours[:, 1] - ours[:, 0]
    else:
        ours, theirs = (logits - logits.mean(axis=1, keepdims=True) for logits in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, atol=2e-2)


class _Given:
    """scikit-learn asks for the covariance of each class; with a common one their mean is it."""

    def __init__(self, covariance):
        self.covariance_ = covariance

    def fit(self, rows):
        return self


def test_out_of_fold_logits_are_those_of_an_analysis_without_the_fold():
    features, targets = _clusters(200, 3)
    fold = deal(targets, np.arange(200) // 2, 5)
    found = out_of_fold(features, targets, 3, fold=fold)
    for number in range(5):
        held = fold == number
        mine = fit_discriminant(features[~held], targets[~held], 3).logits(features[held])
        assert np.corrcoef(mine.ravel(), found[held].ravel())[0, 1] > 0.99  # the folds share one standardization


def test_a_class_of_double_weight_is_twice_as_frequent():
    features, targets = _clusters(400, 3)
    weights = np.where(targets == 1, 2, 1).astype(np.float32)
    heavy, plain = (
        fit_discriminant(features, targets, 3, weights=one).logits(features) for one in (weights[:, None], None)
    )
    gained = (heavy - plain).mean(axis=0)
    assert gained[1] - gained[[0, 2]].mean() == pytest.approx(np.log(2), abs=0.1)


def test_a_class_that_a_fold_lacks_is_improbable_not_an_error():
    features, targets = _clusters(40, 2)
    targets[0] = 2
    fold = np.arange(40) % 5
    found = out_of_fold(features, targets, 3, fold=fold)
    assert np.isfinite(found).all()
    assert found[0].argmax() != 2


def test_the_scale_calibrates():
    features, targets = _clusters(400, 3, spread=3)
    logits = fit_discriminant(features[:200], targets[:200], 3).logits(features[200:])
    scale = calibrating_scale(logits, logits, targets[200:])
    losses = [score(np.float32(one) * logits, targets[200:])[0] for one in (scale / 1.3, scale, scale * 1.3)]
    assert losses[1] == min(losses)


def test_where_all_images_are_right_the_scale_stays_near_the_confidence_of_the_regression():
    truth = np.arange(40) % 2
    logits = 30 * np.eye(2, dtype=np.float32)[truth]
    like = 2 * np.eye(2, dtype=np.float32)[truth]
    assert 1 / 15 < calibrating_scale(logits, like, truth) < 3 / 15


def test_the_head_of_a_run_is_the_mean_of_both_and_its_held_out_logits_are_honest():
    from keensight.nets.training.linear_head import fit_head

    features, targets = _clusters(300, 4, width=60, spread=4)
    even = np.ones(300, np.float32)
    inputs = HeadInputs(np.arange(300), features, targets, np.arange(300), even, 240, 4, ())
    chosen = inputs.chosen(Silent())
    one = fit_head(features, targets, 4, chosen.strength, weights=even).logits(features)
    other = fit_discriminant(features, targets, 4, weights=even).logits(features)
    mine = inputs.head(chosen, everything=True).logits(features)
    np.testing.assert_allclose(mine, (one + np.float32(chosen.discriminant) * other) / 2, atol=1e-3)
    unseen, truth = _clusters(2000, 4, width=60, spread=4, seed=5)
    assert chosen.loss == pytest.approx(score(inputs.head(chosen, everything=True).logits(unseen), truth)[0], abs=0.1)
    assert chosen.loss == pytest.approx(score(chosen.logits, targets)[0])


def test_after_fine_tuning_and_for_several_labels_it_is_logistic_regression_alone():

    features, targets = _clusters(200, 3)
    even = np.ones(200, np.float32)
    inputs = HeadInputs(np.arange(200), features, targets, np.arange(200), even, 150, 3, ())
    assert inputs.chosen(Silent(), validated=True).discriminant == 0
    indicators = np.eye(3, dtype=np.int64)[targets]
    several = dataclasses.replace(inputs, targets=indicators, weights=np.ones((200, 3), np.float32))
    assert several.chosen(Silent()).discriminant == 0
    assert inputs.chosen(Silent()).discriminant > 0


def test_where_all_images_belong_together_each_is_its_own():
    features, targets = _clusters(60, 2)
    even = np.ones(60, np.float32)
    inputs = HeadInputs(np.arange(60), features, targets, np.zeros(60, np.int64), even, 50, 2, ())
    alone = dataclasses.replace(inputs, units=np.arange(60))
    assert inputs.chosen(Silent()).loss == alone.chosen(Silent()).loss < 1
