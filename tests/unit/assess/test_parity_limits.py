"""The parity gate just at its limits, and what it says there."""

from typing import Any

import numpy as np
import pytest

from keensight.assess.parity import Outputs, compare
from keensight.core.parity import Parity, Precision

LABELS = ("ant", "bee", "wasp")


def certain(classes: np.ndarray) -> np.ndarray:
    """Probabilities of 1 of these classes."""
    return np.eye(3, dtype=np.float32)[classes]


def compared(first: np.ndarray, second: np.ndarray, precision: Precision = "int8", size: float = 4.0, **more: Any) -> (
    Parity
):  # fmt: skip
    """The parity of two predictions of classes, all of test images whose truth is the model's prediction."""
    more = {"truth": first, **more}
    return compare(Outputs(certain(first), certain(second), 0, labels=LABELS, **more), precision, size)


def limits(found: Parity) -> dict[str, tuple[str, str, bool]]:
    return {one.name: (one.measured, one.allowed, one.ok) for one in found.limits}


TRUTH = np.arange(60) % 3


def test_the_limits_of_the_same_outputs_in_words() -> None:
    assert limits(compared(TRUTH, TRUTH, "float32")) == {
        "largest difference of a probability": ("0", "0.0001", True),
        "agreement of predictions": ("1.0000", "1", True),
    }
    assert limits(compared(TRUTH, TRUTH, "float16")) == {
        "largest difference of a probability": ("0", "0.03", True),
        "agreement of predictions": ("1.0000", "0.995, or all but one", True),
    }
    found = limits(compared(TRUTH, TRUTH, size=3.0))
    assert found["largest loss of recall of a class"] == ("0", "0.10, or a single image", True)
    assert found["size of the file"] == ("3.00x smaller", "3x", True)
    assert found["change of accuracy"][1:] == ("not significantly below 0", True)
    score = np.ones((2, 1), np.float32)
    found = limits(compare(Outputs(score, score, 2), "float32", 1.0))
    assert found["largest difference of a score (relative)"] == ("0", "0.001", True)


@pytest.mark.parametrize(("images", "others", "ok"), [(400, 2, True), (399, 2, False), (60, 1, True), (60, 2, False)])
def test_of_200_images_one_may_be_predicted_otherwise_in_float16(images: int, others: int, ok: bool) -> None:
    # The two highest probabilities are nearly even, so that other predictions come of a difference within tolerance.
    first = np.full((images, 3), [0.4, 0.39, 0.21], np.float32)
    second = first.copy()
    second[:others] = [0.39, 0.4, 0.21]
    found = compare(Outputs(first, second, images), "float16", 2.0)
    assert found.ok is ok and found.agreement == pytest.approx(1 - others / images)


@pytest.mark.parametrize(("others", "ok"), [(6, True), (7, False)])
def test_one_image_in_20_may_be_out_of_distribution_for_an_int8_export_alone(others: int, ok: bool) -> None:
    truth = np.arange(120) % 3
    none, some = np.zeros(120, bool), np.arange(120) < others
    found = limits(compared(truth, truth, refused=(none, some)))["agreement on out-of-distribution"]
    assert found == (f"{1 - others / 120:.4f}", "0.95, or all but one", ok)
    assert "agreement on out-of-distribution" not in limits(compared(truth, truth))


def test_a_single_image_of_a_small_class_may_be_lost_and_not_two() -> None:
    truth = np.repeat([0, 1, 2], [300, 2, 1])
    second = truth.copy()
    second[302] = 0
    found = compared(truth, second)
    assert found.ok and (found.worst_class, found.worst_drop) == ("wasp", 1.0)
    second[300:302], second[302] = 0, 2
    found = compared(truth, second)
    assert limits(found)["largest loss of recall of a class"] == ("1.000 of bee", "0.10, or a single image", False)


def test_no_class_is_the_worst_where_none_loses() -> None:
    truth = np.repeat([0, 1], 30)  # no wasp at all
    wrong = truth.copy()
    wrong[:3] = 1
    found = compared(wrong, truth, truth=truth)
    assert (found.worst_class, found.worst_drop, found.ok) == ("", 0.0, True)
    assert found.difference is not None and found.difference.value == pytest.approx(0.05)
    assert found.original is not None and found.accuracy is not None
    assert (found.original.value, found.accuracy.value) == (0.95, 1.0)


def test_no_change_in_any_group_is_not_below_0() -> None:
    found = compared(TRUTH, TRUTH, groups=np.arange(60) // 5)
    assert found.difference is not None and found.difference.high == 0
    assert found.ok
    assert found.accuracy is not None and found.accuracy.method == "wilson, at the effective number of images"


def test_without_test_images_there_is_no_accuracy() -> None:
    for truth in (None, np.zeros(0, np.int64)):
        outputs = Outputs(certain(TRUTH), certain(TRUTH), 60, truth, LABELS)
        found = compare(outputs, "int8", 4.0)
        assert (found.original, found.accuracy, found.difference, found.worst_class) == (None, None, None, "")
        assert (found.self_test, found.held_out, found.refused) == (60, 0, None)
        assert limits(found)["accuracy"] == ("not measured", "test images with labels", False)
        assert compare(outputs, "float32", 1.0).ok


def test_a_label_is_predicted_from_its_own_threshold_on() -> None:
    first = np.array([[0.25, 0.5, 0.75]], np.float32)
    outputs = Outputs(first, first, 0, np.array([[1, 1, 1]], np.uint8), LABELS, thresholds=(0.25, 0.5, 0.75))
    assert outputs.predicted(first).tolist() == [[True, True, True]]
    assert outputs.predicted(first - 0.125).tolist() == [[False, False, False]]
    found = compare(outputs, "float32", 1.0)
    assert found.accuracy is not None and found.accuracy.value == 1.0


def test_a_score_of_1_is_anomalous_and_one_below_1_is_compared_as_it_is() -> None:
    first = np.array([[1.0], [0.5], [4.0]], np.float32)
    outputs = Outputs(first, first + np.float32([[0.0], [0.25], [0.5]]), 3)
    assert outputs.scores and outputs.predicted(first).tolist() == [[True], [False], [True]]
    assert compare(outputs, "float32", 1.0).largest == 0.25  # 0.25 of 1; of 4 it is 0.125


def test_the_self_tests_images_have_no_truth() -> None:
    first = np.concatenate([[0, 0, 0, 0], TRUTH])
    second = np.concatenate([[1, 1, 1, 1], TRUTH])
    found = compare(Outputs(certain(first), certain(second), 4, TRUTH, LABELS), "int8", 4.0)
    assert (found.self_test, found.held_out, found.agreement) == (4, 60, 60 / 64)
    assert found.difference is not None and (found.difference.value, found.worst_drop) == (0.0, 0.0)
