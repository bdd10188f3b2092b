"""Checks of multi-label sets: very rare and very common labels, and labels that occur together."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from keensight.core.audit import Finding, Severity
from keensight.core.decoded import Pixels
from keensight.core.records import Dataset
from keensight.core.task import Task
from keensight.data.audit.checks import SMALL_CLASS, Check, each, images_in_words, readable, readable_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_FEWEST = 3
"""A label with fewer images than splits cannot be in every split."""
_PAIRS = 5
_LISTED = 10


def near_empty_label(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Labels that too few images have, or lack, for training and evaluation."""
    if dataset.task != Task.MULTILABEL:
        return []
    samples = readable(dataset, pixels)
    counted = Counter(name for sample in samples for name in set(sample.labels))
    held = {name: counted[name] for name in dataset.labels.names}
    rare = {name: n for name, n in held.items() if 0 < n < SMALL_CLASS}
    lacking = {name: len(samples) - n for name, n in held.items() if len(samples) - n < SMALL_CLASS}
    findings = []
    for few, verb, cure in (
        (rare, "are on", "add such images, or remove the label"),
        (lacking, "are missing from", "add images without it, or remove the label"),
    ):
        if few:
            listed = ", ".join(f"{name} ({n})" for name, n in list(few.items())[:_LISTED])
            subject = "1 label" if len(few) == 1 else f"{len(few)} labels"
            verb = {"are on": "is on", "are missing from": "is missing from"}[verb] if len(few) == 1 else verb
            message = (
                f"{subject} {verb} fewer than {SMALL_CLASS} images, too few to train and evaluate "
                f"({listed}{', ...' if len(few) > _LISTED else ''}): {cure}."
            )
            severity: Severity = "severe" if min(few.values()) < _FEWEST else "warning"
            findings.append(Finding("near-empty-label", severity, message, len(few)))
    return findings


def label_co_occurrence(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Number of labels per image, and which labels occur together more often than by chance."""
    if dataset.task != Task.MULTILABEL:
        return []
    table = _indicators(dataset)
    per_image = table.sum(axis=1)
    together, rates = (table.T @ table).toarray(), table.sum(axis=0) / len(dataset)
    names = dataset.labels.names
    pairs = [
        (together[i, j] / max(rates[i] * rates[j] * len(dataset), 1e-9), int(together[i, j]), names[i], names[j])
        for i, j in combinations(range(len(names)), 2)
        if together[i, j]
    ]
    shown = sorted(pairs, key=lambda pair: (-pair[1], pair[2:]))[:_PAIRS]
    listed = "; ".join(
        f"{a} with {b} {n:,} ({lift:.1f} times as often as expected by chance)" for lift, n, a, b in shown
    )
    never = len(names) * (len(names) - 1) // 2 - len(pairs)
    apart = "1 pair of labels never occurs" if never == 1 else f"{never:,} pairs of labels never occur"
    message = (
        f"Images have {per_image.min()} to {per_image.max()} labels, {per_image.mean():.2f} on average. "
        f"Most often together: {listed or 'none'}. {apart} together."
    )
    return [Finding("label-co-occurrence", "info", message, len(pairs))]


def _indicators(dataset: Dataset) -> csr_array:
    """:meth:`Dataset.indicators` as a sparse table: of many labels an image has few."""
    from scipy.sparse import csr_array

    held = [frozenset(sample.labels) for sample in dataset.samples]
    columns = dataset.labels.encode([name for names in held for name in names])
    ends = np.cumsum([0, *map(len, held)])
    return csr_array((np.ones(len(columns), np.int64), columns, ends), shape=(len(held), len(dataset.labels)))


def without_label(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Images of a multi-label set that have none of its labels."""
    bare = [i for i in readable_rows(dataset, pixels) if not dataset.samples[i].labels]
    if dataset.task != Task.MULTILABEL or not bare:
        return []
    subject = images_in_words(len(bare), "has", "have")
    message = (
        f"{subject} no label and count as negatives for all of them: check that they were not simply left unlabeled."
    )
    severity: Severity = "warning" if len(bare) > 0.2 * len(dataset) else "info"
    return [Finding.on(dataset, each(bare), "without-label", severity, message)]


LABEL_CHECKS: tuple[Check, ...] = (near_empty_label, without_label, label_co_occurrence)
