"""Sentences that report and model card share, each decided by the record that it speaks of."""

from __future__ import annotations

from keensight.core.certainty import Decision
from keensight.core.evaluation import Evaluation

_GROUPED = frozenset({"likely-groups", "group-leak"})


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
            f"{told} The threshold was chosen on {rule.n:,} validation images so that {asked} of them get a prediction."
        )
    told += f" The threshold was chosen on {rule.n:,} validation images so that {asked} of the predictions are right"
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
