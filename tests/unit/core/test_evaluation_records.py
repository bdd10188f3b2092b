"""What an evaluation tells about itself: its line, its weak classes, and its figures as plain values."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from keensight.core.evaluation import (
    Caveat,
    ClassScore,
    Evaluated,
    Evaluation,
    LabelScore,
    MultilabelScores,
    OperatingPoint,
    Slices,
    SliceScore,
)
from keensight.core.interval import Interval
from keensight.core.predictions import Abstention, Calibration, Decision, Predictions
from keensight.core.records import Dataset, LabelSet, Sample
from keensight.core.task import Task
from keensight.core.training_overlap import LeftOut

LABELS = LabelSet(("ant", "bee", "cow"))
NINE, EIGHT, HALF = Interval(0.9, 0.85, 0.95), Interval(0.8, 0.75, 0.85), Interval(0.5, 0.4, 0.6)


def row(label: str, f1: Interval | None) -> ClassScore:
    return ClassScore(label, 0.5, 0.5, 0.5 if f1 is None else f1.value, 10, None, {} if f1 is None else {"f1": f1})


def evaluation(*rows: ClassScore, **more: Any) -> Evaluation:
    confusion = ((8, 1, 1), (0, 9, 1), (0, 0, 10))
    parts: dict[str, Any] = {"per_class": rows, "confusion": confusion} | more
    return Evaluation("test", 1200, LABELS, 0.4, NINE, {"2": 0.98}, 0.6, 0.7, 0.02, baseline_accuracy=0.25, **parts)


PLAIN = {
    "n": 1200, "loss": 0.4, "accuracy": 0.9, "accuracy_ci": [0.85, 0.95], "baseline_accuracy": 0.25, "macro_f1": 0.6,
    "weighted_f1": 0.7, "ece": 0.02, "top_k": {"2": 0.98}, "caveats": [],
}  # fmt: skip


def test_its_line_has_the_accuracy_and_its_interval() -> None:
    told = "<Evaluation on the test set: accuracy 0.9000 (95% CI 0.8500 to 0.9500, n = 1,200)>"
    assert repr(evaluation()) == told
    assert (evaluation().seconds, evaluation().seen) == (0.0, 0)


def test_the_main_figures_are_plain_values() -> None:
    assert evaluation().headline() == PLAIN
    doubt = Caveat("leak", "Some are in both.", "Split again.")
    assert evaluation(caveats=(doubt,)).headline()["caveats"] == [
        {"kind": "leak", "message": "Some are in both.", "advice": "Split again."}
    ]
    assert (str(doubt), str(Caveat("leak", "Some.", ""))) == ("Some are in both. Split again.", "Some.")


def test_accuracy_without_duplicates_is_told_where_there_are_some() -> None:
    some = evaluation(seen=200, cleaned=EIGHT)
    assert some.headline() == PLAIN | {
        "cleaned_n": 1000, "cleaned_accuracy": 0.8, "cleaned_accuracy_ci": [0.75, 0.85]
    }  # fmt: skip
    every = evaluation(seen=1200)
    assert every.headline() == PLAIN | {"cleaned_n": 0, "cleaned_accuracy": None, "cleaned_accuracy_ci": None}
    assert [one.all_seen for one in (evaluation(), some, every)] == [False, False, True]


def test_figures_that_have_an_interval_are_told_with_it() -> None:
    found = evaluation(brier=0.2, auroc=0.97, intervals={"brier": HALF, "loss": EIGHT})
    assert found.headline() == PLAIN | {"brier": 0.2, "brier_ci": [0.4, 0.6], "loss_ci": [0.75, 0.85]}


def test_the_effect_of_temperature_and_decision_rule_is_told() -> None:
    calibration = Calibration(1.5, 0.5, 0.3, 0.1, (), ())
    assert evaluation(calibration=calibration).headline() == PLAIN | {
        "temperature": 1.5, "ece_before": 0.1, "brier_before": 0.3, "loss_before": 0.5
    }  # fmt: skip
    full = Abstention(Decision(), EIGHT, NINE, HALF, 0.03, (), NINE, 1.25)
    assert evaluation(abstention=full).headline() == PLAIN | {
        "answered": 0.8, "answered_accuracy": 0.9, "answered_accuracy_ci": [0.85, 0.95], "unlike": 0.5, "aurc": 0.03,
        "set_coverage": 0.9, "set_coverage_ci": [0.85, 0.95], "set_size": 1.25,
    }  # fmt: skip
    bare = Abstention(Decision(), EIGHT, None, None, 0.03, ())
    assert evaluation(abstention=bare).headline() == PLAIN | {
        "answered": 0.8, "answered_accuracy": None, "answered_accuracy_ci": None, "unlike": None, "aurc": 0.03,
        "set_coverage": None, "set_coverage_ci": None, "set_size": None,
    }  # fmt: skip


def test_several_labels_add_their_mean_average_precision() -> None:
    scores = LabelScore("ant", 0.5, 0.1, None, None, (1, 2, 3, 4))
    found = evaluation(multilabel=MultilabelScores(EIGHT, HALF, 0.125, (scores,), ((), ())))
    assert found.headline() == PLAIN | {
        "map": 0.8, "map_ci": [0.75, 0.85], "micro_f1": 0.5, "micro_f1_ci": [0.4, 0.6], "hamming_loss": 0.125
    }  # fmt: skip
    assert (found.task, evaluation().task) == (Task.MULTILABEL, Task.MULTICLASS)


def test_a_class_is_weak_if_its_whole_interval_is_below_the_mean_of_three_or_more() -> None:
    below, touching, lower = Interval(0.5, 0.4, 0.59), Interval(0.5, 0.4, 0.6), Interval(0.3, 0.2, 0.4)
    rows = (row("ant", below), row("bee", touching), row("cow", lower), row("dog", None))
    assert [one.label for one in evaluation(*rows).weak_classes()] == ["cow", "ant"]
    assert [one.label for one in evaluation(*rows[:3]).weak_classes()] == ["cow", "ant"]
    assert evaluation(rows[0], rows[2]).weak_classes() == ()


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_only_two_classes_with_intervals_have_a_sensitivity(classes: int) -> None:
    scores = {"precision": NINE, "recall": EIGHT}
    rows = tuple(
        ClassScore(name, 0.9, 0.8, 0.85, 10 - i, None, scores) for i, name in enumerate(LABELS.names[:classes])
    )
    confusion = tuple(tuple(10 * i + j for j in range(classes)) for i in range(classes))
    binary = evaluation(*rows, confusion=confusion).binary
    assert (binary is not None) is (classes == 2)
    if binary is not None:
        assert (binary.positive, binary.counts) == ("bee", (0, 1, 10, 11))
        assert [(name, hits, n) for name, _, hits, n, _ in binary.rows()] == [
            ("sensitivity", 11, 21), ("specificity", 0, 1), ("PPV", 11, 12), ("NPV", 0, 10)
        ]  # fmt: skip
        plain = tuple(dataclasses.replace(one, intervals={}) for one in rows)
        assert evaluation(*plain, confusion=confusion).binary is None


def test_an_evaluation_with_its_predictions_is_the_same_without_them() -> None:
    def combined() -> Evaluated:
        samples = tuple(Sample(f"{i}.png", "ant", "") for i in range(4))
        data = Dataset("set", "folder", LABELS, samples)
        p = np.full((2, 3), 1 / 3, np.float32)
        return Evaluated.of(evaluation(), Predictions(("3.png", "1.png"), LABELS, p, indices=np.array([3, 1])), data)

    found = combined()
    assert found == combined()
    assert type(found.figures) is Evaluation and found.figures == evaluation()
    assert found.rows.tolist() == [3, 1]
    assert [sample.path for sample in found.samples] == ["3.png", "1.png"]
    assert repr(found) == repr(evaluation())


def test_evaluations_are_equal_if_their_figures_are() -> None:
    data = Dataset("set", "folder", LABELS, (Sample("0.png", "ant", ""),))
    p = np.full((1, 3), 1 / 3, np.float32)
    one = Evaluated.of(evaluation(), Predictions(("0.png",), LABELS, p), data)
    other = Evaluated.of(
        evaluation(left_out=LeftOut((0,))), Predictions(("1.png",), LABELS, p), dataclasses.replace(data, name="other")
    )
    assert one == other != Evaluated.of(evaluation(seen=1), one.predictions, data)


def test_the_weakest_slices_have_the_lowest_accuracy() -> None:
    scores = tuple(
        SliceScore("age", value, 10, Interval(accuracy, 0.0, 1.0), 0.9, 0.9, 0.01, 0.02, weak)
        for value, accuracy, weak in (("young", 0.7, True), ("old", 0.6, True), ("none", 0.1, False))
    )
    found = Slices("test", 30, 0.8, scores, (), 10, 0.05, None, "by hand").weakest()
    assert [one.value for one in found] == ["old", "young"]


def test_an_operating_point_is_one_sentence_of_what_there_is() -> None:
    point = OperatingPoint(
        "ant", "val", 1200, 0.25, "recall", True, (1, 2, 3, 4), NINE, None, HALF, None, EIGHT, None, ()
    )  # fmt: skip
    told = (
        "ant from 0.250 on, 1,200 images of val: sensitivity 0.900 (0.850 to 0.950), precision 0.500 (0.400 to 0.600)"
    )
    assert point.sentence() == told
    assert "specificity 0.800 (" in dataclasses.replace(point, specificity=EIGHT).sentence()
