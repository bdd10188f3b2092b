from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from keensight.core.codec import from_plain, to_plain
from keensight.core.evaluation import ClassScore, Evaluation
from keensight.core.interval import Interval
from keensight.core.predictions import Predictions
from keensight.core.records import Dataset, ImageInfo, LabelSet, Sample, Skipped, Split
from keensight.errors import StoreError

LABELS = LabelSet(("cat", "dög"))
SAMPLE = Sample(
    "a/ü.png", "cat", "0" * 64, 12, group="g", split="val", metadata={"age": 3}, info=ImageInfo("PNG", "L", 4, 5)
)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(to_plain(value), allow_nan=False))


@pytest.mark.parametrize(
    "record",
    [
        LABELS,
        SAMPLE,
        Sample("b", "dög", "", error="empty"),
        Dataset("d", "folder", LABELS, (SAMPLE,), (Skipped("x", "hidden"),)),
        Split((0, 2), (1,), (), "by hand"),
        Interval(0.5, 0.25, 1),
        Evaluation("test", 2, LABELS, 0.5, Interval(1.0, 0.3, 1.0), {"1": 1.0}, 1.0, 1.0, 0.1,
                   (ClassScore("cat", 1.0, 1.0, 1.0, 2),), ((2, 0), (0, 0)), 0.5),
    ],
)  # fmt: skip
def test_records_survive_json(record: Any) -> None:
    assert from_plain(type(record), through_json(record)) == record


def test_what_is_no_part_of_a_record_is_not_saved() -> None:
    plain = through_json(Dataset("d", "folder", LABELS, (), reader=object()))  # type: ignore[arg-type]
    assert "reader" not in plain
    assert "reader" not in json.dumps(plain)


def test_numpy_values_become_plain() -> None:
    plain = through_json({"a": np.float32(0.5), "b": np.arange(3), "c": (np.int64(2), np.bool_(True)), 4: None})
    assert plain == {"a": 0.5, "b": [0, 1, 2], "c": [2, True], "4": None}


def test_probabilities_come_back_as_float32() -> None:
    predictions = Predictions(("a", "b"), LABELS, np.array([[0.25, 0.75], [1, 0]], np.float32), {"b": "bad"})
    back = from_plain(Predictions, through_json(predictions))
    assert back.probabilities.dtype == np.float32
    assert np.array_equal(back.probabilities, predictions.probabilities)
    assert back == predictions


def test_keys_of_a_newer_version_are_ignored_and_whole_numbers_are_floats() -> None:
    got = from_plain(Interval, {"value": 1, "low": 0, "high": 1, "invented": "later"})
    assert got == Interval(1.0, 0.0, 1.0)
    assert isinstance(got.value, float)


@pytest.mark.parametrize("plain", [{"value": 1}, [], "text", {"value": "much", "low": 0, "high": 1}])
def test_other_shapes_are_refused(plain: Any) -> None:
    with pytest.raises(StoreError, match=r"was expected|is missing"):
        from_plain(Interval, plain)


def test_a_whole_number_that_no_float_can_hold_is_refused_in_short() -> None:
    with pytest.raises(StoreError, match="'high' is a number of very many digits, but a number was expected"):
        from_plain(Interval, {"value": 1, "low": 0, "high": 10**400, "n": 1})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "null"), (True, "true"), (False, "false"), (3, "the number 3"),
        (-1000, "the number -1000"), (10**40 - 1, f"the number {'9' * 40}"), (0.5, "the number 0.5"),
        (10**40, "a number of very many digits"), (-(10**41), "a number of very many digits"), ([1], "a list"),
        ((1, 2), "a list"), ({"a": 1}, "an object"), ("9" * 50, f"the text '{'9' * 40}'"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_described_in_the_words_of_json(value: Any, said: str) -> None:
    plain = through_json(Interval(0.5, 0.25, 1))
    wrong = "method" if not isinstance(value, str) else "value"
    with pytest.raises(StoreError) as caught:
        from_plain(Interval, plain | {wrong: value}, "accuracy")
    expected = "text" if wrong == "method" else "a number"
    assert caught.value.message == f"the key 'accuracy.{wrong}' is {said}, but {expected} was expected"


@dataclass(frozen=True)
class Shape:
    """A record with what the others lack: a pair of two types, and a choice that is no number."""

    pair: tuple[str, int]
    closed: bool = False
    corners: int = 4


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"pair": ["a", 1, 2]}, "the key 'pair' is a list of 3, but a list of 2 was expected"),
        ({"pair": ["a"]}, "the key 'pair' is a list of 1, but a list of 2 was expected"),
        ({"pair": ["a", "b"]}, "the key 'pair[1]' is the text 'b', but a whole number was expected"),
        ({"pair": "ab"}, "the key 'pair' is the text 'ab', but a list was expected"),
        ({"pair": ["a", 1], "closed": 1}, "the key 'closed' is the number 1, but true or false was expected"),
        ({"pair": ["a", 1], "closed": None}, "the key 'closed' is null, but true or false was expected"),
        ({"pair": ["a", 1], "corners": True}, "the key 'corners' is true, but a whole number was expected"),
        ({"pair": ["a", 1], "corners": 4.0}, "the key 'corners' is the number 4.0, but a whole number was expected"),
        ({"pair": ["a", False]}, "the key 'pair[1]' is false, but a whole number was expected"),
        ({}, "the key 'pair' is missing"),
        (["a", 1], "the whole is a list, but an object was expected"),
    ],
)
def test_pairs_and_choices_are_of_their_own_types(plain: Any, message: str) -> None:
    with pytest.raises(StoreError) as caught:
        from_plain(Shape, plain)
    assert caught.value.message == message
    assert caught.value.hint == "the file is damaged or was written by another program; restore it, or train again"


def test_pairs_and_choices_survive_json() -> None:
    for shape in (Shape(("a", 1)), Shape(("b", 2), closed=True, corners=0)):
        assert from_plain(Shape, through_json(shape)) == shape
    assert from_plain(Shape, {"pair": ["a", 1]}) == Shape(("a", 1), closed=False, corners=4)
