"""Misclassified images, confused classes, and images to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keensight.core.evaluation import Evaluated, Evaluation
from keensight.core.predictions import Predictions
from keensight.core.records import SEPARATOR, Dataset, LabelSet
from keensight.errors import UsageError


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong prediction."""

    index: int
    """Index into ``Dataset.samples``."""
    path: str
    truth: str
    predicted: str
    confidence: float
    """Probability of the predicted class, 0 to 1; multi-label: how far the worst label is past its threshold."""
    missed: tuple[str, ...] = ()
    """Multi-label: labels of the image that were not predicted (false negatives)."""
    added: tuple[str, ...] = ()
    """Multi-label: labels that were predicted and are not of the image (false positives)."""


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """One cell off the diagonal of a confusion matrix."""

    truth: str
    predicted: str
    count: int
    share: float
    """Fraction of the images of the true class, 0 to 1."""


def spread(dataset: Dataset, n: int, seed: int = 0) -> list[int]:
    """Indices of ``n`` readable samples, evenly from all classes (or sets of labels) and in their order."""
    readable = np.array([i for i, sample in enumerate(dataset.samples) if sample.error is None], dtype=np.int64)
    if not len(readable):
        return []
    order = np.random.default_rng(seed).permutation(readable)
    targets = dataset.combinations()[order]
    turn = np.empty(len(order), dtype=np.int64)
    for label in np.unique(targets):
        members = targets == label
        turn[members] = np.arange(int(members.sum()))
    chosen = np.argsort(turn, kind="stable")[:n]
    return [int(order[i]) for i in sorted(chosen, key=lambda i: (targets[i], turn[i]))]


def find_mistakes(evaluation: Evaluation) -> list[Mistake]:
    """Every wrong prediction, most confident first.

    Args:
        evaluation: With its predictions, as ``ks.evaluate`` gives it.

    Raises:
        UsageError: the evaluation has no predictions.
    """
    if not isinstance(evaluation, Evaluated):
        raise UsageError("this evaluation has no predictions with their images", "take it from ks.evaluate(run)")
    predictions, rows = evaluation.predictions, evaluation.rows
    found = [_mistake(predictions, int(i), int(rows[i])) for i in np.flatnonzero(~predictions.right())]
    return sorted(found, key=lambda m: (-m.confidence, m.path))


def _mistake(predictions: Predictions, i: int, index: int) -> Mistake:
    path, true, named = predictions.paths[i], predictions.true(i), predictions.named(i)
    truth, predicted = SEPARATOR.join(true), SEPARATOR.join(named)
    if predictions.thresholds is None:
        return Mistake(index, path, truth, predicted, float(predictions.probabilities[i].max()))
    missed = tuple(name for name in true if name not in named)
    added = tuple(name for name in named if name not in true)
    past = np.abs(predictions.probabilities[i] - np.array(predictions.thresholds))
    worst = max(float(past[predictions.labels.names.index(name)]) for name in (*missed, *added))
    return Mistake(index, path, truth, predicted, worst, missed, added)


def worth_showing(mistakes: Sequence[Mistake], n: int) -> list[Mistake]:
    """At most ``n`` of the mistakes, in order: the first half of them, then some of each true class."""
    if len(mistakes) <= n:
        return list(mistakes)
    chosen = set(range(n // 2))
    seen: Counter[str] = Counter()
    turns = []
    for place, mistake in enumerate(mistakes):
        turns.append((seen[mistake.truth], place))
        seen[mistake.truth] += 1
    for _, place in sorted(turns):
        if len(chosen) == n:
            break
        chosen.add(place)
    return [mistakes[place] for place in sorted(chosen)]


def confused_pairs(confusion: Sequence[Sequence[int]], labels: LabelSet) -> list[ConfusedPair]:
    """Every pair of classes that was confused at least once, most frequent first."""
    counts = np.array(confusion, dtype=np.int64)
    shares = row_shares(counts)
    rows, columns = np.nonzero(counts * (1 - np.eye(len(counts), dtype=np.int64)))
    pairs = [
        ConfusedPair(labels.names[int(r)], labels.names[int(c)], int(counts[r, c]), float(shares[r, c]))
        for r, c in zip(rows, columns, strict=True)
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.share, pair.truth, pair.predicted))


def row_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each row of a confusion matrix (k, k) as fractions of its sum; a row without images is all zero."""
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares
