"""The label check on simulated noise, where the truth is known."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from keensight.assess.confident_learning import (
    accuracy_range,
    judge,
    judge_labels,
    out_of_fold,
    out_of_fold_labels,
)
from keensight.core.folds import deal
from keensight.core.labels import DETECTABLE
from keensight.core.progress import Phase, Silent
from keensight.errors import DataError

pytestmark = pytest.mark.slow

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
    given_probabilities = found.probabilities[found.suspects, given[found.suspects]]
    assert np.all(np.diff(given_probabilities) >= 0)
    assert found.precision >= 0.9
    assert found.detectable > 0.9


def test_a_clean_set_has_no_suspects():
    rows, truth = blobs()
    found = judge(out_of_fold(rows, truth, np.arange(len(rows)), CLASSES), truth)
    assert len(found.suspects) == 0
    assert found.precision is None
    np.testing.assert_allclose(found.joint, np.diag(np.bincount(truth)), atol=0.1)


def test_the_joint_estimates_how_many_belong_where():
    rows, truth = blobs()
    given, _ = flipped(truth)
    joint = judge(out_of_fold(rows, given, np.arange(len(rows)), CLASSES), given).joint
    expected = np.zeros((CLASSES, CLASSES))
    np.add.at(expected, (given, truth), 1)
    assert joint.sum() == pytest.approx(len(rows))
    np.testing.assert_allclose(joint, expected, atol=2)


def lookalikes(classes, each=30, spread=1.0, seed=0):
    """Clouds in eight dimensions whose centers lie close together."""
    draw = np.random.default_rng(seed)
    truth = np.repeat(np.arange(classes), each)
    centres = draw.normal(0, 1, (classes, 8))
    return (centres[truth] + draw.normal(0, spread, (len(truth), 8))).astype(np.float32), truth


@pytest.mark.parametrize("seed", range(3))
def test_honest_confusions_of_many_classes_are_no_suspects(seed):
    rows, truth = lookalikes(80, spread=1.4, seed=seed)
    probabilities = out_of_fold(rows, truth, np.arange(len(rows)), 80)
    assert 0.1 < (probabilities.argmax(axis=1) == truth).mean() < 0.7
    found = judge(probabilities, truth)
    assert len(found.suspects) == 0
    assert found.detectable < DETECTABLE
    assert len(found.doubtful) == 30


def test_wrong_labels_among_many_separable_classes_are_found():
    rows, truth = lookalikes(40, spread=0.2)
    draw = np.random.default_rng(3)
    given = truth.copy()
    bad = draw.permutation(len(truth))[:36]
    given[bad] = (truth[bad] + draw.integers(1, 40, len(bad))) % 40
    found = judge(out_of_fold(rows, given, np.arange(len(rows)), 40), given)
    wrong = given != truth
    assert wrong[found.suspects].mean() >= 0.9
    assert wrong[found.suspects].sum() >= 0.8 * wrong.sum()
    assert found.precision >= 0.8
    assert 1 - np.trace(found.joint) / len(rows) == pytest.approx(0.03, abs=0.01)


def test_two_classes_with_wrong_labels():
    draw = np.random.default_rng(0)
    truth = np.arange(400) % 2
    rows = (draw.normal(0, 0.6, (400, 8)) + 2 * truth[:, None]).astype(np.float32)
    given = truth.copy()
    given[:20] = 1 - given[:20]
    found = judge(out_of_fold(rows, given, np.arange(400), 2), given)
    assert 15 <= np.sum(found.suspects < 20) == len(found.suspects)


def test_a_class_of_few_images_is_not_suspect_as_a_whole():
    rows, truth = blobs(400)
    kept = np.concatenate([np.flatnonzero(truth != 3), np.flatnonzero(truth == 3)[:6]])
    given = truth[kept]
    found = judge(out_of_fold(rows[kept], given, np.arange(len(kept)), CLASSES), given)
    assert len(found.suspects) == 0


def test_only_what_the_probabilities_do_not_explain_is_suspect():
    # Half of the images are certain, half are equal between two classes: the labels that these lose are honest.
    p = np.array([[0.999, 0.001]] * 200 + [[0.8, 0.2]] * 100)
    honest = np.zeros(300, int)
    honest[200:220] = 1
    found = judge(p, honest)
    assert len(found.suspects) == 0
    assert set(found.doubtful.tolist()) == set(range(200, 220))
    noisy = honest.copy()
    noisy[:5] = 1
    assert judge(p, noisy).suspects.tolist() == [0, 1, 2, 3, 4]


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
    with pytest.raises(DataError, match="too few for a label check"):
        out_of_fold(rows[:4], truth[:4], np.arange(4), CLASSES)
    with pytest.raises(DataError, match="too few for a label check"):
        out_of_fold(rows, np.zeros(8, int), np.arange(8), CLASSES)


def test_the_accuracy_range_counts_what_each_suspect_can_change():
    predicted, given = np.array([0, 1, 1, 0, 2]), np.array([0, 1, 0, 1, 0])
    suggested = np.array([9, 0, 1, 2, 9])
    suspect = np.array([False, True, True, True, False])
    found = accuracy_range(predicted, given, suggested, suspect)
    # Right as given: rows 0 and 1. Row 1 may be lost, row 2 won; row 3 is wrong either way.
    assert (found.measured, found.low, found.high, found.corrected) == (0.4, 0.2, pytest.approx(0.6), 0.4)
    assert (found.n, found.suspects) == (5, 3)


LABELS = 4


def labelled_blobs(n=500, spread=0.35, seed=0):
    """Sums of the centers of all labels that an image has, with noise."""
    draw = np.random.default_rng(seed)
    present = (draw.random((n, LABELS)) < (0.5, 0.4, 0.3, 0.2)).astype(np.uint8)
    centres = np.eye(LABELS, 8) * 3
    return (present @ centres + draw.normal(0, spread, (n, 8))).astype(np.float32), present


def test_missing_and_wrong_labels_are_told_apart_and_correct_ones_are_not_suspicious():
    rows, truth = labelled_blobs()
    alone = np.arange(len(rows))
    honest = judge_labels(out_of_fold_labels(rows, truth, alone), truth)
    assert len(honest.suspects) == 0
    assert honest.wrong.mean() < 0.005

    draw = np.random.default_rng(1)
    missing = draw.permutation(np.flatnonzero(truth))[:30]
    added = draw.permutation(np.flatnonzero(truth == 0))[:30]
    given = truth.copy()
    given.flat[missing], given.flat[added] = 0, 1
    found = judge_labels(out_of_fold_labels(rows, given, alone), given)
    wrong = set(missing.tolist()) | set(added.tolist())
    hits = [pair for pair in found.suspects.tolist() if pair in wrong]
    assert len(hits) >= 0.9 * len(found.suspects)
    assert len(hits) >= 0.8 * len(wrong)
    assert found.precision == pytest.approx(len(hits) / len(found.suspects), abs=0.1)
    np.testing.assert_array_equal(found.suggested[hits], truth.flat[hits])
    assert found.wrong.mean() == pytest.approx(60 / truth.size, abs=0.01)


@pytest.mark.parametrize(("errors", "expected"), [(4, 0), (20, 20)])
def test_as_many_improbable_labels_as_unusual_images_explain_are_no_suspects(errors, expected):
    # Unsure of 300 images, 120 of them wrong: two or three unusual ones are expected, and 4 are not more by chance.
    p = np.array([[0.6, 0.1, 0.1, 0.1, 0.1]] * 300 + [[0.9996] + [0.0001] * 4] * 1000)
    given = np.array(([0] * 6 + [1, 2, 3, 4]) * 30 + [0] * (1000 - errors) + [1] * errors)
    assert len(judge(p, given).suspects) == expected


def test_a_label_that_a_model_has_only_seen_absent_is_not_judged():
    rows, present = labelled_blobs(100)
    present[:, 3] = 0
    present[:5, 3] = 1
    groups = np.array([*[0] * 5, *range(1, 96)])
    found = out_of_fold_labels(rows, present, groups)
    assert np.sum(found[:, 3] == 0.5) >= 5
    assert len(judge_labels(found, present).suspects) == 0


def test_a_multilabel_set_of_too_few_groups_is_refused():
    rows, present = labelled_blobs(20)
    with pytest.raises(DataError, match="too few for a label check"):
        out_of_fold_labels(rows, present, np.arange(20) % 4)


def test_of_the_present_labels_2_percent_missing_and_as_many_wrong_ones_ought_to_be_distinguishable():
    rng = np.random.default_rng(0)
    present = (rng.random((200, 2)) < (0.7, 0.1)).astype(np.uint8)
    p = 1 / (1 + np.exp(rng.normal(4 - 8.0 * present, 4)))
    rarer, flat = present[:, 1].sum() + (1 - present[:, 0]).sum(), p.reshape(-1)
    pairs = np.stack([1 - flat, flat], axis=1), present.reshape(-1).astype(int)
    assert judge_labels(p, present).detectable == judge(*pairs, 0.04 * rarer / 400).detectable
    assert judge(*pairs, 0.03 * rarer / 400).detectable < judge(*pairs, 0.04 * rarer / 400).detectable < 0.9


def clouds(n: int = 60, classes: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(4)
    given = np.arange(n) % classes
    scale, place = np.array([1, 10, 0.01, 1, 100, 1]), np.array([0, 50, 0, -3, 1000, 7])
    rows = rng.normal(size=(n, 6)) + 1.2 * np.eye(classes, 6)[given]
    rows[:, 3:] += 3 * rng.normal(size=(n, 1))  # so that the first axis is far longer than the others
    return (rows * scale + place).astype(np.float32), given


def standardized(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    axes: NDArray[np.float64] = PCA().fit_transform(StandardScaler().fit_transform(rows.astype(np.float64)))
    return axes / axes[:, 0].std()


def test_probabilities_are_of_a_regression_that_has_not_seen_the_group() -> None:
    rows, given = clouds()
    groups = np.arange(60) // 2
    inputs, fold = standardized(rows), deal(given, groups, 5, 0)
    expected = np.zeros((60, 4))
    for number in range(5):
        train = fold != number
        model = LogisticRegression(C=200 / train.sum(), max_iter=2000, tol=1e-6).fit(inputs[train], given[train])
        expected[~train, :3] = model.predict_proba(inputs[~train])
    found = out_of_fold(rows, given, groups, 4)
    np.testing.assert_allclose(found, expected, atol=0.06)
    assert (found[:, 3] == 0).all(), "no image is of the fourth class"


def test_probabilities_of_labels_are_of_one_regression_each() -> None:
    rows, kinds = clouds()
    present = np.stack([kinds == 0, kinds != 1, np.ones(60), np.zeros(60)], axis=1).astype(np.uint8)
    order = np.unique(present, axis=0, return_inverse=True)[1].reshape(-1)
    inputs, fold = standardized(rows), deal(order, np.arange(60), 5, 0)
    expected = np.full((60, 4), 0.5)
    for number in range(5):
        train = fold != number
        for label in range(2):
            model = LogisticRegression(C=1000 / train.sum(), max_iter=2000, tol=1e-6)
            model.fit(inputs[train], present[train, label])
            expected[~train, label] = model.predict_proba(inputs[~train])[:, 1]
    found = out_of_fold_labels(rows, present, np.arange(60))
    np.testing.assert_allclose(found, expected, atol=0.06)


class Counted(Silent):
    """Counts the images that are reported."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self.done: list[int] = []

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Phase]:
        self.begun.append((label, total))
        with super().task(label, total, unit) as phase:
            phase.advance = self.done.append  # type: ignore[method-assign]
            yield phase


def test_every_image_is_reported_once() -> None:
    rows, given = clouds(30)
    shown = Counted()
    out_of_fold(rows, given, np.arange(30), 3, progress=shown)
    out_of_fold_labels(rows, np.zeros((30, 1), np.uint8), np.arange(30), progress=shown)
    assert shown.begun == [("checking labels", 30)] * 2
    assert sum(shown.done) == 60 and len(shown.done) == 10, "by fold"


def test_without_a_seed_it_is_0() -> None:
    rows, given = clouds(20, 2)
    present, alone = given[:, None].astype(np.uint8), np.arange(20)
    classes = [out_of_fold(rows, given, alone, 2, **seed) for seed in ({}, {"seed": 0}, {"seed": 1})]
    labels = [out_of_fold_labels(rows, present, alone, **seed) for seed in ({}, {"seed": 0}, {"seed": 1})]
    for unstated, first, other in (classes, labels):
        np.testing.assert_array_equal(unstated, first)
        assert not np.allclose(unstated, other, atol=1e-6)


@pytest.mark.parametrize("groups", [4, 5])
def test_five_groups_are_the_fewest(groups: int) -> None:
    rows, given = clouds(30)
    names = np.arange(30) % groups
    present = np.stack([given == 0, given == 1], axis=1).astype(np.uint8)
    if groups == 5:
        assert np.isfinite(out_of_fold(rows, given, names, 3)).all()
        assert np.isfinite(out_of_fold_labels(rows, present, names)).all()
        return
    with pytest.raises(DataError, match="30 images are too few for a label check") as caught:
        out_of_fold(rows, given, names, 3)
    assert caught.value.hint == "give at least two classes and 5 images or groups of each"
    with pytest.raises(DataError, match="30 images are too few for a label check") as caught:
        out_of_fold_labels(rows, present, names)
    assert caught.value.hint == "give at least one label and 5 images or groups with it and without it"


def test_a_class_of_a_single_image_leaves_one_model_without_a_second_class() -> None:
    rows, given = clouds(30, 1)
    given[0] = 1
    with pytest.raises(DataError, match="too few for a label check"):
        out_of_fold(rows, given, np.arange(30), 2)
    given[1] = 1
    assert np.isfinite(out_of_fold(rows, given, np.arange(30), 2)).all()
