"""Metrics of single-label classification, from probabilities and true classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.assess.bootstrap import intervals, mean_interval
from keensight.assess.calibration import (
    at_temperature,
    brier_scores,
    cross_entropies,
    expected_calibration_error,
    reliability,
)
from keensight.assess.intervals import auroc_interval, auroc_parts, class_intervals, share
from keensight.core.evaluation import ClassScore, Evaluation
from keensight.core.interval import Interval
from keensight.core.predictions import Calibration
from keensight.core.records import LabelSet
from keensight.errors import DataError

_TOP = (1, 2, 3, 5)
_DIGITS = 4
_LAST = "weighted avg"


def evaluate(
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    labels: LabelSet,
    *,
    part: str = "test",
    groups: NDArray[np.int64] | None = None,
    temperature: float = 1.0,
) -> Evaluation:
    """Score predictions against the true classes, each metric with its 95% confidence interval.

    Precision, recall, F1 and confusion are scikit-learn's, over all classes of ``labels``; the macro mean
    too, so that a class that does not occur in this split counts as 0 (``zero_division=0``). The predicted
    class is the most probable one, the first one of several. A confident mistake costs up to 87.3 nats
    (:func:`keensight.assess.calibration.cross_entropies`). Proportions have Wilson's interval, areas under a ROC curve
    (one class against the rest) DeLong's, all others a bootstrap interval (:mod:`keensight.assess.bootstrap`); each
    names its method. Images of one group count as one draw.

    Args:
        probabilities: Float (n, classes), rows that sum to 1.
        targets: Integer (n,), classes in the order of ``labels``.
        labels: The classes.
        part: What the images are: ``train``, ``val`` or ``test``.
        groups: Number of each image's group (patient, track); None: each image stands for itself.
        temperature: What the logits behind the probabilities were divided by, to tell what it changed.

    Raises:
        DataError: there is no image, shapes or classes do not fit, or a row is NaN or no probabilities.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    probabilities, targets = np.asarray(probabilities), np.asarray(targets)
    _check(probabilities, targets, len(labels))
    classes = np.arange(len(labels))
    predicted = probabilities.argmax(axis=1)
    scores = precision_recall_fscore_support(targets, predicted, labels=classes, zero_division=0)
    counts = confusion_matrix(targets, predicted, labels=classes)
    precision, recall, f1, support = scores
    right = predicted == targets
    losses, brier = cross_entropies(probabilities, targets), brier_scores(probabilities, targets)
    found = intervals(probabilities, targets, losses, brier, groups)
    areas, mean_area = _areas(probabilities, targets, groups)
    rows = [
        ClassScore(
            name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]),
            areas[i].value if i in areas else None,
            class_intervals(predicted == i, targets == i, groups) | ({"auroc": areas[i]} if i in areas else {}),
        )
        for i, name in enumerate(labels.names)
    ]  # fmt: skip
    return Evaluation(
        part=part,
        n=len(targets),
        labels=labels,
        loss=float(losses.mean()),
        accuracy=share(right, groups),
        top_k=top_k(probabilities, targets),
        macro_f1=float(f1.mean()),
        weighted_f1=float(np.average(f1, weights=support)),
        ece=expected_calibration_error(probabilities, targets),
        per_class=tuple(rows),
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
        baseline_accuracy=float(support.max() / len(targets)),
        brier=float(brier.mean()),
        auroc=None if mean_area is None else mean_area.value,
        intervals=found
        | ({} if mean_area is None else {"auroc": mean_area})
        | _change(probabilities, targets, temperature, groups),
        calibration=_calibration(probabilities, targets, temperature),
    )


def _areas(
    probabilities: NDArray[Any], targets: NDArray[Any], groups: NDArray[np.int64] | None
) -> tuple[dict[int, Interval], Interval | None]:
    """Areas under the ROC curve (one against the rest) of the classes that occur, and their mean."""
    found: dict[int, Interval] = {}
    pulls = np.zeros(len(targets))
    for i in range(probabilities.shape[1]):
        held = targets == i
        if held.any() and not held.all():
            area, pull = auroc_parts(probabilities[:, i], held)
            found[i] = auroc_interval(area, pull, held, groups)
            pulls += pull
    if not found:
        return {}, None
    mean = float(np.mean([area.value for area in found.values()]))
    return found, auroc_interval(mean, pulls / len(found), targets, groups)


def _change(
    probabilities: NDArray[Any], targets: NDArray[Any], temperature: float, groups: NDArray[np.int64] | None
) -> dict[str, Interval]:
    """Mean change of the loss by the temperature; empty if it is 1."""
    if temperature == 1:
        return {}
    before = cross_entropies(at_temperature(probabilities, 1 / temperature), targets)
    return {"loss_change": mean_interval(cross_entropies(probabilities, targets) - before, targets, groups)}


def _calibration(probabilities: NDArray[Any], targets: NDArray[Any], temperature: float) -> Calibration:
    before = probabilities if temperature == 1 else at_temperature(probabilities, 1 / temperature)
    return Calibration(
        temperature=temperature,
        loss_before=cross_entropy(before, targets),
        brier_before=float(brier_scores(before, targets).mean()),
        ece_before=expected_calibration_error(before, targets),
        bins_before=reliability(before, targets),
        bins=reliability(probabilities, targets),
    )


def _check(probabilities: NDArray[Any], targets: NDArray[Any], k: int) -> None:
    n = len(targets)
    if n == 0:
        raise DataError("there are no images to evaluate", "give at least one readable labeled image")
    if probabilities.shape != (n, k):
        raise DataError(
            f"the probabilities have shape {probabilities.shape}, not ({n}, {k})",
            "one row per image, one column per class",
        )
    if not np.issubdtype(targets.dtype, np.integer) or targets.min() < 0 or targets.max() >= k:
        raise DataError(f"the true classes are not integers from 0 to {k - 1}", "encode them with LabelSet.encode")
    unreadable = int(np.isnan(probabilities).any(axis=1).sum())
    if unreadable:
        raise DataError(f"{unreadable:,} of {n:,} rows are NaN (images that could not be read)", "remove them")
    sums = probabilities.sum(axis=1, dtype=np.float64)
    if probabilities.min() < 0 or not np.allclose(sums, 1, atol=1e-3):
        raise DataError("the rows are not probabilities: each must sum to 1", "apply a softmax to logits first")


def accuracy_without(
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    left_out: NDArray[np.bool_],
    groups: NDArray[np.int64] | None = None,
) -> Interval:
    """Accuracy, with Wilson's interval, without the excluded images; at least one must remain.

    Args:
        probabilities: Float (n, classes).
        targets: Integer (n,).
        left_out: Shape (n,).
        groups: Number of each image's group; None: each image stands for itself.
    """
    right = (probabilities.argmax(axis=1) == targets)[~left_out]
    return share(right, None if groups is None else groups[~left_out])


def cross_entropy(probabilities: NDArray[Any], targets: NDArray[Any]) -> float:
    """Mean of :func:`keensight.assess.calibration.cross_entropies`.

    Args:
        probabilities: Float (n, classes).
        targets: Integer (n,).
    """
    return float(cross_entropies(probabilities, targets).mean())


def top_k(probabilities: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
    """Fraction of images whose true class is among the k most probable, for k = 1, 2, 3, 5 below the class count.

    Ties are broken by class order, so that k = 1 is the accuracy.

    Args:
        probabilities: Float (n, classes).
        targets: Integer (n,).
    """
    true = probabilities[np.arange(len(targets)), targets][:, None]
    earlier = np.arange(probabilities.shape[1])[None, :] < targets[:, None]
    rank = ((probabilities > true) | ((probabilities == true) & earlier)).sum(axis=1)
    return {str(k): float((rank < k).mean()) for k in _TOP if k < probabilities.shape[1]}


def report_text(evaluation: Evaluation) -> str:
    """The evaluation as text, in the layout of scikit-learn's ``classification_report`` with four digits."""
    width = max(len(_LAST), *(len(name) for name in evaluation.labels.names))
    rows = [(score.label, (score.precision, score.recall, score.f1), score.support) for score in evaluation.per_class]
    table = np.array([scores for _, scores, _ in rows])
    supports = [support for _, _, support in rows]
    heading = " " * width + " " + "".join(f" {name:>9}" for name in ("precision", "recall", "f1-score", "support"))
    lines = [heading, "", *(_line(*row, width=width) for row in rows), ""]
    lines.append(f"{'accuracy':>{width}} {'':>20} {evaluation.accuracy.value:>9.{_DIGITS}f} {evaluation.n:>9}")
    lines.append(_line("macro avg", tuple(table.mean(axis=0)), evaluation.n, width=width))
    lines.append(_line(_LAST, tuple(np.average(table, axis=0, weights=supports)), evaluation.n, width=width))
    return "\n".join(lines) + "\n"


def _line(name: str, scores: tuple[float, ...], support: int, *, width: int) -> str:
    return f"{name:>{width}} " + "".join(f" {score:>9.{_DIGITS}f}" for score in scores) + f" {support:>9}"
