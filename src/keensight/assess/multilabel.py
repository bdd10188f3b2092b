"""Metrics of multi-label classification, from probabilities, thresholds and true labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.assess.calibration import BINS, bin_of, label_cross_entropies
from keensight.assess.intervals import class_intervals, share, wilson
from keensight.core.evaluation import ClassScore, Evaluation, LabelScore, MultilabelScores
from keensight.core.interval import Interval
from keensight.core.records import LabelSet
from keensight.errors import DataError

_RESAMPLES, _FEWEST, _WORK = 1000, 200, 5e8
"""Number of bootstrap resamples, and the minimum for large sets."""
_CHUNK = 4_000_000


def evaluate(
    probabilities: NDArray[Any],
    truth: NDArray[Any],
    labels: LabelSet,
    thresholds: Sequence[float],
    *,
    part: str = "test",
    groups: NDArray[np.int64] | None = None,
) -> Evaluation:
    """Score predictions against the true labels.

    Precision, recall, F1, average precision and AUROC are scikit-learn's. Macro means of F1 are over all labels,
    counting a label that never occurs as 0; the mean average precision is over the labels that occur. Intervals of mAP
    and micro F1 are percentiles of a bootstrap over images or whole groups (Efron 1979), or Wilson's where every
    resample gives 1 (or 0); that of the subset accuracy is Wilson's, with groups from the effective number of images.

    Args:
        probabilities: Float (n, labels), each between 0 and 1.
        truth: 0 and 1, (n, labels), columns in the order of ``labels``.
        labels: The labels.
        thresholds: Probability threshold of each label.
        part: What the images are: ``train``, ``val`` or ``test``.
        groups: Number of each image's group; None: each image stands for itself.

    Raises:
        DataError: there is no image, shapes do not fit, or a row is NaN or no probabilities.
    """
    from sklearn.metrics import f1_score, hamming_loss, precision_recall_fscore_support

    probabilities, truth = np.asarray(probabilities), np.asarray(truth).astype(np.int64)
    _check(probabilities, truth, len(labels), thresholds)
    given = (probabilities >= np.asarray(thresholds)).astype(np.int64)
    precision, recall, f1, support = precision_recall_fscore_support(truth, given, average=None, zero_division=0)
    exact = (given == truth).all(axis=1)
    area, micro = _bootstrapped(probabilities, truth, given, groups)
    return Evaluation(
        part=part,
        n=len(truth),
        labels=labels,
        loss=float(label_cross_entropies(probabilities, truth).mean()),
        accuracy=share(exact, groups),
        top_k={},
        macro_f1=float(f1.mean()),
        weighted_f1=float(f1_score(truth, given, average="weighted", zero_division=0)),
        ece=_calibration_error(probabilities, truth),
        per_class=tuple(
            ClassScore(
                name,
                float(precision[j]),
                float(recall[j]),
                float(f1[j]),
                int(support[j]),
                intervals=class_intervals(given[:, j] == 1, truth[:, j] == 1, groups),
            )
            for j, name in enumerate(labels.names)
        ),
        confusion=(),
        baseline_accuracy=Counter(map(bytes, truth.astype(np.uint8))).most_common(1)[0][1] / len(truth),
        multilabel=MultilabelScores(
            mean_average_precision=area,
            micro_f1=micro,
            hamming_loss=float(hamming_loss(truth, given)),
            per_label=tuple(
                _label_score(name, thresholds[j], probabilities[:, j], truth[:, j], given[:, j])
                for j, name in enumerate(labels.names)
            ),
            together=(_together(truth), _together(given)),
        ),
    )


def accuracy_without(
    probabilities: NDArray[Any],
    truth: NDArray[Any],
    thresholds: Sequence[float],
    left_out: NDArray[np.bool_],
    groups: NDArray[np.int64] | None = None,
) -> Interval:
    """Subset accuracy, with Wilson's interval, without the excluded images; at least one must remain.

    Args:
        probabilities: Float (n, labels).
        truth: 0 and 1, (n, labels).
        thresholds: Probability threshold of each label.
        left_out: Shape (n,).
        groups: Number of each image's group; None: each image stands for itself.
    """
    right = ((probabilities >= np.asarray(thresholds)) == (truth == 1)).all(axis=1)[~left_out]
    return share(right, None if groups is None else groups[~left_out])


def _check(probabilities: NDArray[Any], truth: NDArray[Any], k: int, thresholds: Sequence[float]) -> None:
    if not len(truth):
        raise DataError("there are no images to evaluate", "give at least one readable labeled image")
    if probabilities.shape != (len(truth), k) or truth.shape != (len(truth), k) or len(thresholds) != k:
        raise DataError(
            f"probabilities {probabilities.shape}, labels {truth.shape} and {len(thresholds)} thresholds do not fit "
            f"{k} labels",
            "one row per image, one column and one threshold per label",
        )
    if not ((truth == 0) | (truth == 1)).all():
        raise DataError("the true labels contain values other than 0 and 1", "use Dataset.indicators()")
    unreadable = int(np.isnan(probabilities).any(axis=1).sum())
    if unreadable:
        raise DataError(f"{unreadable:,} of {len(truth):,} rows are NaN (images that could not be read)", "remove them")
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise DataError("the rows are not probabilities from 0 to 1", "apply a sigmoid to logits first")


def _label_score(
    name: str, threshold: float, probabilities: NDArray[Any], truth: NDArray[Any], given: NDArray[Any]
) -> LabelScore:
    from sklearn.metrics import average_precision_score, roc_auc_score

    held = int(truth.sum())
    tn, fp, fn, tp = (int(n) for n in np.bincount(2 * truth + given, minlength=4))
    return LabelScore(
        label=name,
        threshold=float(threshold),
        base_rate=held / len(truth),
        average_precision=float(average_precision_score(truth, probabilities)) if held else None,
        auroc=float(roc_auc_score(truth, probabilities)) if 0 < held < len(truth) else None,
        counts=(tn, fp, fn, tp),
    )


def _together(table: NDArray[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in table.T @ table)


def _calibration_error(probabilities: NDArray[Any], truth: NDArray[Any]) -> float:
    """Calibration error over 15 equal-width bins, weighted by their (image, label) pairs."""
    p = probabilities.ravel().astype(np.float64)
    return float(np.abs(np.bincount(bin_of(p), weights=truth.ravel() - p, minlength=BINS)).sum() / p.size)


def _bootstrapped(
    probabilities: NDArray[Any],
    truth: NDArray[Any],
    given: NDArray[Any],
    groups: NDArray[np.int64] | None,
) -> tuple[Interval, Interval]:
    """Mean average precision and micro F1, with 95% percentile intervals over resampled images or groups.

    A resample is the count of each image, so that each label is sorted only once. Where every resample is 1 (or
    0) there is no variance to see: the interval is Wilson's, at the number of images (or groups) of the rarest label
    that occurs for the mean average precision, of all for the F1.
    """
    n, k = truth.shape
    unit = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    units = int(unit.max()) + 1
    resamples = int(np.clip(_WORK / (n * k), _FEWEST, _RESAMPLES))
    rng = np.random.default_rng(0)
    areas, scores = [], []
    for begin in range(0, resamples, max(1, _CHUNK // n)):
        size = min(max(1, _CHUNK // n), resamples - begin)
        drawn = rng.multinomial(units, np.full(units, 1 / units), size=size)[:, unit].astype(np.float32)
        areas.append(mean_average_precision(probabilities, truth, drawn))
        scores.append(_micro_f1(truth, given, drawn))
    whole = np.ones((1, n), np.float32)
    held = [len(np.unique(unit[column == 1])) for column in truth.T]
    return (
        _percentiles(
            mean_average_precision(probabilities, truth, whole)[0],
            np.concatenate(areas),
            min(filter(None, held), default=1),
        ),
        _percentiles(_micro_f1(truth, given, whole)[0], np.concatenate(scores), units),
    )


def mean_average_precision(
    probabilities: NDArray[Any], truth: NDArray[Any], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Mean over the labels of the average precision, sum of precision times gain in recall, as in scikit-learn.

    Args:
        probabilities: Float (n, labels).
        truth: 0 and 1, (n, labels).
        weights: Count of each image in each resample: (draws, n).

    Returns:
        One value per resample, over the labels that occur in it; NaN if none does.
    """
    total = np.zeros(len(weights))
    labels = np.zeros(len(weights))
    for p, held in zip(probabilities.T, truth.T, strict=True):
        order = np.argsort(-p, kind="stable")
        counted = weights[:, order]
        hits = counted * held[order]
        # Equal probabilities share one threshold: each counts with the precision after the last of them.
        last = np.searchsorted(-p[order], -p[order], side="right") - 1
        seen = np.cumsum(counted, axis=1, dtype=np.float64)[:, last]
        precision = np.cumsum(hits, axis=1, dtype=np.float64)[:, last] / np.maximum(seen, 1)
        positives = hits.sum(axis=1)
        total += np.where(positives > 0, (hits * precision).sum(axis=1) / np.maximum(positives, 1), 0.0)
        labels += positives > 0
    found: NDArray[np.float64] = np.where(labels > 0, total / np.maximum(labels, 1), np.nan)
    return found


def _micro_f1(truth: NDArray[Any], given: NDArray[Any], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    both = weights @ (truth * given).sum(axis=1)
    either = weights @ (truth + given).sum(axis=1)
    found: NDArray[np.float64] = np.where(either > 0, 2 * both / np.maximum(either, 1), 0.0)
    return found


def _percentiles(value: float, draws: NDArray[np.float64], units: int, level: float = 0.95) -> Interval:
    finite = draws[np.isfinite(draws)]
    if len(finite) and value in (0, 1) and (finite == value).all():
        return wilson(value * units, units, level)
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2]) if len(finite) else (0.0, 1.0)
    value = float(np.nan_to_num(value))
    return Interval(value, min(float(low), value), max(float(high), value), level, "bootstrap")


def report_text(evaluation: Evaluation) -> str:
    """The metrics of each label as text, four digits."""
    scores = evaluation.multilabel
    if scores is None:
        raise DataError("this evaluation is from a single-label model", "use keensight.assess.metrics.report_text")
    width = max(12, *(len(name) for name in evaluation.labels.names))
    heading = ("precision", "recall", "f1-score", "support", "AP", "AUROC", "threshold")
    lines = [" " * width + "".join(f" {name:>9}" for name in heading), ""]
    for row, label in zip(evaluation.per_class, scores.per_label, strict=True):
        cells = (row.precision, row.recall, row.f1, row.support, label.average_precision, label.auroc, label.threshold)
        lines.append(f"{row.label:>{width}}" + "".join(f" {_cell(value):>9}" for value in cells))
    totals = {
        "mAP": scores.mean_average_precision.value, "micro F1": scores.micro_f1.value, "macro F1": evaluation.macro_f1,
        "subset acc.": evaluation.accuracy.value, "Hamming loss": scores.hamming_loss,
    }  # fmt: skip
    lines += ["", *(f"{name:>{width}} {value:>9.4f}" for name, value in totals.items())]
    return "\n".join(lines) + f"\n{'images':>{width}} {evaluation.n:>9}\n"


def _cell(value: float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.4f}"
