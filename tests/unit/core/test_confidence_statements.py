"""Each sentence about confidence, and the figures that make it false."""

import dataclasses

import numpy as np
import pytest

from keensight.assess.metrics import evaluate
from keensight.core.evaluation import Caveat, Evaluation
from keensight.core.interval import Interval
from keensight.core.prototypes import softmax
from keensight.core.records import LabelSet
from keensight.core.statements import CLOSE, face_value, temperature_effect

FACE_VALUE = "can be taken at face value ("


def _measured(n: int, sharpness: float, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, 4))
    targets = (rng.random((n, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1)
    return evaluate(softmax(sharpness * logits), targets, LabelSet(tuple("abcd")), temperature=2.0)


def _with_ece(low: float, high: float) -> Evaluation:
    found = _measured(5_000, 1.0)
    return dataclasses.replace(found, intervals={"ece": Interval((low + high) / 2, low, high)})


def _effect(low: float, high: float) -> str:
    found = _measured(100, 1.0)
    return temperature_effect(
        dataclasses.replace(found, intervals={"loss_change": Interval((low + high) / 2, low, high)})
    )


def test_a_calibrated_model_on_many_images_is_taken_at_face_value() -> None:
    assert FACE_VALUE in face_value(_measured(5_000, 1.0))


def test_a_validation_set_unlike_the_test_set_calibrates_nothing() -> None:
    found = _measured(5_000, 1.0)
    differs = Caveat("validation-differs", "They differ.", "")
    told = face_value(dataclasses.replace(found, caveats=(differs,)))
    assert FACE_VALUE not in told
    assert "it may not hold" in told
    assert "it may not hold" in face_value(dataclasses.replace(found, seen=found.n))


def test_an_interval_that_excludes_zero_is_not_taken_at_face_value() -> None:
    told = face_value(_with_ece(0.01, 0.03))
    assert "face value" not in told
    assert "off by 2.0 percentage points on average (ECE 0.020, 95% CI 0.010 to 0.030)" in told


def test_an_interval_that_reaches_far_tells_nothing() -> None:
    assert FACE_VALUE in face_value(_with_ece(0.0, CLOSE))
    told = face_value(_with_ece(0.0, CLOSE + 0.01))
    assert FACE_VALUE not in told
    assert "is unclear from 5,000 images: it may be off by up to 6.0 percentage points" in told


def test_few_images_tell_nothing() -> None:
    assert "is unclear from 60 images" in face_value(_measured(60, 1.0))


@pytest.mark.parametrize(("sharpness", "kind"), [(3.0, "overconfident"), (0.4, "underconfident")])
def test_too_much_and_too_little_confidence_say_by_how_much(sharpness: float, kind: str) -> None:
    found = _measured(2_000, sharpness)
    told = face_value(found)
    assert kind in told and "face value" not in told
    assert found.calibration is not None
    mean = sum(row.n * row.said for row in found.calibration.bins) / found.n
    assert f"by {100 * abs(mean - found.accuracy.value):.1f} percentage points" in told


def test_the_effect_of_the_temperature_follows_its_interval() -> None:
    improved = "2.00 improved the confidence: it changed the loss by -0.020 nats (95% CI -0.030 to -0.010)"
    assert improved in _effect(-0.03, -0.01)
    assert "made no clear difference" in _effect(-0.03, 0.01)
    assert "made the confidence worse" in _effect(0.01, 0.03)


def test_a_model_without_a_temperature_says_so() -> None:
    found = evaluate(np.tile([0.7, 0.3], (20, 1)), np.zeros(20, int), LabelSet(("a", "b")))
    assert temperature_effect(found) == "Confidence was left as the network gave it (temperature 1)."


def test_older_runs_and_several_labels_say_nothing() -> None:
    found = _measured(100, 1.0)
    assert face_value(dataclasses.replace(found, calibration=None)) == ""
    assert face_value(dataclasses.replace(found, intervals={})) == ""
    assert temperature_effect(dataclasses.replace(found, intervals={})) == ""
    assert temperature_effect(dataclasses.replace(found, calibration=None)) == ""
