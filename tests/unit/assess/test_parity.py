"""The parity gate: which exports may be used."""

import numpy as np
import pytest

from keensight.assess.parity import Outputs, compare

LABELS = ("ant", "bee", "wasp")


def probabilities(truth, right=0.9):
    rows = np.full((len(truth), 3), (1 - right) / 2, np.float32)
    rows[np.arange(len(truth)), truth] = right
    return rows


def outputs(original, exported, truth=None, self_test=0, **more):
    return Outputs(original, exported, self_test, truth, LABELS, **more)


def failed(parity):
    return [limit.name for limit in parity.limits if not limit.ok]


TRUTH = np.tile([0, 1, 2], 40)


@pytest.mark.parametrize(("change", "ok"), [(9e-5, True), (2e-4, False)])
def test_float32_must_give_the_same_numbers(change, ok):
    first = probabilities(TRUTH)
    second = first.copy()
    second[7, 2] += change
    found = compare(outputs(first, second, TRUTH[8:], self_test=8), "float32", 1.0)
    assert found.ok is ok
    assert (found.self_test, found.held_out, found.images) == (8, 112, 120)
    assert found.largest == pytest.approx(change, rel=1e-2)
    assert found.difference.value == 0 and found.accuracy.value == 1


def test_one_other_prediction_fails_float32_and_not_float16():
    first = probabilities(TRUTH[:1], 0.34).repeat(400, axis=0)
    second = first.copy()
    second[0] = [0.33, 0.34, 0.33]
    tied = outputs(first, second)
    assert failed(compare(tied, "float32", 1.0)) == ["largest difference of a probability", "agreement of predictions"]
    found = compare(tied, "float16", 2.0)
    assert found.ok and found.agreement == 399 / 400
    few = outputs(first[:50], second[:50])
    assert compare(few, "float16", 2.0).ok and not compare(few, "float32", 1.0).ok
    second[:3] = [0.33, 0.34, 0.33]
    assert failed(compare(outputs(first, second), "float16", 2.0)) == ["agreement of predictions"]


def int8(lost, smaller=3.5, gained=0):
    """An int8 export that is wrong where its model is right on some images, and right where it is wrong on others."""
    truth = np.tile([0, 1, 2], 100)
    first = probabilities(truth)
    first[:gained] = probabilities((truth[:gained] + 1) % 3)
    second = first.copy()
    second[:gained] = probabilities(truth[:gained])
    places = np.arange(gained, gained + lost)
    second[places] = probabilities((truth[places] + 1) % 3)
    return compare(outputs(first, second, truth), "int8", smaller)


def test_int8_may_lose_what_chance_could_take_and_no_more():
    assert int8(0).ok and int8(3, gained=3).ok and int8(3).ok
    assert failed(int8(12)) == ["change of accuracy"]
    found = int8(12)
    assert found.difference.high < 0 and "change of accuracy is -0.0400" in found.refusal()


def test_int8_says_what_it_may_cost():
    assert (
        int8(3)
        .doubt()
        .startswith("it predicts otherwise for 3 of 300 images; accuracy on the 300 test images -1.0 points")
    )
    assert "too few" not in int8(3).doubt()
    few = compare(outputs(probabilities(TRUTH[:30]), probabilities(np.r_[1, TRUTH[1:30]]), TRUTH[:30]), "int8", 4.0)
    assert few.ok and few.doubt().endswith("; too few test images to rule out a loss of 5 points or more")
    assert compare(outputs(probabilities(TRUTH), probabilities(TRUTH), TRUTH), "float32", 1.0).doubt() == ""


def test_a_class_may_not_lose_more_than_10_points_of_recall_unless_it_is_one_image():
    truth = np.concatenate([np.zeros(200, int), np.ones(20, int), [2] * 5])
    first = probabilities(truth)
    second = first.copy()
    second[[200, 201]] = probabilities(np.array([0, 0]))
    found = compare(outputs(first, second, truth), "int8", 4.0)
    assert found.ok and (found.worst_class, found.worst_drop) == ("bee", pytest.approx(0.1))
    second[202] = probabilities(np.array([0]))
    found = compare(outputs(first, second, truth), "int8", 4.0)
    assert failed(found) == ["largest loss of recall of a class"] and "0.150 of bee" in found.refusal()
    one = first.copy()
    one[-1] = probabilities(np.array([0]))
    found = compare(outputs(first, one, truth), "int8", 4.0)
    assert found.ok and (found.worst_class, found.worst_drop) == ("wasp", pytest.approx(0.2))


def test_int8_must_be_worth_it_and_must_have_been_measured():
    assert failed(int8(0, smaller=2.9)) == ["size of the file"]
    bare = compare(outputs(probabilities(TRUTH), probabilities(TRUTH), self_test=120), "int8", 4.0, "no images")
    assert failed(bare) == ["accuracy"] and bare.note == "no images"


def test_labels_agree_as_sets_and_accuracy_is_of_whole_sets():
    first = np.array([[0.9, 0.2, 0.6], [0.1, 0.2, 0.3]], np.float32)
    second = np.array([[0.9, 0.2, 0.4], [0.1, 0.2, 0.3]], np.float32)
    truth = np.array([[1, 0, 1], [0, 0, 0]], np.uint8)
    found = compare(outputs(first, second, truth, thresholds=(0.5, 0.5, 0.5)), "float16", 2.0)
    assert (found.agreement, found.original.value, found.accuracy.value) == (0.5, 1, 0.5)
    assert (found.worst_class, found.worst_drop) == ("wasp", 1.0)


def test_scores_are_compared_as_fractions():
    first, second = np.array([[0.4], [20.0]], np.float32), np.array([[0.4004], [20.01]], np.float32)
    found = compare(Outputs(first, second, 2), "float32", 1.0)
    assert found.ok and found.largest == pytest.approx(5e-4, rel=0.01)
    near = compare(Outputs(np.array([[0.9999]], np.float32), np.array([[1.0001]], np.float32), 1), "float32", 1.0)
    assert failed(near) == ["agreement of predictions"]


@pytest.mark.parametrize(("precision", "change", "ok"), [
    ("float32", 9e-4, True), ("float32", 2e-3, False), ("float16", 0.025, True), ("float16", 0.04, False),
])  # fmt: skip
def test_scores_may_differ_by_a_fraction_that_depends_on_the_precision(precision, change, ok):
    first = np.array([[20.0], [30.0]], np.float32)
    assert compare(Outputs(first, first * np.float32(1 + change), 2), precision, 1.0).ok is ok


def test_images_of_a_group_are_not_independent():
    truth = np.tile([0, 1, 2], 100)
    first = probabilities(truth)
    second = first.copy()
    second[:12] = probabilities((truth[:12] + 1) % 3)
    groups = np.arange(300) // 12
    alone = compare(outputs(first, second, truth), "int8", 4.0)
    grouped = compare(outputs(first, second, truth, groups=groups), "int8", 4.0)
    assert alone.difference.high < 0 and not alone.ok
    assert grouped.difference.method == "paired bootstrap of groups"
    assert grouped.difference.value == pytest.approx(-0.04) and grouped.difference.high >= 0


def test_the_out_of_distribution_rule_must_still_work():
    first = probabilities(TRUTH)
    none, some = np.zeros(120, bool), np.arange(120) < 5
    found = compare(outputs(first, first, TRUTH, refused=(none, none)), "float32", 1.0)
    assert found.ok and found.refused == (0, 0)
    for precision in ("float32", "float16"):
        found = compare(outputs(first, first, TRUTH, refused=(none, some)), precision, 1.0)
        assert failed(found) == ["agreement on out-of-distribution"] and found.refused == (0, 5 / 120)
    assert compare(outputs(first, first, TRUTH, refused=(none, some)), "int8", 4.0).ok
    many = np.arange(120) < 7
    found = compare(outputs(first, first, TRUTH, refused=(none, many)), "int8", 4.0)
    assert failed(found) == ["agreement on out-of-distribution"]
