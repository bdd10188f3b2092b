import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from keensight.assess.intervals import wilson
from keensight.assess.metrics import accuracy_without, evaluate, expected_calibration_error, report_text
from keensight.core.records import LabelSet
from keensight.errors import DataError

NAMES = ("ant", "a long class name", "bee", "Ñandú", "cat", "dog", "eel")


def draw(n: int, k: int, seed: int, sharpness: float = 2.0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + sharpness * np.eye(k)[targets]
    exponents = np.exp(logits)
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32), targets


def labels(k: int) -> LabelSet:
    return LabelSet(NAMES[:k])


@settings(max_examples=40)
@given(st.integers(1, 200), st.integers(2, 7), st.integers(0, 2**31))
def test_agrees_with_scikit_learn(n: int, k: int, seed: int) -> None:
    probabilities, targets = draw(n, k, seed)
    predicted = probabilities.argmax(axis=1)
    classes = list(range(k))
    found = evaluate(probabilities, targets, labels(k))
    common = {"labels": classes, "zero_division": 0}
    assert found.n == n
    assert found.accuracy.value == pytest.approx(sk.accuracy_score(targets, predicted))
    assert found.macro_f1 == pytest.approx(sk.f1_score(targets, predicted, average="macro", **common))
    assert found.weighted_f1 == pytest.approx(sk.f1_score(targets, predicted, average="weighted", **common))
    assert found.confusion == tuple(map(tuple, sk.confusion_matrix(targets, predicted, labels=classes).tolist()))
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)  # rows of float32 come to 1 but for some 1e-7
    assert found.loss == pytest.approx(sk.log_loss(targets, exact, labels=classes), rel=1e-5, abs=2e-7)
    for k_text, share in found.top_k.items():
        assert share == pytest.approx(sk.top_k_accuracy_score(targets, probabilities, k=int(k_text), labels=classes)
                                      if k > 2 else found.accuracy.value)  # fmt: skip


@settings(max_examples=40)
@given(st.integers(1, 200), st.integers(2, 7), st.integers(0, 2**31))
def test_report_text_is_scikit_learns_to_the_letter(n: int, k: int, seed: int) -> None:
    probabilities, targets = draw(n, k, seed)
    expected = sk.classification_report(
        targets, probabilities.argmax(axis=1), labels=range(k), target_names=NAMES[:k], digits=4, zero_division=0
    )
    # Where a class occurs neither as true nor as predicted, scikit-learn prints all supports as 3.0 for 3.
    expected = re.sub(r"(\d+)\.0$", lambda m: m[1].rjust(len(m[0])), expected, flags=re.MULTILINE)
    assert report_text(evaluate(probabilities, targets, labels(k))) == expected


def test_report_text_is_untouched_scikit_learn_where_all_classes_occur() -> None:
    probabilities, targets = draw(400, 7, 3)
    expected = sk.classification_report(targets, probabilities.argmax(axis=1), target_names=NAMES, digits=4)
    assert report_text(evaluate(probabilities, targets, labels(7))) == expected


def test_accuracy_without_some_images_is_that_of_the_others() -> None:
    probabilities, targets = draw(100, 3, 0)
    left_out = np.arange(100) % 4 == 0
    alone = evaluate(probabilities[~left_out], targets[~left_out], labels(3))
    assert accuracy_without(probabilities, targets, left_out) == alone.accuracy


def test_top_k_is_given_below_the_number_of_classes() -> None:
    assert list(evaluate(*draw(20, 2, 0), labels(2)).top_k) == ["1"]
    assert list(evaluate(*draw(20, 5, 0), labels(5)).top_k) == ["1", "2", "3"]
    assert list(evaluate(*draw(20, 7, 0), labels(7)).top_k) == ["1", "2", "3", "5"]


def test_equal_probabilities_go_to_the_first_class() -> None:
    even = np.full((3, 4), 0.25)
    found = evaluate(even, np.array([0, 1, 2]), labels(4))
    assert found.top_k == {"1": pytest.approx(1 / 3), "2": pytest.approx(2 / 3), "3": 1.0}
    assert found.accuracy.value == pytest.approx(1 / 3)


def test_a_class_that_does_not_occur_counts_with_zero() -> None:
    found = evaluate(np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), np.array([0, 1]), labels(3))
    absent = found.per_class[2]
    assert (absent.precision, absent.recall, absent.f1, absent.support) == (0, 0, 0, 0)
    assert found.macro_f1 == pytest.approx(2 / 3)
    assert found.weighted_f1 == 1.0


def test_a_certain_mistake_costs_a_finite_loss() -> None:
    found = evaluate(np.array([[1.0, 0.0]]), np.array([1]), labels(2))
    assert found.loss == pytest.approx(-np.log(np.finfo(np.float32).tiny))


def test_baseline_is_the_most_frequent_class() -> None:
    found = evaluate(np.tile([0.5, 0.3, 0.2], (4, 1)), np.array([2, 2, 2, 0]), labels(3))
    assert found.baseline_accuracy == 0.75
    assert found.accuracy.value == 0.25


def test_calibration_error_of_known_cases() -> None:
    # Ten images at confidence 0.8 of which 8 are right: calibrated. Of which 3 are right: off by one half.
    probabilities = np.tile([0.8, 0.2], (10, 1))
    assert expected_calibration_error(probabilities, np.array([0] * 8 + [1] * 2)) == pytest.approx(0.0)
    assert expected_calibration_error(probabilities, np.array([0] * 3 + [1] * 7)) == pytest.approx(0.5)
    # Two bins: gaps of opposite sign must not cancel.
    mixed = np.array([[0.9, 0.1]] * 2 + [[0.6, 0.4]] * 2)
    assert expected_calibration_error(mixed, np.array([0, 1, 0, 0])) == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)


def test_bins_are_closed_on_the_right() -> None:
    # 0.6 is the upper edge of bin 9: with 0.58 it shares a bin, where the gaps +0.4 and -0.58 cancel in part.
    probabilities = np.array([[0.6, 0.4], [0.58, 0.42]])
    assert expected_calibration_error(probabilities, np.array([0, 1])) == pytest.approx(abs(0.4 - 0.58) / 2)


@pytest.mark.parametrize(
    ("probabilities", "targets", "says"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "no image"),
        (np.full((2, 2), 0.5), np.array([0, 1]), "shape"),
        (np.full((2, 3), 1 / 3), np.array([0, 3]), "integers from 0 to 2"),
        (np.full((2, 3), 1 / 3), np.array([0, -1]), "integers"),
        (np.full((2, 3), 1 / 3), np.array([0.0, 1.0]), "integers"),
        (np.array([[np.nan] * 3, [0.2, 0.3, 0.5]]), np.array([0, 1]), "1 of 2 rows are NaN"),
        (np.array([[4.0, -1.0, -2.0], [0.2, 0.3, 0.5]]), np.array([0, 1]), "not probabilities"),
        (np.array([[0.9, 0.9, 0.9]]), np.array([0]), "not probabilities"),
    ],
)
def test_refuses(probabilities: Any, targets: Any, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        evaluate(probabilities, targets, labels(3))
    assert caught.value.hint


def test_rows_that_miss_1_by_a_hundredth_are_no_probabilities() -> None:
    with pytest.raises(DataError, match="not probabilities"):
        evaluate(np.array([[0.5, 0.3, 0.21]]), np.array([0]), labels(3))


@pytest.mark.parametrize(
    ("row", "probable"), [([0.5, 0.3, 0.2008], True), ([0.5, 0.3, 0.202], False), ([0.6, 0.4004, -0.0004], False)]
)
def test_rows_come_to_1_but_for_rounding_and_none_is_below_0(row: list[float], probable: bool) -> None:
    if probable:
        assert evaluate(np.array([row]), np.array([0]), labels(3)).n == 1
    else:
        with pytest.raises(DataError, match="each must sum to 1"):
            evaluate(np.array([row]), np.array([0]), labels(3))


def test_areas_under_the_curve_are_of_the_classes_that_some_images_have_and_others_lack() -> None:
    probabilities, targets = draw(60, 3, 0)
    four = np.column_stack([probabilities, np.zeros(60)])
    found = evaluate(four, targets, labels(4))
    areas = [sk.roc_auc_score(targets == i, probabilities[:, i]) for i in range(3)]
    assert [score.auroc for score in found.per_class] == [*map(pytest.approx, areas), None]
    assert found.auroc == found.intervals["auroc"].value == pytest.approx(np.mean(areas))
    assert found.per_class[0].intervals["auroc"].value == pytest.approx(areas[0])
    assert "auroc" not in found.per_class[3].intervals
    alone = evaluate(np.tile([0.7, 0.3], (5, 1)), np.zeros(5, int), labels(2))
    assert (alone.auroc, [score.auroc for score in alone.per_class]) == (None, [None, None])
    assert "auroc" not in alone.intervals


def test_the_interval_of_the_mean_area_is_of_the_mean_of_the_influences() -> None:
    probabilities, targets = draw(80, 2, 1, 1.0)
    found = evaluate(probabilities, targets, labels(2))
    # Both classes of two have the same area, and each image the same influence on both.
    one = found.per_class[0].intervals["auroc"]
    assert (found.intervals["auroc"].low, found.intervals["auroc"].high) == pytest.approx((one.low, one.high), rel=1e-6)


def test_the_intervals_of_a_class_are_wilsons_of_its_own_images() -> None:
    probabilities, targets = draw(60, 3, 2)
    predicted = probabilities.argmax(axis=1)
    for i, score in enumerate(evaluate(probabilities, targets, labels(3)).per_class):
        both = int(((predicted == i) & (targets == i)).sum())
        assert score.intervals["precision"] == wilson(both, int((predicted == i).sum()))
        assert score.intervals["recall"] == wilson(both, int((targets == i).sum()))


def test_without_a_temperature_calibration_changes_nothing() -> None:
    probabilities, targets = draw(50, 3, 1)
    found = evaluate(probabilities, targets, labels(3))
    told = found.calibration
    assert told is not None
    assert told.temperature == 1
    assert (told.loss_before, told.brier_before, told.ece_before) == (found.loss, found.brier, found.ece)
    assert told.bins_before == told.bins
    assert "loss_change" not in found.intervals
    assert (found.part, evaluate(probabilities, targets, labels(3), part="val").part) == ("test", "val")


def test_images_of_one_group_count_as_one_in_the_accuracy_without_some() -> None:
    probabilities, targets = draw(60, 3, 0)
    each, left_out = np.repeat(np.arange(60), 4), np.repeat(np.arange(60) < 10, 4)
    grouped = accuracy_without(probabilities[each], targets[each], left_out, each)
    alone = accuracy_without(probabilities[each], targets[each], left_out)
    assert grouped.value == pytest.approx(alone.value)
    assert grouped.high - grouped.low > 1.8 * (alone.high - alone.low)
