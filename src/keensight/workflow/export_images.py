"""The images that an export is calibrated on and compared on: of the run's source, or of one that is given."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.export_formats import ExportFormat
from keensight.core.parallel import ordered, processors
from keensight.core.progress import Progress
from keensight.core.records import Dataset, group_numbers
from keensight.core.task import Task
from keensight.errors import ImageError, UsageError
from keensight.workflow.run_images import images_of
from keensight.workflow.steps import Source, open

if TYPE_CHECKING:
    from keensight.store.bundle import Bundle

HELD_OUT = 500
"""Largest number of test images that an export is compared on."""
CALIBRATION = 300
"""Largest number of training images that int8 is calibrated on."""
_GROUPS = 10
"""Fewer groups are too few to resample: images then count as independent."""
_NO_TEST_SET = (
    "the images of the run were not found, so only the self-test was compared; --data SOURCE (data= in Python) gives "
    "them"
)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Decoded images to compare and to calibrate on."""

    held_out: NDArray[np.uint8]
    """Test images, (n, height, width, 3)."""
    truth: NDArray[Any] | None = None
    groups: NDArray[np.int64] | None = None
    calibration: NDArray[np.uint8] | None = None
    note: str = ""


def material(kind: ExportFormat, bundle: Bundle, path: Path, source: Source | None, progress: Progress) -> Material:
    """Decode the images for an export: test images, and for int8 training images.

    Raises:
        UsageError: int8 needs images, and they were not found.
    """
    found = _with_rows(bundle, path, source, progress)
    int8 = kind.precision == "int8"
    if found is None or (int8 and not (len(found[1]) and len(found[2]))):
        if int8:
            raise UsageError(
                f"{kind.name} is calibrated on training images and measured on test images, which were not found",
                "give the image set that the model was trained on: --data SOURCE (data= in Python)",
            )
        return Material(np.zeros((0, *bundle.manifest.image.shape), np.uint8), note=_NO_TEST_SET)
    dataset, train, test = found
    rows, images = _decoded(dataset, _spread(test, HELD_OUT), bundle, progress)
    calibration = _decoded(dataset, _spread(train, CALIBRATION), bundle, progress)[1] if int8 else None
    if not len(rows):
        return Material(images, calibration=calibration, note=_NO_TEST_SET)
    groups = group_numbers([dataset.samples[int(row)].group for row in rows])
    if groups is not None and int(groups.max()) + 1 < _GROUPS:
        groups = None
    truth = None if bundle.manifest.task == Task.ANOMALY else _truth(dataset, bundle)[rows]
    return Material(images, truth, groups, calibration)


def _with_rows(
    bundle: Bundle, path: Path, source: Source | None, progress: Progress
) -> tuple[Dataset, NDArray[np.int64], NDArray[np.int64]] | None:
    """The image set with the rows of its training and test images; None: it is not available."""
    from keensight.store.run import is_run, open_run

    if is_run(path):
        run = open_run(path)
        known, split = images_of(run, source, progress), run.split
        return None if known is None else (known, split.part("train"), split.part("test"))
    if source is None:
        return None
    dataset, learned = open(source, progress=progress), bundle.learned()
    files = frozenset() if learned is None else frozenset(row.tobytes() for row in learned.files)
    seen = np.array([bytes.fromhex(one.digest or "00")[:16] in files for one in dataset.samples], bool)
    fits = np.array([set(one.classes) <= set(bundle.manifest.labels.names) for one in dataset.samples], bool)
    return dataset, np.flatnonzero(seen), np.flatnonzero(~seen & fits)


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of the rows, evenly."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64))
    return np.asarray(rows[places])


def _truth(dataset: Dataset, bundle: Bundle) -> NDArray[Any]:
    labels = bundle.manifest.labels
    if bundle.manifest.task == Task.MULTILABEL:
        return dataclasses.replace(dataset, labels=labels, task=Task.MULTILABEL).indicators()
    known = {name: number for number, name in enumerate(labels.names)}
    return np.array([known.get(sample.label, -1) for sample in dataset.samples], np.int64)


def _decoded(
    dataset: Dataset, rows: NDArray[np.int64], bundle: Bundle, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Images (n, height, width, 3), and the rows that could be read."""
    from keensight.nets.inputs import read_image

    spec = bundle.manifest.image

    def read(row: np.int64) -> NDArray[np.uint8] | None:
        try:
            return read_image(dataset.load(int(row)), spec).image
        except ImageError:
            return None

    kept: list[int] = []
    images = np.empty((len(rows), *spec.shape), np.uint8)
    with progress.task("decoding images", len(rows)) as task:
        for row, image in zip(rows, ordered(read, rows, processors()), strict=True):
            if image is not None:
                images[len(kept)] = image
                kept.append(int(row))
            task.advance(1)
    return np.array(kept, np.int64), images[: len(kept)]
