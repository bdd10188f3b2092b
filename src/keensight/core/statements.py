"""Sentences that report and model card share, each decided by the record that it speaks of."""

from __future__ import annotations

from keensight.core.evaluation import Evaluation
from keensight.core.predictions import Decision

_GROUPED = frozenset({"likely-groups", "group-leak", "augmented-copies"})
_UNLIKE_TEST = frozenset({"validation-differs", "validation-leak"})


SETS = {"train": "training set", "val": "validation set", "test": "test set"}


def set_name(part: str) -> str:
    """A split as people call it: ``test set``, ``validation set``."""
    return SETS.get(part, f"{part} set")


def rule_in_words(rule: Decision, *, refuses: bool) -> str:
    """When a model of one class an image predicts and when it abstains, as sentences.

    Args:
        rule: Its rule.
        refuses: Whether it also abstains on images that are out-of-distribution.
    """
    unlike = "for images that look nothing like the training images (out-of-distribution)"
    if rule.target is None:
        exception = f", except {unlike}, where it abstains" if refuses else ", whatever an image shows"
        return f"It always predicts the most likely class{exception}."
    told = (
        f"It predicts the most likely class if its probability is {rule.threshold:.1%} or more, and abstains otherwise"
    )
    told += f" and {unlike}." if refuses else "."
    asked = f"{rule.asked or 0:.0%}"
    if rule.target == "coverage":
        return (
            f"{told} The threshold was chosen on {rule.n:,} held-out images so that {asked} of them get a prediction."
        )
    told += f" The threshold was chosen on {rule.n:,} held-out images so that {asked} of the predictions are right"
    if (rule.reached or 0) < (rule.asked or 0):
        return f"{told}; no threshold is certain to reach that, and with this one {rule.reached or 0:.0%} is certain."
    return f"{told}, with a confidence of 90%."


def independence(evaluation: Evaluation, *, adopted: bool) -> str:
    """``which took no part in training``, or what else is known of the images; empty where that cannot be said.

    Args:
        evaluation: What was measured.
        adopted: Whether the model was trained elsewhere, on images that are not known.
    """
    if adopted or evaluation.part != "test" or evaluation.seen:
        return ""
    if any(caveat.kind in _GROUPED for caveat in evaluation.caveats):
        return "which took no part in training, though other images of their groups may have"
    return "which took no part in training"


CLOSE = 0.05
"""Calibration error up to which confidence is taken at face value: where the interval reaches no further, 90% stands
for 85% to 95% on average."""


def face_value(evaluation: Evaluation) -> str:
    """Whether the confidence agrees with the accuracy, as a sentence.

    Over- or underconfident: the mean confidence lies outside the interval of the accuracy. Unreliable: the interval
    of the calibration error (ECE) lies above 0. At face value: neither, and that interval ends at ``CLOSE`` or below.
    Otherwise there are too few images to tell. Empty where the evaluation has no such interval (several labels, older
    runs). Where the validation set is not like the test set, or all images have a duplicate in another split,
    confidence is never taken at face value.
    """
    found, calibration = evaluation.intervals.get("ece"), evaluation.calibration
    if found is None or calibration is None:
        return ""
    mean = sum(row.n * row.said for row in calibration.bins) / evaluation.n
    accuracy = evaluation.accuracy
    error = f"ECE {found.value:.3f}, 95% CI {found.low:.3f} to {found.high:.3f}"
    if not accuracy.low <= mean <= accuracy.high:
        kind = "overconfident" if mean > accuracy.high else "underconfident"
        points = 100 * abs(mean - accuracy.value)
        return (
            f"Overall it is {kind} by {points:.1f} percentage points: its mean confidence is {mean:.1%}, its accuracy "
            f"{accuracy.value:.1%} (95% CI {accuracy.low:.1%} to {accuracy.high:.1%})."
        )
    if found.low > 0:
        return (
            f"Its confidence is off by {100 * found.value:.1f} percentage points on average ({error}), too high for "
            "some images and too low for others."
        )
    if evaluation.all_seen or any(caveat.kind in _UNLIKE_TEST for caveat in evaluation.caveats):
        return (
            "Its confidence was calibrated on images that are not like the test set, so it may not hold: do "
            f"not take it at face value ({error})."
        )
    if found.high <= CLOSE:
        return f"Overall its confidence can be taken at face value ({error})."
    return (
        f"Whether its confidence can be taken at face value is unclear from {evaluation.n:,} images: it may be off "
        f"by up to {100 * found.high:.1f} percentage points on average ({error})."
    )


def temperature_effect(evaluation: Evaluation) -> str:
    """What the temperature did to the loss of images that did not choose it, as a sentence; empty in older runs."""
    calibration, found = evaluation.calibration, evaluation.intervals.get("loss_change")
    if calibration is not None and calibration.temperature == 1:
        return "Confidence was left as the network gave it (temperature 1)."
    if calibration is None or found is None:
        return ""
    effect = "made no clear difference"
    if found.high < 0 or found.low > 0:
        effect = "improved the confidence" if found.high < 0 else "made the confidence worse"
    return (
        f"The temperature of {calibration.temperature:.2f} {effect}: it changed the loss by {found.value:+.3f} nats "
        f"(95% CI {found.low:+.3f} to {found.high:+.3f})."
    )
