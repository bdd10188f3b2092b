"""The last step of every reader: from samples to a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keensight.core.records import Dataset, LabelSet, Reader, Reading, Sample, Skipped
from keensight.core.task import Task
from keensight.data.sources.image_facts import image_notes, image_warnings
from keensight.data.sources.names import natural_key
from keensight.errors import DataError

_LAYOUTS = {"folder": "folder per class", "split folders": "folder per class", "idx": "IDX files"}
"""Kinds of sources in words, where the kind is not such."""


class OneClass(DataError):
    """All images have the same class: not enough for training, but enough for evaluation."""

    def __init__(self, dataset: Dataset) -> None:
        (only,) = {name for sample in dataset.samples for name in sample.classes}
        super().__init__(
            f"{dataset.name} has only one class ({only}); a classifier needs two",
            "add images of another class, or open the folder whose sub-folders are the classes",
        )
        self.dataset = dataset


def assemble(  # noqa: PLR0913 - each is a field of the dataset
    name: str,
    kind: str,
    samples: Sequence[Sample],
    reader: Reader,
    *,
    skipped: Sequence[Skipped] = (),
    classes: Sequence[str] | None = None,
    task: Task = Task.MULTICLASS,
    reading: Reading | None = None,
) -> Dataset:
    """Validate an image set, and build the record.

    Args:
        name: Name of the dataset, for example its folder's name.
        kind: See :class:`~keensight.core.records.Dataset`.
        samples: The samples, in order.
        reader: Loads them.
        skipped: What in the source is not an image of the set.
        classes: The class names in order; default: those that occur, in natural order.
        task: One class per image, or any number of labels.
        reading: How the source was understood; default: its kind in words.

    Raises:
        OneClass: all images have the same class.
        DataError: there is no image, or none can be read.
    """
    found = sorted({name for sample in samples for name in sample.classes}, key=natural_key)
    if not samples:
        raise DataError(f"{name} contains no labeled images", _reasons(skipped))
    if all(sample.error is not None for sample in samples):
        raise DataError(
            f"none of the {len(samples)} images of {name} can be read; {samples[0].path}: {samples[0].error}",
            "check the paths and that the files are images",
        )
    if len(found) < 2 and task == Task.MULTILABEL:
        raise DataError(
            f"{name} has fewer than two labels with images, too few for a multi-label set",
            "check the label columns: each must contain a 1",
        )
    labels = LabelSet(tuple(classes) if classes is not None else tuple(found))
    told = reading or Reading(_LAYOUTS.get(kind, kind))
    told = replace(
        told, notes=(*told.notes, *image_notes(samples)), warnings=(*told.warnings, *image_warnings(samples))
    )
    dataset = Dataset(name, kind, labels, tuple(samples), tuple(skipped), reader, task, told)
    if len(found) < 2:
        raise OneClass(dataset)
    return dataset


def _reasons(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return "expected one sub-folder per class, a table, IDX files or an .npz file"
    listed = "; ".join(f"{item.path or '.'}: {item.reason}" for item in skipped[:3])
    return f"{len(skipped)} entries were skipped: {listed}"
