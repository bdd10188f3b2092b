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

    from keensight.nets.training.linear_head import fit_head, score

    features, targets = _clusters(300, classes)
    val_features, val_targets = _clusters(200, classes, seed=1)
    head = fit_head((features, targets), (val_features, val_targets), classes)
    mean, scale = features.mean(0), features.std(0) * np.sqrt(20 / 300)
    # Two classes: our two columns share a penalty that scikit-learn's single column bears alone.
    strength = head.strength * (2 if classes == 2 else 1)
    reference = LogisticRegression(C=strength, max_iter=5000, tol=1e-6).fit((features - mean) / scale, targets)
    logits = head.logits(val_features)
    ours = np.exp(logits - logits.max(1, keepdims=True))
    ours /= ours.sum(1, keepdims=True)
    np.testing.assert_allclose(ours, reference.predict_proba((val_features - mean) / scale), atol=5e-3)
    assert score(logits, val_targets) == pytest.approx((head.val_loss, head.val_accuracy), abs=1e-6)


def test_the_penalty_is_the_one_with_the_lowest_validation_loss():
    from keensight.nets.training.linear_head import fit_head

    features, targets = _clusters(60, 3, spread=4)
    val_features, val_targets = _clusters(300, 3, seed=1, spread=4)
    head = fit_head((features, targets), (val_features, val_targets), 3)
    assert head.strength < 1  # noisy classes ask for a strong penalty
    assert head.loss < head.val_loss


def test_each_level_has_the_same_say_however_many_features_it_has():
    from keensight.nets.training.linear_head import fit_head

    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 80)
    telling = (targets[:, None] * 2 - 1 + rng.normal(size=(80, 4))).astype(np.float32)
    noise = rng.normal(size=(80, 400)).astype(np.float32)
    features = np.concatenate([telling, noise], axis=1)

    def reached(levels):
        return fit_head((features[:40], targets[:40]), (features[40:], targets[40:]), 2, levels=levels).val_loss

    assert reached([4, 400]) < reached([404])


def test_weights_move_the_boundary():
    from keensight.nets.training.linear_head import fit_head

    features, targets = _clusters(300, 2, spread=4)
    plain = fit_head((features, targets), (features, targets), 2)
    tilted = fit_head(
        (features, targets), (features, targets), 2, weights=np.where(targets == 1, 20, 1).astype(np.float32)
    )
    assert (tilted.logits(features).argmax(1) == 1).sum() > (plain.logits(features).argmax(1) == 1).sum()
