"""A run as one self-contained HTML file: no network, no fonts; its script only filters, sorts and prints."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.audit import AuditReport, by_severity
from keensight.core.evaluation import Evaluated, Evaluation, Slices
from keensight.core.labels import ClassNoise, LabelSuspects
from keensight.core.records import PARTS, BundleManifest, Dataset, History, Reader, RunRecord, Sample, Split
from keensight.core.sanitize import command_without_places, toml_without_places
from keensight.core.statements import face_value, independence
from keensight.errors import ImageError
from keensight.show.heatmap import colored
from keensight.show.misclassified import Mistake, confused_pairs, find_mistakes, row_shares, worth_showing
from keensight.show.page import LISTED_FILES, Picture, picture, sample_pictures, svg, write_page
from keensight.show.text import plural
from keensight.show.thumbnails import data_uri, shrunk

GALLERY = 200
"""Misclassified images in the page, at most."""
_ROOM = 2_000_000
"""Characters that their pictures may take: about 200 photographs."""
_SHOWN = 24
"""Of these, how many are shown at first."""
_BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 1.0)
"""Edges of the confidence table: few, so that each row has many images."""
_FEW = 20
"""Test images below which the results of a class say little."""
_SUSPECTS = 12
_MATRIX = 20
"""Classes of the confusion matrix at most; of more, those with the most errors are shown."""
_MATRIX_OF_MANY = 14
_PAIRS = 12
_HEAT_SIDE = 32
"""Pixels of a heatmap's side, at most; it is smooth."""


@dataclass(frozen=True, slots=True)
class ReportData:
    """The records that a report is made from; what is None is omitted."""

    record: RunRecord
    evaluation: Evaluation
    """With its predictions and dataset, for the gallery of misclassified images."""
    history: History | None = None
    audit: AuditReport | None = None
    split: Split | None = None
    manifest: BundleManifest | None = None
    dataset: Dataset | None = None
    """With its images available, for the grid of samples."""
    config: str = ""
    """The full configuration as TOML."""
    labels: LabelSuspects | None = None
    slices: Slices | None = None
    heatmaps: Reader | None = None
    """Heatmaps of the misclassified images in grayscale; an image without one raises ImageError."""
    card: str = ""
    """The model card, as Markdown."""

    @property
    def images(self) -> Dataset | None:
        """The dataset with the images; None: not available."""
        if self.dataset is not None:
            return self.dataset
        return self.evaluation.dataset if isinstance(self.evaluation, Evaluated) else None


def write_report(path: Path, data: ReportData) -> Path:
    """Write the report and return its path; 5 MB at most at 10,000 test images and 100 classes.

    Raises:
        StoreError: the folder cannot be written or the disk is full.
    """
    return write_page(path, "report.html", _context(data))


def _context(data: ReportData) -> dict[str, Any]:
    from keensight.show.calibration import section as confidence

    evaluation, dataset = data.evaluation, data.images
    bins = _confidence_bins(evaluation)
    pairs = [] if evaluation.multilabel else confused_pairs(evaluation.confusion, evaluation.labels)
    return {
        "record": data.record,
        "evaluation": evaluation,
        "independence": independence(evaluation, adopted=bool(data.record.results.get("adopted"))),
        "binary": evaluation.binary,
        "right": round(evaluation.accuracy.value * evaluation.n),
        "most_frequent": max(evaluation.per_class, key=lambda row: row.support).label,
        **_gallery(data, dataset),
        "labels": data.labels,
        "slices": _slices(data.slices),
        "suspects": _suspects(data.labels, dataset),
        "noisiest": _noisiest(data.labels),
        "pairs": pairs[:_PAIRS],
        "matrix": _matrix(evaluation),
        "top_k": [(k, share) for k, share in evaluation.top_k.items() if k != "1"][-2:],
        "label_figures": _label_figures(evaluation),
        "noun": evaluation.task.noun,
        "scores": _scores(evaluation),
        "curves": _curves(data.history),
        "history": data.history,
        "balance": _balance(data),
        "samples": sample_pictures(dataset),
        "audit": data.audit,
        "findings": by_severity(data.audit.findings) if data.audit else [],
        "listed": LISTED_FILES,
        "split": data.split,
        "split_sizes": {} if data.split is None else {part: len(data.split.part(part)) for part in PARTS},
        "facts": _facts(data),
        "config": toml_without_places(data.config.strip()),
        "card": data.card,
        "bins": bins,
        "confidence": confidence(evaluation),
        "examples": _examples(bins),
        "verdict": face_value(evaluation),
    }


def _slices(found: Slices | None) -> dict[str, Any] | None:
    """Results by subgroup, in words and as an inline SVG."""
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


def _gallery(data: ReportData, dataset: Dataset | None) -> dict[str, Any]:
    """Pictures of the misclassified images, and the classes to filter them by."""
    evaluation = data.evaluation
    if not isinstance(evaluation, Evaluated) or dataset is None:
        return {"mistakes": None, "mistake_count": 0, "shown": _SHOWN, "choices": ((), ()), "heated": False}
    found = find_mistakes(evaluation)
    several = evaluation.multilabel is not None  # sets of labels cannot be filtered by class
    tiles = _affordable(
        _tile(mistake, data, dataset) for mistake in worth_showing(found, _SHOWN if several else GALLERY)
    )
    return {
        "mistakes": tiles,
        "mistake_count": len(found),
        "shown": _SHOWN,
        "choices": (_choices(tile.label for tile in tiles), _choices(tile.predicted for tile in tiles)),
        "number": {name: number for number, name in enumerate(evaluation.labels.names)},
        "heated": any(tile.heat for tile in tiles),
    }


def _affordable(tiles: Iterable[Picture]) -> list[Picture]:
    """As many pictures, from the first, as fit into a page of 5 MB."""
    kept, length = [], 0
    for tile in tiles:
        length += len(tile.uri) + len(tile.heat)
        if length > _ROOM:
            break
        kept.append(tile)
    return kept


def _tile(mistake: Mistake, data: ReportData, dataset: Dataset) -> Picture:
    image = picture(dataset, mistake.index, mistake.truth, mistake.path)
    heat = _heat(dataset.samples[mistake.index], data.heatmaps) if image.uri else ""
    return dataclasses.replace(
        image, predicted=mistake.predicted, confidence=mistake.confidence, missed=mistake.missed, added=mistake.added,
        heat=heat,
    )  # fmt: skip


def _heat(sample: Sample, heatmaps: Reader | None) -> str:
    if heatmaps is None:
        return ""
    try:
        gray = shrunk(heatmaps.load(sample), _HEAT_SIDE)[..., 0]
    except ImageError:
        return ""
    return data_uri(colored(np.asarray(gray / 255, dtype=np.float32)))


def _choices(names: Iterable[str]) -> list[tuple[str, int]]:
    """Each name and how often it occurs, in alphabetical order."""
    return sorted(Counter(names).items())


def _confidence_bins(evaluation: Evaluation) -> list[dict[str, float]]:
    """Number, mean confidence and accuracy of predictions of similar confidence, most confident first."""
    if not isinstance(evaluation, Evaluated) or evaluation.multilabel is not None:
        return []
    given, right = evaluation.predictions.probabilities.max(axis=1), evaluation.predictions.right()
    numbers = np.digitize(given, _BINS[1:-1])
    return [
        {"low": _BINS[number], "high": _BINS[number + 1], "n": int(some.sum()), "confidence": float(given[some].mean()),
         "accuracy": float(right[some].mean())}
        for number in reversed(range(len(_BINS) - 1))
        if (some := numbers == number).any()
    ]  # fmt: skip


def _examples(bins: list[dict[str, float]]) -> str:
    """How often the most and the least confident predictions are right."""
    return " ".join(
        f"When the model was {100 * row['low']:.0f}-{100 * row['high']:.0f}% confident "
        f"({plural(int(row['n']), 'image')}), it was right {100 * row['accuracy']:.1f}% of the time."
        for row in (bins[:1] + bins[1:][-1:])
    )


def _suspects(labels: LabelSuspects | None, dataset: Dataset | None) -> list[Picture]:
    if labels is None or dataset is None:
        return []
    places = {sample.path: i for i, sample in enumerate(dataset.samples)}
    found = []
    shown = labels.suspects or labels.doubtful
    for suspect in [suspect for suspect in shown if suspect.path in places][:_SUSPECTS]:
        image = picture(dataset, places[suspect.path], suspect.given, suspect.path)
        found.append(
            dataclasses.replace(image, predicted=suspect.suggested, confidence=suspect.probability, part=suspect.part)
        )
    return found


def _noisiest(labels: LabelSuspects | None) -> list[ClassNoise]:
    found = [row for row in (labels.classes if labels else ()) if row.suspects]
    return sorted(found, key=lambda row: (-row.suspects, row.label))[:_PAIRS]


def _matrix(evaluation: Evaluation) -> dict[str, Any] | None:
    """The confusion matrix: names, and rows of cells with count, fraction of the row and strength of the color.

    Of many classes those with the most errors have a row and column each, and the others one together.
    """
    if evaluation.multilabel is not None:
        return None
    counts, names = np.array(evaluation.confusion, dtype=np.int64), list(evaluation.labels.names)
    others = 0
    if len(names) > _MATRIX:
        errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
        kept = np.sort(np.argsort(-errors, kind="stable")[:_MATRIX_OF_MANY])
        others = len(names) - len(kept)
        counts, names = _merged(counts, kept), [*(names[i] for i in kept), f"{others} other classes"]
    shares = row_shares(counts)
    rows = [
        {"name": name, "cells": [
            {"count": int(counts[i, j]), "share": float(shares[i, j]), "tint": round(float(shares[i, j]) ** 0.5, 3),
             "right": i == j, "others": others > 0 and i == j == len(kept)}
            for j in range(len(names))
        ]}
        for i, name in enumerate(names)
    ]  # fmt: skip
    size = "large" if len(names) <= 4 else "brief" if max(map(len, names)) <= 4 else ""
    return {"names": names, "rows": rows, "others": others, "size": size}


def _merged(counts: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """A confusion matrix (k, k) whose rows and columns that are not ``kept`` are added up, as the last one."""
    rest = np.setdiff1d(np.arange(len(counts)), kept)
    rows = np.vstack([counts[kept], counts[rest].sum(axis=0)])
    return np.column_stack([rows[:, kept], rows[:, rest].sum(axis=1)])


def _scores(evaluation: Evaluation) -> dict[str, Any]:
    """The classification report: one row per class, then the averages as in scikit-learn."""
    rows = evaluation.per_class
    support = np.array([row.support for row in rows], dtype=np.float64)
    weights = support / max(support.sum(), 1)
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in ("precision", "recall")}
    weak = evaluation.weak_classes()
    scores = evaluation.multilabel
    label_rows = [] if scores is None else list(zip(rows, scores.per_label, strict=True))
    occurring = [label.base_rate for _, label in label_rows if label.average_precision is not None]
    return {
        "rows": rows if len(rows) <= _MATRIX else sorted(rows, key=lambda row: row.f1),
        "sorted": len(rows) > _MATRIX,
        "multilabel": scores,
        "label_rows": label_rows,
        "guess": sum(occurring) / max(len(occurring), 1),
        "weak": [row.label for row in weak],
        "judged": len(rows) > 2 and any(row.intervals for row in rows),
        "few": _few([row.label for row in rows if row.support < _FEW], len(rows)),
        "macro": {name: float(values.mean()) for name, values in columns.items()}
        | _average(evaluation, "macro_f1", auroc=evaluation.auroc),
        "weighted": {n: float(v @ weights) for n, v in columns.items()} | _average(evaluation, "weighted_f1"),
    }


def _few(names: list[str], classes: int) -> str:
    """Which classes have too few test images to say much, as a sentence; empty if none."""
    who = ", ".join(names) if len(names) <= 5 else f"{len(names)} of {classes} classes"
    have = "has" if len(names) == 1 else "have"
    return f"{who} {have} fewer than {_FEW} test images, too few for a reliable result." if names else ""


def _average(evaluation: Evaluation, name: str, auroc: float | None = None) -> dict[str, Any]:
    """The F1 and AUROC of a row of averages, with their intervals."""
    found = evaluation.intervals
    ends = {"f1": found.get(name), "auroc": found.get("auroc") if auroc is not None else None}
    return {"f1": getattr(evaluation, name), "auroc": auroc, "intervals": ends}


def _balance(data: ReportData) -> list[dict[str, Any]]:
    """Images per class and split, for bars made of table cells."""
    dataset, split = data.images, data.split
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
    command = command_without_places(record.command)
    facts = {
        "Command": command,
        "Dataset": record.source,
        "Model": record.model,
        "Seed": str(record.seed),
    }
    facts |= {"Started": record.created, "Finished": record.updated}
    if manifest is not None:
        size = f"{manifest.image.width} × {manifest.image.height} px, {manifest.image.fit}"
        facts |= {"Model input": size, "Normalization": manifest.normalisation}
        facts |= {"Temperature": f"{manifest.temperature:.4g}"}
        origin = manifest.provenance.get("data")
        facts["Data checksum"] = str(origin.get("digest", "")) if isinstance(origin, Mapping) else ""
    facts["Split checksum"] = str(record.results.get("split_digest", ""))
    facts["Versions"] = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return {key: value for key, value in facts.items() if value}


def _curves(history: History | None) -> list[str]:
    """Learning curves as inline SVG; a single epoch makes no curve."""
    if history is None or len(history.epochs) < 2:
        return []
    from keensight.show.chart import Chart
    from keensight.show.figures import curve_words, draw_curve, quantities

    drawn = []
    for quantity in quantities(history):
        figure = Chart(3.6, 2.7, curve_words(history, quantity))
        draw_curve(figure.subplots(), history, quantity)
        drawn.append(svg(figure, quantity))
    return drawn


def _label_figures(evaluation: Evaluation) -> list[str]:
    """The figures of a multi-label evaluation as inline SVG."""
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
    together = pictures.together_charts(evaluation, scores)
    return [*drawn, *(svg(figure, f"together{i}") for i, figure in enumerate(together))]
