"""Can a model's confidence be believed, and did its temperature help? Sentences that intervals decide."""

from __future__ import annotations

from keensight.core.evaluation import Evaluation

CLOSE = 0.05
"""Calibration error up to which confidence is taken at face value: where the interval reaches no further, 90% stands
for 85% to 95% on average."""


def face_value(evaluation: Evaluation) -> str:
    """Whether the confidence agrees with the accuracy, as a sentence.

    Over- or underconfident: the mean confidence lies outside the interval of the accuracy. Unreliable: the interval
    of the calibration error (ECE) lies above 0. At face value: neither, and that interval ends at ``CLOSE`` or below.
    Otherwise there are too few images to tell. Empty where the evaluation has no such interval (several labels, older
    runs). Where the validation set is not like the test set, confidence is never taken at face value.
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
    if any(caveat.kind == "validation-differs" for caveat in evaluation.caveats):
        return (
            "Its confidence was calibrated on a validation set that is not like the test set, so it may not hold: do "
            f"not take it at face value ({error})."
        )
    if found.high <= CLOSE:
        return f"Overall its confidence can be taken at face value ({error})."
    return (
        f"Whether its confidence can be taken at face value cannot be told from {evaluation.n:,} images: it may be off "
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
