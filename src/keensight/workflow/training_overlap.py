"""Recognize a model's training images among those that it is evaluated on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core import fingerprints as marks
from keensight.core.fingerprints import LearnedFrom
from keensight.core.progress import Progress
from keensight.core.records import Dataset, ImageSpec, Split, group_numbers
from keensight.core.training_overlap import LeftOut

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.classifier import Classifier
    from keensight.store.run import Run

_SAMPLE = 2048
"""Number of images for medians and radius."""


def learned_of(dataset: Dataset, split: Split, pixels: Pixels, progress: Progress | None = None) -> LearnedFrom:
    """Compute digests and fingerprints of the training and validation images, to recognize copies of them later.

    Args:
        dataset: The image set.
        split: Its split.
        pixels: Its images at the model's input size; each is read once, some twice.
        progress: Where to report.
    """
    from keensight.data.pixels import scan

    rows = np.array([row for row in (*split.train, *split.val) if row not in pixels.errors], dtype=np.int64)
    files = marks.file_digests([dataset.samples[int(row)].digest for row in rows])
    medians, radius = _scale(dataset, rows, pixels)
    if not len(rows):
        return LearnedFrom(files, marks.pixel_digests(np.empty((0, 1, 1, 3), np.uint8)), _NONE, medians, radius)
    digests, *prints = scan(
        pixels, rows, _measures(medians, radius), purpose="fingerprinting training images", progress=progress
    )
    kept = prints[0][marks.is_print(prints[0])] if prints else _NONE
    return LearnedFrom(files, digests, kept, medians, radius)


_NONE = np.empty((0, marks.PRINT), np.uint8)


def _scale(dataset: Dataset, rows: NDArray[np.int64], pixels: Pixels) -> tuple[marks.Floats, int]:
    """Median frequencies and the distance of copies, from an even sample of the images."""
    from keensight.data.pixels import scan

    if not len(rows) or not _large_enough(pixels.spec):
        return np.zeros(marks.FREQUENCIES, np.float32), marks.OFF
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64))]
    (found,) = scan(pixels, some, [marks.frequencies])
    medians = marks.medians_of(found)
    prints = marks.fingerprints(found, medians)
    kept = np.flatnonzero(marks.is_print(prints))
    groups = group_numbers([dataset.samples[int(row)].group for row in some[kept]])
    groups = np.arange(len(kept)) if groups is None else groups
    distances = marks.nearest(prints[kept], prints[kept], groups[:, None] == groups[None])
    return medians, marks.radius_of(distances, len(rows))


def _large_enough(spec: ImageSpec) -> bool:
    return min(spec.height, spec.width) >= marks.SIDE


def extended(learned: LearnedFrom, digests: list[str], images: NDArray[np.uint8]) -> LearnedFrom:
    """Add images, given their files' SHA-256 and uint8 pixels (n, height, width, 3)."""
    found = replace(
        learned,
        files=np.concatenate([learned.files, marks.file_digests(digests)]),
        pixels=np.concatenate([learned.pixels, marks.pixel_digests(images)]),
    )
    if learned.radius == marks.OFF:
        return found
    prints = marks.fingerprints(marks.frequencies(images), learned.medians)
    return replace(found, prints=np.concatenate([learned.prints, prints[marks.is_print(prints)]]))


@dataclass(frozen=True, slots=True)
class _Known:
    """The record of a model's training images in its bundle and run."""

    name: str
    files: frozenset[bytes]
    marks: LearnedFrom | None
    groups: frozenset[str]
    recorded: bool
    """Whether there is any record."""
    adopted: bool
    """Whether the network was trained elsewhere."""

    def notes(self, measured: int) -> tuple[str, ...]:
        """What cannot be checked for this number of images, in sentences."""
        may = f"the {measured:,} evaluated images may include training images"
        if not self.recorded:
            return (f"{self.name} does not record what it was trained on: {may}",)
        notes = (
            [f"{self.name} was trained elsewhere, so its training images are not recorded: {may}"]
            if self.adopted
            else []
        )
        if self.marks is None:
            notes.append(
                f"{self.name} records the files that it was trained on, not their pixels: re-encoded copies of "
                "training images are not recognized"
            )
        elif self.marks.radius == marks.OFF:
            notes.append(
                f"the images that {self.name} was trained on are too small or too similar for fingerprints: compressed "
                "or resized copies of them are not recognized"
            )
        return tuple(notes)


def left_out(
    model: str | Path | Run | Classifier, dataset: Dataset, rows: NDArray[np.int64], pixels: Pixels, progress: Progress
) -> LeftOut:
    """Find images that a model was trained on: the same file, the same pixels, or a similar copy.

    Args:
        model: A run, a bundle, or a loaded classifier, which has no record.
        dataset: The image set to evaluate.
        rows: Indices into its samples, none of them without pixels.
        pixels: Its images, decoded at the model's input size.
        progress: Where to report.
    """
    known = _known(model)
    files = np.array([_short(dataset.samples[int(row)].digest) in known.files for row in rows], dtype=np.bool_)
    same, alike = _recognized(known.marks, rows, files, pixels, progress)
    kept = rows[~(files | same | alike)]
    return LeftOut(
        tuple(rows[files].tolist()), tuple(rows[same].tolist()), tuple(rows[alike].tolist()),
        sum(dataset.samples[int(row)].group in known.groups for row in kept), known.notes(len(kept)),
    )  # fmt: skip


def _recognized(
    learned: LearnedFrom | None, rows: NDArray[np.int64], files: NDArray[np.bool_], pixels: Pixels, progress: Progress
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Among the rows whose files are new: those with known pixels, and those that look alike."""
    from keensight.data.pixels import scan

    same, alike = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    asked = np.flatnonzero(~files)
    if learned is None or not len(asked):
        return same, alike
    digests, *prints = scan(
        pixels,
        rows[asked],
        _measures(learned.medians, learned.radius),
        purpose="checking for training images",
        progress=progress,
    )
    held = {row.tobytes() for row in learned.pixels}
    same[asked] = [row.tobytes() in held for row in digests]
    for found in prints:
        near = marks.nearest(found, learned.prints) <= learned.radius
        alike[asked] = marks.is_print(found) & near & ~same[asked]
    return same, alike


def _measures(medians: marks.Floats, radius: int) -> list[Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]:
    """Digests of pixels, and fingerprints where usable."""
    if radius == marks.OFF:
        return [marks.pixel_digests]
    return [marks.pixel_digests, lambda images: marks.fingerprints(marks.frequencies(images), medians)]


def _known(model: str | Path | Run | Classifier) -> _Known:
    from keensight.nets.classifier import Classifier
    from keensight.store.bundle import open_bundle
    from keensight.store.run import Run, is_run, open_run

    if isinstance(model, Classifier):
        return _Known("a model without its bundle", frozenset(), None, frozenset(), recorded=False, adopted=False)
    path = model.path if isinstance(model, Run) else Path(model)
    package = open_bundle(path)
    learned = package.learned()
    files = frozenset() if learned is None else frozenset(row.tobytes() for row in learned.files)
    adopted = bool(package.manifest.provenance.get("adopted"))
    if not isinstance(model, Run) and not is_run(path):
        return _Known(str(path), files, learned, frozenset(), recorded=learned is not None, adopted=adopted)
    run = model if isinstance(model, Run) else open_run(path)
    return _Known(
        str(path), files | {_short(digest) for digest in run.learned_digests()}, learned, _groups(run),
        recorded=True, adopted=adopted,
    )  # fmt: skip


def _short(digest: str) -> bytes:
    return bytes.fromhex(digest)[: marks.DIGEST]


def _groups(run: Run) -> frozenset[str]:
    """Names of the groups that a run was trained on."""
    dataset, split = run.dataset, run.split
    names = {dataset.samples[index].group for index in (*split.train, *split.val)}
    return frozenset(name for name in names if name is not None)
