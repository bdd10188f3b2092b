"""The images of a run: its dataset with a reader, from the source that it was trained on."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core.config import RunConfig, read_config
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Reader, Sample
from keensight.errors import DataError, ImageError, KeensightError
from keensight.workflow.steps import Source, open

if TYPE_CHECKING:
    from keensight.store.run import Run


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Reads only images that have not changed since the run."""

    reader: Reader | None
    paths: frozenset[str]

    def load(self, sample: Sample) -> bytes | NDArray[np.uint8]:
        """The image from the source.

        Raises:
            ImageError: it is missing or has changed.
        """
        if self.reader is None or sample.path not in self.paths:
            raise ImageError("the image is missing or has changed")
        return self.reader.load(sample)


def config_of(run: Run) -> RunConfig:
    """The settings that a run used."""
    return RunConfig().with_values(read_config(run.config_path))


def with_images(run: Run, source: Source, progress: Progress) -> Dataset:
    """The run's dataset, with the images of the source that have not changed since.

    Raises:
        DataError: there are none.
    """
    dataset, settings = run.dataset, config_of(run).data
    now = open(
        source, label=settings.label, labels=settings.labels, path=settings.path, group=settings.group,
        label_regex=settings.label_regex, label_level=settings.label_level, val=settings.val, test=settings.test,
        progress=progress,
    )  # fmt: skip
    digests = {sample.path: sample.digest for sample in now.samples}
    known = [sample for sample in dataset.samples if digests.get(sample.path) == sample.digest]
    if not known:
        raise DataError(f"{now.name} has no images of the run {run.path}", "give the image set that it was trained on")
    if len(known) < len(dataset):
        progress.say(f"{len(dataset) - len(known):,} images of the run are missing or have changed")
    return dataclasses.replace(dataset, reader=Unchanged(now.reader, frozenset(sample.path for sample in known)))


def recorded_source(run: Run) -> str | None:
    """The source in the command that made a run, if it is still there; None: it is not known, or gone.

    What is found there is compared with the run's digests before it is used (:func:`with_images`).
    """
    try:
        program, verb, *words = shlex.split(run.record.command)
    except ValueError:
        return None
    if (program, verb) != ("keensight", "train"):
        return None
    return next((word for word in words if not word.startswith("-") and Path(word).exists()), None)


def images_of(run: Run, source: Source | None, progress: Progress) -> Dataset | None:
    """The run's dataset with its images, from the source given or else from the recorded one; None: not available."""
    if source is not None:
        return with_images(run, source, progress)
    found = recorded_source(run)
    if found is None:
        return None
    try:
        return with_images(run, found, progress)
    except KeensightError:
        return None
