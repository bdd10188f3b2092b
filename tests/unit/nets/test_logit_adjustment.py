import numpy as np
import pytest
from sklearn.metrics import f1_score

from keensight.nets.training.logit_adjustment import choose_adjustment


def _long_tail(rare_shift, seed=0):
    """Logits of 900 images of class 0 and 60 of class 1, as a model that has seen as many gives them."""
    rng = np.random.default_rng(seed)
    targets = np.repeat([0, 1], [900, 60])
    evidence = rng.normal(np.where(targets == 1, 1.0, -1.0) * rare_shift, 1.0)
    logits = np.stack([np.zeros(960), 2 * rare_shift * evidence + np.log(60 / 900)], axis=1)
    return logits, targets


def test_a_rare_class_that_is_never_predicted_is_found():
    logits, targets = _long_tail(0.6)
    found = choose_adjustment(logits, targets, np.arange(960))
    assert found.strength > 0
    before, after = (f1_score(targets, some.argmax(1), average="macro") for some in (logits, logits - found.offsets))
    assert found.macro_f1 == pytest.approx((before, after))
    assert after > before + 0.05
    assert found.accuracy[1] < found.accuracy[0]


def test_without_a_certain_gain_nothing_changes():
    logits, targets = _long_tail(3.0)
    found = choose_adjustment(logits, targets, np.arange(960))
    assert (found.strength, found.macro_f1[0]) == (0.0, found.macro_f1[1])
    assert not found.offsets.any()
    rng = np.random.default_rng(0)
    balanced = choose_adjustment(rng.normal(size=(300, 3)), np.arange(300) % 3, np.arange(300))
    assert balanced.strength == 0


def test_images_of_few_groups_are_weak_evidence():
    logits, targets = _long_tail(0.6)
    few = np.concatenate([np.arange(900) // 300, np.full(60, 3)])
    assert choose_adjustment(logits, targets, few).strength == 0


def test_a_given_strength_is_taken():
    logits, targets = _long_tail(3.0)
    found = choose_adjustment(logits, targets, np.arange(960), strength=1.0)
    assert found.strength == 1.0
    np.testing.assert_allclose(found.offsets, np.log([900 / 960, 60 / 960]), rtol=1e-6)


def test_the_weakest_adjustment_that_is_as_good_as_the_best_is_taken():
    logits, targets = _long_tail(0.8, seed=3)
    tried = {one: choose_adjustment(logits, targets, np.arange(960), strength=one) for one in (0.25, 0.5, 0.75, 1.0)}
    best = max(tried, key=lambda one: tried[one].macro_f1[1])
    found = choose_adjustment(logits, targets, np.arange(960))
    assert 0 < found.strength < best
    assert tried[best].macro_f1[1] - 0.04 < found.macro_f1[1]
    assert found.accuracy[1] > tried[best].accuracy[1]
