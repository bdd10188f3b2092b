"""Confident learning on simulated noise, where the truth is known."""

import numpy as np
import pytest

from keensight.assess.labels import accuracy_range, judge, out_of_fold
from keensight.errors import DataError

CLASSES = 4


def blobs(n=400, spread=0.6, seed=0):
    """Four clouds in eight dimensions, with a class each."""
    draw = np.random.default_rng(seed)
    truth = np.arange(n) % CLASSES
    centres = np.eye(CLASSES, 8) * 3
    return (centres[truth] + draw.normal(0, spread, (n, 8))).astype(np.float32), truth


def flipped(truth, share=0.05, seed=1):
    draw = np.random.default_rng(seed)
    bad = draw.permutation(len(truth))[: round(share * len(truth))]
    given = truth.copy()
    given[bad] = (truth[bad] + draw.integers(1, CLASSES, len(bad))) % CLASSES
    return given, given != truth


def test_flipped_labels_are_found_and_the_right_class_is_suggested():
    rows, truth = blobs()
    given, wrong = flipped(truth)
    found = judge(out_of_fold(rows, given, np.arange(len(rows)), CLASSES), given)
    assert wrong[found.suspects].mean() >= 0.95
    assert wrong[found.suspects].sum() >= 0.8 * wrong.sum()
    np.testing.assert_array_equal(found.suggested[found.suspects], truth[found.suspects])
    assert np.all(np.diff(found.scores[found.suspects]) >= 0)


def test_a_clean_set_has_no_suspects():
    rows, truth = blobs()
    found = judge(out_of_fold(rows, truth, np.arange(len(rows)), CLASSES), truth)
    assert len(found.suspects) == 0
    np.testing.assert_allclose(found.joint, np.diag(np.bincount(truth)))


def test_the_joint_estimates_which_class_the_noise_goes_to():
    rows, truth = blobs()
    given = truth.copy()
    given[np.flatnonzero(truth == 2)[:20]] = 1
    joint = judge(out_of_fold(rows, given, np.arange(len(rows)), CLASSES), given).joint
    others = joint - np.diag(np.diag(joint))
    assert np.unravel_index(others.argmax(), others.shape) == (1, 2)
    assert 8 <= joint[1, 2] <= 25
    assert joint.sum() == pytest.approx(len(rows))
    assert joint[[0, 2, 3]].sum() - np.trace(joint[np.ix_([0, 2, 3], [0, 2, 3])]) < 3


def test_the_confident_joint_by_hand():
    # Thresholds are the mean self-confidences: class 0 (0.9 + 0.7 + 0.2) / 3 = 0.6, class 1 (0.8 + 0.6) / 2 = 0.7.
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.2, 0.8], [0.4, 0.6]])
    found = judge(p, np.array([0, 0, 0, 1, 1]))
    np.testing.assert_allclose(found.joint, [[2, 1], [0, 2]])
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.2, 0.8, 0.6])
    assert len(found.suspects) == 0  # a label with a fifth of the probability is no suspect


def test_copies_of_an_image_do_not_vouch_for_one_another():
    rows, truth = blobs(80)
    lonely = np.tile(
        np.eye(8, dtype=np.float32)[7] * 6, (6, 1)
    )  # six copies that look like nothing else, all with one label
    rows, given = np.concatenate([rows, lonely]), np.concatenate([truth, np.full(6, 3)])
    apart = out_of_fold(rows, given, np.arange(86), CLASSES)
    together = out_of_fold(rows, given, np.array([*range(80), *[80] * 6]), CLASSES)
    assert apart[80:, 3].min() > 0.9
    assert together[80:, 3].max() < 0.5


def test_every_fold_holds_every_class_and_the_seed_decides():
    rows, truth = blobs(100)
    first, again, other = (out_of_fold(rows, truth, np.arange(100), CLASSES, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-6)
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)


def test_too_few_images_are_refused():
    rows, truth = blobs(8)
    with pytest.raises(DataError, match="too few to check"):
        out_of_fold(rows[:4], truth[:4], np.arange(4), CLASSES)
    with pytest.raises(DataError, match="too few to check"):
        out_of_fold(rows, np.zeros(8, int), np.arange(8), CLASSES)


def test_the_accuracy_range_counts_what_each_suspect_can_change():
    predicted, given = np.array([0, 1, 1, 0, 2]), np.array([0, 1, 0, 1, 0])
    suggested = np.array([9, 0, 1, 2, 9])
    suspect = np.array([False, True, True, True, False])
    found = accuracy_range(predicted, given, suggested, suspect)
    # Right as given: rows 0 and 1. Row 1 may be lost, row 2 won; row 3 is wrong either way.
    assert (found.measured, found.low, found.high, found.corrected) == (0.4, 0.2, pytest.approx(0.6), 0.4)
    assert (found.n, found.suspects) == (5, 3)


def test_a_label_given_a_tenth_is_no_suspect():
    def suspects(confidence: float) -> list[int]:
        odd = [confidence, 1 - confidence]
        p = np.array([odd] + [[0.9, 0.1]] * 20 + [[0.2, 0.8]] * 20)
        return judge(p, np.repeat([0, 1], [21, 20])).suspects.tolist()

    assert (suspects(0.1), suspects(0.0999)) == ([], [0])
