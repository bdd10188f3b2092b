"""What predictions say about each image: its class, its row, its set, and why a model abstains."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from keensight.core.predictions import Decision, Embeddings, Explanation, Predictions
from keensight.core.records import LabelSet
from keensight.errors import DataError, StoreError

LABELS = LabelSet(("ant", "bee", "cow"))


def found(*rows: list[float], labels: LabelSet = LABELS, **more: Any) -> Predictions:
    paths = tuple(f"{i}.png" for i in range(len(rows)))
    return Predictions(paths, labels, np.array(rows, np.float32), **more)


def test_the_row_of_an_image_has_its_class_its_best_classes_and_no_reason() -> None:
    assert found([0.25, 0.5, 0.25]).rows(top=2) == [
        {
            "path": "0.png", "label": "bee", "probability": 0.5, "top": [["bee", 0.5], ["ant", 0.25]],
            "decision": "accept", "reason": None, "set": None, "ood_score": None, "error": None,
        }
    ]  # fmt: skip


def test_the_row_of_an_image_that_was_not_read_has_its_reason_and_nothing_else() -> None:
    several = found([np.nan] * 3, [0.5, 0.5, 0.0], errors={"0.png": "empty file"})
    unread = {
        "path": "0.png", "label": None, "probability": None, "top": [], "decision": "abstain",
        "reason": "unreadable", "set": None, "ood_score": None, "error": "empty file",
    }  # fmt: skip
    assert several.rows()[0] == unread
    assert dataclasses.replace(several, thresholds=(0.5, 0.5, 0.5)).rows()[0] == unread | {"labels": []}
    assert repr(several) == "<Predictions of 2 images, 3 classes, 1 unreadable>"
    assert repr(found([1, 0, 0])) == "<Predictions of 1 images, 3 classes>"
    assert len(several) == 2


def test_five_classes_are_listed_unless_more_are_asked_for_and_equal_ones_in_their_order() -> None:
    many = found([0.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.0], labels=LabelSet(tuple("abcdefg")))
    assert [name for name, _ in many.rows()[0]["top"]] == ["b", "c", "d", "e", "f"]
    assert [name for name, _ in many.rows(top=9)[0]["top"]] == ["b", "c", "d", "e", "f", "a", "g"]


def test_a_label_is_predicted_from_its_threshold_on() -> None:
    several = found([0.5, 0.25, 0.74], [0.49, 0.24, 0.1], thresholds=(0.5, 0.25, 0.75))
    assert several.named(0) == ("ant", "bee")
    assert several.named(1) == ()
    first, second = several.rows()
    assert (first["label"], first["labels"]) == ("ant|bee", ["ant", "bee"])
    assert (second["label"], second["labels"], second["decision"]) == ("", [], "accept")


def test_true_classes_are_known_only_with_the_truth() -> None:
    rows = ([0.7, 0.2, 0.1], [0.7, 0.2, 0.1])
    single = found(*rows, truth=np.array([0, 2]))
    assert [single.true(i) for i in (0, 1)] == [("ant",), ("cow",)]
    assert single.right().tolist() == [True, False]
    several = found(*rows, truth=np.array([[1, 0, 0], [1, 0, 1]]), thresholds=(0.5, 0.5, 0.5))
    assert [several.true(i) for i in (0, 1)] == [("ant",), ("ant", "cow")]
    assert several.right().tolist() == [True, False]
    with pytest.raises(DataError, match="have no true labels") as refused:
        found(*rows).true(0)
    assert "ks.evaluate" in (refused.value.hint or "")


def test_a_model_abstains_for_the_first_reason_that_there_is() -> None:
    rule = Decision(threshold=0.6)
    unsure = [0.5, 0.3, 0.2]
    odd, unknown = np.array([True, True, False, False, False]), np.array([True, True, True, False, False])
    several = found(
        [np.nan] * 3, unsure, unsure, unsure, [0.6, 0.2, 0.2],
        errors={"0.png": "empty"}, odd=odd, unknown=unknown, decision=rule, ood_scores=np.arange(5, dtype=np.float32),
    )  # fmt: skip
    reasons = ["unreadable", "out-of-distribution", "like none of the classes", "below the threshold", None]
    assert [several.reason(i) for i in range(5)] == reasons
    rows = several.rows()
    assert [row["reason"] for row in rows] == reasons
    assert [row["decision"] for row in rows] == ["abstain"] * 4 + ["accept"]
    assert [row["ood_score"] for row in rows] == [None, 1.0, 2.0, 3.0, 4.0]


def test_a_prediction_set_lists_the_most_probable_class_first() -> None:
    several = found([0.3, 0.45, 0.25], [0.1, 0.1, 0.8], decision=Decision(set_level=0.9, set_threshold=0.3))
    assert [several.members(i) for i in (0, 1)] == [["bee", "ant"], ["cow"]]
    assert several.rows()[0]["set"] == ["bee", "ant"]
    assert found([1, 0, 0]).members(0) is None
    assert found([1, 0, 0], decision=Decision()).members(0) is None


def test_the_most_probable_class_is_always_in_the_set() -> None:
    held = Decision(set_threshold=0.9).members(np.array([[0.2, 0.5, 0.3], [0.95, 0.05, 0.0]]))
    assert held is not None and held.tolist() == [[False, True, False], [True, False, False]]


def test_rounding_to_float32_costs_no_prediction_and_a_smaller_probability_does() -> None:
    rounded = np.array([[0.7, 0.3], [0.69999, 0.30001]], np.float32)  # 0.7 is 0.69999999 in float32
    assert Decision(threshold=0.7).accepts(rounded).tolist() == [True, False]
    held = Decision(set_threshold=0.7).members(np.array([[0.75, 0.7], [0.75, 0.69999]], np.float32))
    assert held is not None and held[:, 1].tolist() == [True, False]


def test_without_a_threshold_every_image_gets_a_prediction() -> None:
    assert Decision().accepts(np.full((2, 100), 0.01)).tolist() == [True, True]
    assert Decision().n == 0


@pytest.mark.parametrize("name", ["threshold", "asked", "reached", "set_level", "set_threshold"])
def test_the_numbers_of_a_rule_are_shares(name: str) -> None:
    assert Decision().valid()
    for value, valid in ((0.0, True), (1.0, True), (-0.001, False), (1.001, False), (float("nan"), False)):
        assert dataclasses.replace(Decision(), **{name: value}).valid() is valid  # type: ignore[arg-type]


def test_a_rule_comes_back_from_a_manifest_and_an_older_manifest_always_predicts() -> None:
    rule = Decision(0.75, "precision", 0.95, 0.96, 0.9, 0.2, 40)
    assert Decision.from_manifest(rule.to_manifest()) == rule
    assert Decision.from_manifest({}) == Decision()
    with pytest.raises(StoreError, match=r"decision\.answers"):
        Decision.from_manifest({"answers": {"threshold": "high"}})


def test_records_with_pixels_can_be_compared_and_shown_without_them() -> None:
    def explained() -> Explanation:
        image, heat = np.full((2, 2, 3), 173, np.uint8), np.full((2, 2), 0.125, np.float32)
        return Explanation("a.png", "ant", 0.25, "bee", 0.75, image, heat)

    assert explained() == explained()
    assert "173" not in repr(explained()) and "0.125" not in repr(explained())
    assert explained().row() == {
        "path": "a.png", "label": "bee", "probability": 0.75, "explained": "ant", "explained_probability": 0.25,
        "error": None,
    }  # fmt: skip
    one, other = (Embeddings(("a.png", "b.png"), np.full((2, 3), value, np.float32)) for value in (0.5, 0.5))
    assert one == other and len(one) == 2
    extras: dict[str, Any] = {
        "unknown": np.zeros(2, bool), "ood_scores": np.zeros(2, np.float32), "odd": np.zeros(2, bool),
        "indices": np.arange(2), "truth": np.arange(2), "clusters": np.arange(2),
    }  # fmt: skip
    rows = ([0.5, 0.25, 0.25], [0.5, 0.25, 0.25])
    assert found(*rows, **extras) == found(*rows, **{name: value.copy() for name, value in extras.items()})
