"""A run as one HTML file that needs nothing else: no network, no fonts, no scripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keensight.core.labels import ClassNoise, LabelSuspects
from keensight.core.records import (
    PARTS,
    AuditReport,
    BundleManifest,
    Dataset,
    Evaluation,
    History,
    RunRecord,
    Split,
)
from keensight.core.slices import Slices
from keensight.show.page import GRADES, Picture, picture, sample_pictures, svg, write_page
from keensight.show.picks import Mistake, find_mistakes, mixups, row_shares

_GALLERY = 24
_SUSPECTS = 12
_TABLE_CLASSES = 20
"""Up to here the confusion matrix is a table that can be read and copied; beyond, a picture and the worst pairs."""
_PAIRS = 12
_LISTED = 100
"""Paths of quarantined files that the report names."""


@dataclass(frozen=True, slots=True)
class ReportData:
    """The records that a report is made of. What is None is left out, and the report says so where it matters."""

    record: RunRecord
    evaluation: Evaluation
    """With its predictions and dataset, where the gallery of mistakes is wanted."""
    history: History | None = None
    audit: AuditReport | None = None
    split: Split | None = None
    manifest: BundleManifest | None = None
    dataset: Dataset | None = None
    """With its images at hand, where the sample grid is wanted."""
    config: str = ""
    """The full configuration as TOML."""
    labels: LabelSuspects | None = None
    slices: Slices | None = None


def write_report(path: Path, data: ReportData) -> Path:
    """Write the report and return its path; 5 MB at most at 10,000 test images and 100 classes.

    Raises:
        StoreError: the folder cannot be written or the disk is full.
    """
    return write_page(path, "report.html", _context(data))


def _context(data: ReportData) -> dict[str, Any]:
    evaluation, dataset = data.evaluation, data.dataset or data.evaluation.dataset
    found = _mistakes(evaluation, dataset)
    return {
        "record": data.record,
        "evaluation": evaluation,
        "right": round(evaluation.accuracy.value * evaluation.n),
        "most_frequent": max(evaluation.per_class, key=lambda row: row.support).label,
        "mistakes": None if found is None else [_mistake_picture(m, dataset) for m in found[:_GALLERY]],
        "mistake_count": 0 if found is None else len(found),
        "labels": data.labels,
        "slices": _slices(data.slices),
        "suspects": _suspects(data.labels, dataset),
        "noisiest": _noisiest(data.labels),
        "pairs": [] if evaluation.multilabel else mixups(evaluation.confusion, evaluation.labels)[:_PAIRS],
        "matrix": _matrix(evaluation),
        "brief": max(map(len, evaluation.labels.names)) <= 4,
        "top_k": [(k, share) for k, share in evaluation.top_k.items() if k != "1"][-2:],
        "heatmap": _heatmap(evaluation),
        "label_figures": _label_figures(evaluation),
        "noun": "class" if evaluation.multilabel is None else "label",
        "scores": _scores(evaluation),
        "curves": _curves(data.history),
        "history": data.history,
        "balance": _balance(data),
        "samples": sample_pictures(dataset),
        "audit": data.audit,
        "findings": sorted(data.audit.findings, key=lambda f: GRADES.index(f.severity)) if data.audit else [],
        "listed": _LISTED,
        "split": data.split,
        "split_sizes": {} if data.split is None else {part: len(data.split.part(part)) for part in PARTS},
        "facts": _facts(data),
        "config": data.config.strip(),
    }


def _slices(found: Slices | None) -> dict[str, Any] | None:
    """Where the model is weak, in words and as an inline SVG."""
    if found is None or not found.scores:
        return None
    from keensight.show import slices

    return {
        "sentence": slices.sentence(found),
        "caution": slices.caution(found),
        "small": slices.too_small(found),
        "weak": found.weakest(),
        "figure": svg(slices.figure(found), "slices"),
    }


def _mistakes(evaluation: Evaluation, dataset: Dataset | None) -> list[Mistake] | None:
    if evaluation.predictions is None or dataset is None:
        return None
    return find_mistakes(evaluation, dataset)


def _mistake_picture(mistake: Mistake, dataset: Dataset | None) -> Picture:
    image = picture(dataset, mistake.index, mistake.truth, mistake.path)
    return dataclasses.replace(
        image, predicted=mistake.predicted, confidence=mistake.confidence, missed=mistake.missed, added=mistake.added
    )


def _suspects(labels: LabelSuspects | None, dataset: Dataset | None) -> list[Picture]:
    if labels is None or dataset is None:
        return []
    places = {sample.path: i for i, sample in enumerate(dataset.samples)}
    found = []
    for suspect in [suspect for suspect in labels.suspects if suspect.path in places][:_SUSPECTS]:
        image = picture(dataset, places[suspect.path], suspect.given, suspect.path)
        found.append(
            dataclasses.replace(image, predicted=suspect.suggested, confidence=suspect.probability, part=suspect.part)
        )
    return found


def _noisiest(labels: LabelSuspects | None) -> list[ClassNoise]:
    found = [row for row in (labels.classes if labels else ()) if row.suspects]
    return sorted(found, key=lambda row: (-row.suspects, row.label))[:_PAIRS]


def _matrix(evaluation: Evaluation) -> list[dict[str, Any]] | None:
    """Rows of the confusion matrix with each cell's count and the strength of its colour, 0 to 1."""
    if len(evaluation.labels) > _TABLE_CLASSES or evaluation.multilabel is not None:
        return None
    shares = row_shares(np.array(evaluation.confusion, dtype=np.int64))
    return [
        {"name": name, "cells": [{"count": c, "tint": round(float(s) ** 0.5, 3), "right": i == j}
                                 for j, (c, s) in enumerate(zip(counts, shares[i], strict=True))]}
        for i, (name, counts) in enumerate(zip(evaluation.labels.names, evaluation.confusion, strict=True))
    ]  # fmt: skip


def _scores(evaluation: Evaluation) -> dict[str, Any]:
    """The classification report: rows a class, then the averages as scikit-learn names them."""
    rows = evaluation.per_class
    support = np.array([row.support for row in rows], dtype=np.float64)
    weights = support / max(support.sum(), 1)
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in ("precision", "recall")}
    weak = sorted(row.f1 for row in rows if row.support and row.f1 < 0.995)[:3]
    scores = evaluation.multilabel
    label_rows = [] if scores is None else list(zip(rows, scores.per_label, strict=True))
    occurring = [label.base_rate for _, label in label_rows if label.average_precision is not None]
    return {
        "rows": rows,
        "multilabel": scores,
        "label_rows": label_rows,
        "guess": sum(occurring) / max(len(occurring), 1),
        "weak": max(weak, default=-1.0),
        "macro": {name: float(values.mean()) for name, values in columns.items()} | {"f1": evaluation.macro_f1},
        "weighted": {n: float(v @ weights) for n, v in columns.items()} | {"f1": evaluation.weighted_f1},
    }


def _balance(data: ReportData) -> list[dict[str, Any]]:
    """Images per class and part, for bars made of table cells."""
    dataset, split = data.dataset or data.evaluation.dataset, data.split
    if dataset is not None and split is not None:
        names = list(dataset.labels.names)
        counts: dict[str, list[int]] = {p: dataset.counts(split.part(p)).tolist() for p in PARTS}
    elif data.audit is not None:
        names, counts = list(data.audit.counts), {"images": list(data.audit.counts.values())}
    else:
        return []
    largest = max((sum(column) for column in zip(*counts.values(), strict=True)), default=1) or 1
    return [
        {"name": name, "total": sum(c[i] for c in counts.values()),
         "parts": {part: {"count": c[i], "width": round(100 * c[i] / largest, 2)} for part, c in counts.items()}}
        for i, name in enumerate(names)
    ]  # fmt: skip


def _facts(data: ReportData) -> dict[str, str]:
    """How the run was made, as names and values."""
    record, manifest = data.record, data.manifest
    facts = {"Command": record.command, "Dataset": record.source, "Model": record.model, "Seed": str(record.seed)}
    facts |= {"Started": record.created, "Finished": record.updated}
    if manifest is not None:
        size = f"{manifest.image.width} × {manifest.image.height} px, {manifest.image.fit}"
        facts |= {"Model input": size, "Normalisation": manifest.normalisation}
        facts |= {"Temperature": f"{manifest.temperature:.4g}"}
        origin = manifest.provenance.get("data")
        facts["Data digest"] = str(origin.get("digest", "")) if isinstance(origin, Mapping) else ""
    facts["Versions"] = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return {key: value for key, value in facts.items() if value}


def _curves(history: History | None) -> list[str]:
    """Loss and accuracy as inline SVG whose ink follows the page's colour scheme."""
    if history is None or not history.epochs:
        return []
    from keensight.show.chart import Chart
    from keensight.show.figures import curve_words, draw_curve, quantities

    drawn = []
    for quantity in quantities(history):
        figure = Chart(4.0, 2.8, curve_words(history, quantity))
        draw_curve(figure.subplots(), history, quantity)
        drawn.append(svg(figure, quantity))
    return drawn


def _heatmap(evaluation: Evaluation) -> str:
    """The confusion matrix of many classes as inline SVG; empty where the table shows it."""
    if len(evaluation.labels) <= _TABLE_CLASSES or evaluation.multilabel is not None:
        return ""
    from keensight.show.chart import Chart
    from keensight.show.figures import confusion_words, draw_confusion

    side = float(np.clip(2 + 0.16 * len(evaluation.labels), 7, 14))
    figure = Chart(side, side, confusion_words(evaluation))
    draw_confusion(figure.subplots(), evaluation, annotate=False, clear=True)
    return svg(figure, "confusion")


def _label_figures(evaluation: Evaluation) -> list[str]:
    """The pictures of a multi-label evaluation as inline SVG."""
    if evaluation.multilabel is None:
        return []
    from keensight.show import multilabel as pictures
    from keensight.show.chart import Chart

    scores = evaluation.multilabel
    drawn = []
    for draw, words in (
        (pictures.draw_precision, pictures.precision_words),
        (pictures.draw_counts, pictures.counts_words),
    ):
        figure = Chart(5.2, pictures.height(evaluation), words(scores))
        draw(figure.subplots(), scores)
        drawn.append(svg(figure, draw.__name__))
    return [*drawn, svg(pictures.co_occurrence(evaluation), "together")]
