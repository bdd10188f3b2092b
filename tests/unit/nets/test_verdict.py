"""Which phase is kept, and when one is left or not begun."""

import numpy as np
import pytest


def _logits(right, n, sure=2.0):
    """Two classes, all images of class 0; the last ones are wrong."""
    return np.where(np.arange(n)[:, None] < right, [[sure, 0.0]], [[0.0, sure]])


def test_a_clear_gain_is_kept_and_a_clear_loss_is_not():
    from keensight.nets.training.verdict import judge

    targets = np.zeros(300, int)
    assert judge(_logits(200, 300), _logits(260, 300), targets) == judge(_logits(200, 300), _logits(299, 300), targets)
    better = judge(_logits(200, 300), _logits(260, 300), targets)
    worse = judge(_logits(260, 300), _logits(200, 300), targets)
    assert (better.kept, better.certain, worse.kept, worse.certain) == (True, True, False, True)


def test_one_image_less_does_not_outweigh_a_much_lower_loss():
    from keensight.nets.training.verdict import judge

    rng = np.random.default_rng(0)
    n, classes = 296, 8
    targets = rng.integers(classes, size=n)
    noise = rng.normal(size=(n, classes))
    before, after = noise.copy(), noise.copy()
    hit = np.arange(n) < 222
    before[hit, targets[hit]] = noise[hit].max(axis=1) + 0.1
    after[hit, targets[hit]] = noise[hit].max(axis=1) + 3.0
    for logits in (before, after):
        logits[~hit, targets[~hit]] = noise[~hit].min(axis=1)
    after[0, targets[0]] = noise[0].min()
    assert ((before.argmax(1) == targets).sum(), (after.argmax(1) == targets).sum()) == (222, 221)
    assert judge(before, after, targets).kept


def test_a_difference_of_one_of_ten_images_is_not_certain():
    from keensight.nets.training.verdict import judge

    verdict = judge(_logits(7, 10), _logits(8, 10), np.zeros(10, int))
    assert verdict.kept and not verdict.certain


def test_without_a_difference_the_earlier_one_stays():
    from keensight.nets.training.verdict import judge

    verdict = judge(_logits(7, 10), _logits(7, 10), np.zeros(10, int))
    assert not verdict.kept and not verdict.certain


def test_overconfidence_alone_is_no_loss():
    from keensight.nets.training.verdict import losses

    rng = np.random.default_rng(1)
    targets = rng.integers(5, size=400)
    logits = rng.normal(size=(400, 5)) + 2 * np.eye(5)[targets]
    np.testing.assert_allclose(losses(4 * logits, targets).mean(), losses(logits, targets).mean(), rtol=1e-6)


def test_several_labels_are_compared_by_ranking_and_loss():
    from keensight.nets.training.verdict import judge

    rng = np.random.default_rng(2)
    targets = (rng.random((120, 4)) < 0.3).astype(int)
    noise = rng.normal(size=(120, 4))
    verdict = judge(noise, noise + 2 * targets, targets)
    assert verdict.kept and verdict.certain
    assert not judge(noise + 2 * targets, noise, targets).kept


@pytest.mark.parametrize(("accuracy", "n", "expected"), [(1.0, 32, False), (1.0, 400, True), (0.95, 400, False)])
def test_a_phase_is_not_begun_where_hardly_an_image_is_wrong(accuracy, n, expected):
    from keensight.nets.training.verdict import solved

    assert solved(accuracy, n) is expected


@pytest.mark.parametrize(
    ("reached", "expected"),
    [
        ([0.7, 0.6], False),  # a high learning rate costs accuracy at first
        ([0.5, 0.6, 0.7], True),
        ([0.7, 0.6, 0.78], False),  # within noise
        ([0.7, 0.6, 0.5, 0.4, 0.3, 0.3], False),  # the last epoch
    ],
)
def test_a_phase_is_left_where_half_of_it_did_not_make_up_for_the_start(reached, expected):
    from keensight.nets.training.verdict import hopeless

    assert hopeless(reached, 6, 0.8, 300) is expected


def test_a_phase_of_two_epochs_is_not_left_after_the_first_where_its_learning_rate_is_high():
    from keensight.nets.training.verdict import hopeless

    assert not hopeless([0.1], 2, 0.8, 300)
    assert not hopeless([0.1], 3, 0.8, 300)
    assert hopeless([0.1, 0.2], 3, 0.8, 300)
