"""Operating points: a threshold for one class against the rest, and its evaluation on other images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keensight.core.deprecation import renamed
from keensight.core.evaluation import Evaluated, Evaluation, OperatingPoint
from keensight.core.registry import did_you_mean
from keensight.errors import DataError, UsageError

_PROMISED = ("sensitivity", "specificity", "precision")


@renamed(label="class_name")
def operating_point(  # noqa: PLR0913 - public options, by keyword
    evaluation: Evaluation,
    class_name: str,
    *,
    threshold: float | None = None,
    sensitivity: float | None = None,
    specificity: float | None = None,
    precision: float | None = None,
    confidence: float = 0.9,
) -> OperatingPoint:
    """Choose a threshold of one class for a target, or evaluate a threshold.

    Choose on the validation set and evaluate on the test set::

        val = ks.evaluate(run, data, split=run.split, part="val")
        chosen = ks.operating_point(val, "PNEUMONIA", sensitivity=0.95)
        ks.operating_point(ks.evaluate(run), "PNEUMONIA", threshold=chosen.threshold)

    A chosen threshold reaches its target on new in-distribution images with ``confidence``, by exact bounds that take
    images as independent (see :mod:`keensight.assess.operating_point`); without enough images it is the nearest to
    that, and ``reached`` is False.

    Args:
        evaluation: With its predictions and dataset, as :func:`evaluate` gives it; of one class an image or several.
        class_name: The class to flag.
        threshold: Probability from which on an image is flagged, to be measured.
        sensitivity: In its place, the fraction of the class that is to be flagged, above 0 and below 1.
        specificity: The fraction of all others that is not to be flagged.
        precision: The fraction of the flagged images that are to be of the class.
        confidence: Chance that a chosen threshold keeps its promise.

    Raises:
        UsageError: not exactly one of the four is given, one is no share, or there is no such class.
        DataError: the predictions or images are not available, or none of the images can choose a threshold.

    Examples:
        >>> chosen = ks.operating_point(ks.evaluate(run, data, split=run.split, part="val"), "night", sensitivity=0.7)
        >>> measured = ks.operating_point(ks.evaluate(run), "night", threshold=chosen.threshold)
        >>> measured.threshold == chosen.threshold
        True
    """
    from keensight.assess.operating_point import measure

    target, value = _wanted(
        {"threshold": threshold, "sensitivity": sensitivity, "specificity": specificity, "precision": precision},
        confidence,
    )
    scores, positive, groups = _answers(evaluation, class_name)
    cut, reached, words = value, True, "as set"
    if target != "threshold":
        cut, reached = _choose(target, scores, positive, value, confidence)
        words = f"{target} of {value:g} or more, with a confidence of {confidence:g}"
    return measure(
        scores, positive, cut, label=class_name, part=evaluation.part, target=words, reached=reached, groups=groups
    )


def _wanted(given: dict[str, float | None], confidence: float) -> tuple[str, float]:
    found = [(name, value) for name, value in given.items() if value is not None]
    if len(found) != 1:
        raise UsageError(f"{len(found)} targets are given for one threshold", f"give exactly one of {', '.join(given)}")
    name, value = found[0]
    for what, share in (("confidence", confidence), *([(name, value)] if name in _PROMISED else [])):
        if not 0 < share < 1:
            raise UsageError(f"{what} cannot be {share}", "give a fraction between 0 and 1, such as 0.95")
    return name, value


def _choose(
    target: str, scores: NDArray[np.float64], positive: NDArray[np.bool_], value: float, confidence: float
) -> tuple[float, bool]:
    from keensight.assess import operating_point

    if not positive.any() or positive.all():
        raise DataError(
            "no threshold can be chosen: all images, or none, have the class", "give images with and without it"
        )
    if target == "precision":
        return operating_point.for_precision(scores, positive, value, confidence)
    if target == "sensitivity":
        return operating_point.for_sensitivity(scores[positive], value, confidence)
    return operating_point.for_specificity(scores[~positive], value, confidence)


def _answers(
    evaluation: Evaluation, label: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64] | None]:
    """Probability of ``label``, whether it is true, and the group number of each image."""
    names = evaluation.labels.names
    if label not in names:
        raise UsageError(f"there is no class {label!r}", did_you_mean(label, list(names)))
    if not isinstance(evaluation, Evaluated):
        raise DataError("the predictions of this evaluation are not available", "take it from ks.evaluate(...)")
    predictions = evaluation.predictions
    scores = predictions.probabilities[:, names.index(label)].astype(np.float64)
    positive = np.array([label in predictions.true(i) for i in range(len(predictions))])
    return scores, positive, predictions.clusters
