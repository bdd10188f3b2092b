import numpy as np
import pytest

pytestmark = pytest.mark.slow


def _clusters(n, classes, seed=0, spread=1.5):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, 20))
    targets = rng.integers(0, classes, n)
    features = centres[targets] + rng.normal(size=(n, 20)) * spread
    return (features * np.linspace(0.01, 30, 20) + 5).astype(np.float32), targets


@pytest.mark.parametrize("classes", [2, 5])
def test_the_head_agrees_with_scikit_learn(classes):
    from sklearn.linear_model import LogisticRegression

    from keensight.nets.training.linear_head import fit_head

    features, targets = _clusters(300, classes)
    unseen, _ = _clusters(200, classes, seed=1)
    head = fit_head(features, targets, classes, 0.1)
    spread = features.std(0)
    mean, scale = features.mean(0), np.maximum(spread, 0.2 * np.median(spread)) * np.sqrt(20 / 300)
    # Two classes: our two columns share a penalty that scikit-learn's single column bears alone.
    reference = LogisticRegression(C=0.2 if classes == 2 else 0.1, max_iter=5000, tol=1e-6)
    reference.fit((features - mean) / scale, targets)
    logits = head.logits(unseen)
    ours = np.exp(logits - logits.max(1, keepdims=True))
    ours /= ours.sum(1, keepdims=True)
    np.testing.assert_allclose(ours, reference.predict_proba((unseen - mean) / scale), atol=5e-3)


def test_out_of_fold_logits_are_those_of_heads_fitted_without_the_fold():
    from keensight.core.folds import deal
    from keensight.nets.training.linear_head import FOLDS, choose_strength, fit_head, score

    features, targets = _clusters(200, 3, spread=3)
    units = np.arange(200) // 2
    chosen = choose_strength(features, targets, 3, units=units)
    assert chosen.loss == pytest.approx(score(chosen.logits, targets)[0])
    fold = deal(targets, units, FOLDS)
    held = fold == 0
    mine = fit_head(features[~held], targets[~held], 3, chosen.strength).logits(features[held])
    # The folds share one standardization and leave out directions of little variance.
    assert np.corrcoef(mine.ravel(), chosen.logits[held].ravel())[0, 1] > 0.99


def test_images_that_are_never_held_out_choose_nothing():
    from keensight.nets.training.linear_head import choose_strength, fit_head, score

    features, targets = _clusters(300, 3, spread=3)
    fold = np.where(np.arange(300) < 200, -1, 0)
    chosen = choose_strength(features, targets, 3, units=np.arange(300), fold=fold)
    assert chosen.loss == pytest.approx(score(chosen.logits[200:], targets[200:])[0])
    assert not chosen.logits[:200].any()
    mine = fit_head(features[:200], targets[:200], 3, chosen.strength).logits(features[200:])
    assert np.corrcoef(mine.ravel(), chosen.logits[200:].ravel())[0, 1] > 0.95


def test_the_penalty_is_inside_the_grid_and_suits_noisy_classes():
    from keensight.nets.training.linear_head import choose_strength

    features, targets = _clusters(60, 3, spread=4)
    noisy = choose_strength(features, targets, 3, units=np.arange(60))
    features, targets = _clusters(600, 3, spread=0.3)
    clear = choose_strength(features, targets, 3, units=np.arange(600))
    assert 1e-6 < noisy.strength < clear.strength < 1e4


def test_images_of_a_group_do_not_choose_the_penalty_by_each_other():
    from keensight.nets.training.linear_head import choose_strength

    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 10)
    features = (rng.normal(size=(40, 30))[subjects] + 0.05 * rng.normal(size=(400, 30))).astype(np.float32)
    targets = rng.integers(0, 2, 40)[subjects]
    alone = choose_strength(features, targets, 2, units=np.arange(400))
    grouped = choose_strength(features, targets, 2, units=subjects)
    assert alone.loss < grouped.loss / 2
    assert grouped.strength < alone.strength


def test_each_level_has_the_same_say_however_many_features_it_has():
    from keensight.nets.training.linear_head import choose_strength

    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 80)
    telling = (targets[:, None] * 2 - 1 + rng.normal(size=(80, 4))).astype(np.float32)
    noise = rng.normal(size=(80, 400)).astype(np.float32)
    features = np.concatenate([telling, noise], axis=1)

    def reached(levels):
        return choose_strength(features, targets, 2, units=np.arange(80), levels=levels).loss

    assert reached([4, 400]) < reached([404])


def test_a_feature_that_hardly_varies_gets_no_giant_weight():
    from keensight.nets.training.linear_head import fit_head

    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 200)
    features = (targets[:, None] + rng.normal(size=(200, 20))).astype(np.float32)
    features[:, 0] = 1e-4 * targets
    kernel = np.abs(fit_head(features, targets, 2, 1.0).kernel[:, 0])
    assert kernel[0] < 20 * np.median(kernel)


def test_weights_move_the_boundary():
    from keensight.nets.training.linear_head import fit_head

    features, targets = _clusters(300, 2, spread=4)
    plain = fit_head(features, targets, 2, 0.1)
    tilted = fit_head(features, targets, 2, 0.1, weights=np.where(targets == 1, 20, 1).astype(np.float32))
    assert (tilted.logits(features).argmax(1) == 1).sum() > (plain.logits(features).argmax(1) == 1).sum()
