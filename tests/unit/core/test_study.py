"""Records of a study: what is searched, and which trial is the best."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from keensight.core.codec import from_plain, to_plain
from keensight.core.decisions import SCHEMA as DECISIONS
from keensight.core.decisions import Decisions
from keensight.core.study import SCHEMA, Dimension, StudyRecord, Trial, metric_of


def trial(number: int, value: float | None, state: Any = "complete") -> Trial:
    return Trial(number, f"trials/{number:04d}", {"train.epochs": number}, state, value)


def record(*trials: Trial, **changes: Any) -> StudyRecord:
    known = Decisions(DECISIONS, {"train.seed": 3}, "ab", {})
    made = StudyRecord(
        SCHEMA, "first", "running", "2026-01-01T00:00:00Z", "photos", "", "accuracy", 5, None, 1, known, trials=trials
    )
    return dataclasses.replace(made, **changes)


def test_the_best_trial_has_the_best_value_and_of_equal_ones_the_first() -> None:
    found = record(trial(0, 0.5), trial(1, 0.9), trial(2, 0.9), trial(3, None, "stopped"), trial(4, None, "failed"))
    assert found.best == trial(1, 0.9)
    assert [one.number for one in found.complete] == [1, 2, 0]
    assert dataclasses.replace(found, metric="loss").best == trial(0, 0.5)
    assert record(trial(0, None, "failed")).best is None
    assert (found.count("complete"), found.count("stopped"), found.count("failed")) == (3, 1, 1)


def test_a_loss_of_zero_is_the_best_one() -> None:
    assert record(trial(0, 0.1), trial(1, 0.0), metric="loss").best == trial(1, 0.0)


def test_a_record_comes_back_as_it_was_written() -> None:
    space = (Dimension("train.epochs", low=1, high=5, whole=True), Dimension("data.image_size", choices=(None, 64)))
    found = record(trial(0, 0.5), space=space, minutes=2.5, importance={"train.epochs": 1.0})
    assert from_plain(StudyRecord, json.loads(json.dumps(to_plain(found)))) == found


@pytest.mark.parametrize(
    ("dimension", "inside", "outside", "log", "words"),
    [
        (Dimension("a", low=1e-4, high=1e-2), 1e-3, 1.0, True, "0.0001 to 0.01 (log)"),
        (Dimension("a", low=0.0, high=0.5), 0, 0.6, False, "0 to 0.5"),
        (Dimension("a", low=2, high=10, whole=True), 10, None, False, "2 to 10"),
        (Dimension("a", low=1, high=20), 1, 0.99, True, "1 to 20 (log)"),
        (Dimension("a", low=1, high=19.9), 19.9, 20, False, "1 to 19.9"),
        (Dimension("a", low=-1, high=100), -1, "1", False, "-1 to 100"),
        (Dimension("a", low=0, high=1), 1, True, False, "0 to 1"),
        (Dimension("a", choices=(None, 64, 128)), None, 32, False, "auto, 64, 128"),
        (Dimension("a", choices=(False, True)), False, "no", False, "False, True"),
    ],
)
def test_a_dimension_knows_its_values(dimension: Dimension, inside: Any, outside: Any, log: bool, words: str) -> None:
    assert dimension.contains(inside) and not dimension.contains(outside)
    assert (dimension.log, dimension.in_words) == (log, words)


def test_a_metric_that_is_no_number_is_none() -> None:
    results = {"validation": {"accuracy": 0.5, "macro_f1": 0.25, "loss": float("nan"), "map": None}}
    assert metric_of(results, "accuracy") == 0.5
    assert metric_of(results, "macro-f1") == 0.25
    assert metric_of(results, "loss") is None
    assert metric_of(results, "map") is None
    assert metric_of({"test": {"accuracy": 0.5}}, "accuracy") is None


def test_a_new_trial_has_cost_nothing_and_a_new_study_has_spent_nothing() -> None:
    assert (trial(0, None).seconds, trial(0, None).epochs, record().spent) == (0.0, 0, 0.0)
    assert not Dimension("a", low=1, high=2).whole


def test_what_has_no_bounds_and_no_values_contains_nothing() -> None:
    for dimension in (Dimension("a"), Dimension("a", low=1), Dimension("a", high=1)):
        assert not dimension.contains(1) and not dimension.log


def test_only_a_loss_is_better_the_lower_it_is() -> None:
    assert [record(metric=name).lower_is_better for name in ("accuracy", "macro-f1", "loss", "map")] == [
        False, False, True, False
    ]  # fmt: skip


def test_the_most_important_setting_comes_first() -> None:
    found = record(importance={"train.epochs": 0.2, "augment.zoom": 0.7, "train.ema": 0.1})
    assert list(found.ranked.items()) == [("augment.zoom", 0.7), ("train.epochs", 0.2), ("train.ema", 0.1)]


def test_a_trial_without_a_value_is_not_complete() -> None:
    found = record(trial(0, None), trial(1, 0.5), trial(2, 0.9, "stopped"))
    assert [one.number for one in found.complete] == [1]


@pytest.mark.parametrize(("value", "known"), [(1, 1.0), (True, None), ("0.5", None), (float("inf"), None)])
def test_a_metric_is_a_finite_number_of_the_validation_set(value: Any, known: float | None) -> None:
    found = metric_of({"validation": {"accuracy": value}}, "accuracy")
    assert found == known and (known is None or type(found) is float)
