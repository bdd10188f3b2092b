"""What a model and its export give for the same images, in one form for every task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly import ANOMALOUS, NORMAL, image_scores
from keensight.core.export_formats import FORMATS
from keensight.core.exports import SELF_TEST, Exported, ExportRecord
from keensight.core.ood import Subspace, odd, score
from keensight.core.parity import Parity, Precision
from keensight.core.pixels import decode
from keensight.core.records import SEPARATOR, BundleManifest
from keensight.core.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keensight.core.records import ImageSpec
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.nets.export.formats import Runner

_CHUNK = 16
"""Images per call of an export."""
AGAIN: dict[Precision, float] = {"float32": 1e-4, "float16": 0.01, "int8": 0.05}
"""Largest difference of a probability between an export when it was made and later, elsewhere: CPUs round
differently."""

Floats = NDArray[np.float32]
Rule: TypeAlias = "BundleManifest | ExportRecord"
"""What has task, labels and decision rule."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a model or its export gives for n images."""

    outputs: Floats
    """Probabilities (n, classes) of a classifier, or scores (n, 1) of a detector."""
    refused: NDArray[np.bool_] | None
    """Which images are out-of-distribution, shape (n,); None: there is no rule."""


def by_model(model: Classifier | Detector, images: NDArray[np.uint8]) -> Found:
    """What a model gives for decoded images."""
    from keensight.nets.detector import Detector
    from keensight.nets.runtime import full_float32

    with full_float32():  # a GPU must compute what a CPU does
        if isinstance(model, Detector):
            return Found(model.score(model.predict_levels(images))[:, None], None)
        found = model.answer_array(images)
    return Found(found.probabilities, None if model.subspace is None else odd(found.ood_scores, model.subspace))


def by_export(run: Runner, images: NDArray[np.uint8], rule: Rule, subspace: Subspace | None = None) -> Found:
    """What an export gives for decoded images."""
    parts = [[one.copy() for one in run(images[begin : begin + _CHUNK])] for begin in range(0, len(images), _CHUNK)]
    first, *vectors = (np.concatenate(column) for column in zip(*parts, strict=True))
    refused = odd(score(vectors[0], subspace), subspace) if subspace is not None and vectors else None
    return Found(final(first, rule), refused)


def final(outputs: Floats, rule: Rule) -> Floats:
    """Probabilities as they are; of a detector the scores (n, 1) of images from those of their patches."""
    if rule.task != Task.ANOMALY:
        return outputs
    scores: Floats = (image_scores(outputs) / np.float32(rule.decision["limits"]["threshold"]))[:, None]
    return scores


def self_test_pixels(images: Sequence[bytes], spec: ImageSpec) -> NDArray[np.uint8]:
    """The images of a self-test, decoded, (n, height, width, 3)."""
    return np.stack([decode(image, spec) for image in images])


def label_of(row: Floats, rule: Rule) -> str:
    """The prediction for one image's probabilities (classes,) or score (1,)."""
    if rule.task == Task.ANOMALY:
        return ANOMALOUS if row[0] >= 1 else NORMAL
    names = rule.labels.names if isinstance(rule, BundleManifest) else rule.labels
    if rule.task == Task.MULTICLASS:
        return names[int(row.argmax())]
    thresholds = rule.decision["thresholds"]
    return SEPARATOR.join(name for name, p, t in zip(names, row, thresholds, strict=True) if p >= t)


def table(parity: Parity) -> list[str]:
    """The gate's conditions as aligned lines."""
    rows = [("", "measured", "allowed")]
    rows += [(f"{'ok    ' if one.ok else 'FAILED'}  {one.name}", one.measured, one.allowed) for one in parity.limits]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, *([parity.note] if parity.note else [])]


def export_outputs(made: Exported) -> Floats:
    """Probabilities or scores by an export on disk, for the images of its self-test.

    Raises:
        UsageError: its runtime is not installed.
        StoreError: its network cannot be read.
    """
    from keensight.nets.export.formats import check_runtime, open_network

    record, kind = made.record, FORMATS[made.record.format]
    check_runtime(kind)
    images = [(made.path / SELF_TEST / one.file).read_bytes() for one in record.self_test]
    run = open_network(kind, made.file, tuple(output.name for output in record.outputs))
    return by_export(run, self_test_pixels(images, record.image), record).outputs


def judged(record: ExportRecord, found: Floats) -> tuple[float, str]:
    """Largest difference of these outputs from those that the export gave when it was made, and what is wrong with it.

    Returns:
        The difference (of a score, as a fraction of it), and a sentence; empty: nothing is wrong.
    """
    stored = np.array([one.exported for one in record.self_test], np.float32)
    change = np.abs(found - stored) / (np.maximum(stored, 1) if record.task == Task.ANOMALY else 1)
    worst, allowed = float(change.max()), AGAIN[record.parity.precision]
    if not worst <= allowed:
        return worst, f"its predictions differ from those when it was made, by up to {worst:.2g} (allowed: {allowed:g})"
    named = [label_of(row, record) for row in np.array([one.original for one in record.self_test], np.float32)]
    wrong = [one.file for one, name in zip(record.self_test, named, strict=True) if one.label != name]
    return worst, f"the labels of {wrong[0]} and its probabilities disagree" if wrong else ""
