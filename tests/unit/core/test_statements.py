"""Sentences of report and model card follow the rule that they speak of."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from keensight.core.evaluation import Caveat, Evaluation
from keensight.core.interval import Interval
from keensight.core.predictions import Calibration, Decision, ReliabilityBin
from keensight.core.records import LabelSet
from keensight.core.statements import face_value, independence, rule_in_words, set_name, temperature_effect

PRECISION = Decision(0.8125, "precision", 0.95, 0.96, n=290)
UNLIKE = "for images that look nothing like the training images (out-of-distribution)"


@pytest.mark.parametrize("rule", [Decision(), PRECISION, Decision(0.5, "coverage", 0.9, 0.9, n=40)])
@pytest.mark.parametrize("refuses", [True, False])
def test_a_rule_never_contradicts_itself(rule: Decision, refuses: bool) -> None:
    told = rule_in_words(rule, refuses=refuses)
    assert ("abstains" in told) is (refuses or rule.target is not None)
    assert ("out-of-distribution" in told) is refuses
    assert ("whatever an image shows" in told) is (not refuses and rule.target is None)
    assert (f"{rule.threshold:.1%}" in told) is (rule.target is not None)
    assert (f"{rule.n:,} held-out images" in told) is (rule.target is not None)


def test_a_precision_that_is_not_certain_is_not_promised() -> None:
    assert "with a confidence of 90%" in rule_in_words(PRECISION, refuses=False)
    short = rule_in_words(Decision(0.99, "precision", 0.999, 0.97, n=290), refuses=False)
    assert "with a confidence of 90%" not in short
    assert "with this one 97% is certain" in short
    exact = rule_in_words(Decision(0.99, "precision", 0.97, 0.97, n=290), refuses=False)
    assert exact.endswith("so that 97% of the predictions are right, with a confidence of 90%.")


@pytest.mark.parametrize(
    ("rule", "refuses", "told"),
    [
        (Decision(), False, "It always predicts the most likely class, whatever an image shows."),
        (Decision(), True, f"It always predicts the most likely class, except {UNLIKE}, where it abstains."),
        (
            Decision(0.5, "coverage", 0.9, 0.9, n=1234),
            True,
            "It predicts the most likely class if its probability is 50.0% or more, and abstains otherwise and "
            f"{UNLIKE}. The threshold was chosen on 1,234 held-out images so that 90% of them get a prediction.",
        ),
        (
            Decision(0.75, "precision", 0.95, None, n=20),
            False,
            "It predicts the most likely class if its probability is 75.0% or more, and abstains otherwise. The "
            "threshold was chosen on 20 held-out images so that 95% of the predictions are right; no threshold is "
            "certain to reach that, and with this one 0% is certain.",
        ),
        (
            Decision(0.75, "precision", None, None, n=20),  # a damaged bundle: nothing is known of the target
            False,
            "It predicts the most likely class if its probability is 75.0% or more, and abstains otherwise. The "
            "threshold was chosen on 20 held-out images so that 0% of the predictions are right, with a confidence of "
            "90%.",
        ),
        (
            Decision(0.75, "coverage", None, n=20),
            False,
            "It predicts the most likely class if its probability is 75.0% or more, and abstains otherwise. The "
            "threshold was chosen on 20 held-out images so that 0% of them get a prediction.",
        ),
    ],
)
def test_a_rule_is_told_in_full(rule: Decision, refuses: bool, told: str) -> None:
    assert rule_in_words(rule, refuses=refuses) == told


def test_splits_are_called_as_people_call_them() -> None:
    assert [set_name(part) for part in ("train", "val", "test", "new")] == [
        "training set", "validation set", "test set", "new set"
    ]  # fmt: skip


def measured(*, said: float = 0.8, ece: tuple[float, float] = (0.0, 0.04), **more: Any) -> Evaluation:
    """Of 200 images, 160 of them right: the mean confidence is ``said``, in two bins of which one is half as large."""
    bins = (ReliabilityBin(0.5, 0.6, 50, said - 0.1, 0.5), ReliabilityBin(0.8, 0.9, 100, said + 0.05, 0.9))
    rest = (ReliabilityBin(0.7, 0.8, 50, said, 0.9), ReliabilityBin(0.9, 1.0, 0, 0.0, 0.0))
    calibration = Calibration(1.5, 0.5, 0.3, 0.1, (), bins + rest)
    parts: dict[str, Any] = {"part": "test", "calibration": calibration} | more
    return Evaluation(
        n=200, labels=LabelSet(("a", "b")), loss=0.5, accuracy=Interval(0.8, 0.75, 0.85), top_k={}, macro_f1=0.8,
        weighted_f1=0.8, ece=0.02, per_class=(), confusion=(), baseline_accuracy=0.5,
        intervals={"ece": Interval(0.02, *ece), "loss_change": Interval(-0.01, -0.02, 0.0)}, **parts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "adopted", "told"),
    [
        ({}, False, "which took no part in training"),
        ({}, True, ""),
        ({"part": "val"}, False, ""),
        ({"seen": 1}, False, ""),
        ({"caveats": (Caveat("few-images", "Few.", ""),)}, False, "which took no part in training"),
        (
            {"caveats": (Caveat("few-images", "Few.", ""), Caveat("group-leak", "Leak.", ""))},
            False,
            "which took no part in training, though other images of their groups may have",
        ),
    ],
)
def test_only_test_images_of_the_run_took_no_part_in_training(more: dict[str, Any], adopted: bool, told: str) -> None:
    assert independence(measured(**more), adopted=adopted) == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (0.9, "overconfident by 10.0 percentage points: its mean confidence is 90.0%, its accuracy 80.0% "
         "(95% CI 75.0% to 85.0%)."),
        (0.72, "underconfident by 8.0 percentage points: its mean confidence is 72.0%, its accuracy 80.0% "
         "(95% CI 75.0% to 85.0%)."),
    ],
)  # fmt: skip
def test_the_mean_confidence_is_that_of_all_images_together(said: float, told: str) -> None:
    # (50 (s - 0.1) + 100 (s + 0.05) + 50 s + 0) / 200 = s
    assert face_value(measured(said=said)) == f"Overall it is {told}"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "Overall its confidence can be taken at face value (ECE 0.020, 95% CI 0.000 to 0.040)."),
        (
            {"ece": (0.01, 0.03)},
            "Its confidence is off by 2.0 percentage points on average (ECE 0.020, 95% CI 0.010 to 0.030), too high "
            "for some images and too low for others.",
        ),
        (
            {"ece": (0.0, 0.0625)},
            "Whether its confidence can be taken at face value is unclear from 200 images: it may be off by up to 6.2 "
            "percentage points on average (ECE 0.020, 95% CI 0.000 to 0.062).",
        ),
        (
            {"seen": 200},
            "Its confidence was calibrated on images that are not like the test set, so it may not hold: do not take "
            "it at face value (ECE 0.020, 95% CI 0.000 to 0.040).",
        ),
    ],
)
def test_what_the_calibration_error_means_is_one_sentence(changes: dict[str, Any], told: str) -> None:
    assert face_value(measured(**changes)) == told


@pytest.mark.parametrize("said", [0.7501, 0.8499])
def test_a_mean_confidence_within_the_interval_of_the_accuracy_is_neither_too_high_nor_too_low(said: float) -> None:
    assert face_value(measured(said=said)).startswith("Overall its confidence can be taken at face value")


@pytest.mark.parametrize(
    ("low", "high", "effect"),
    [
        (-0.02, 0.0, "made no clear difference"),
        (0.0, 0.02, "made no clear difference"),
        (-0.02, -0.01, "improved the confidence"),
        (0.01, 0.02, "made the confidence worse"),
    ],
)
def test_an_interval_that_touches_zero_shows_no_effect_of_the_temperature(low: float, high: float, effect: str) -> None:
    found = dataclasses.replace(measured(), intervals={"loss_change": Interval(0.005, low, high)})
    assert temperature_effect(found) == (
        f"The temperature of 1.50 {effect}: it changed the loss by +0.005 nats (95% CI {low:+.3f} to {high:+.3f})."
    )
