"""A training that a group of worker processes does together: what they need to know, written to a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from keensight.core.codec import from_plain, to_plain
from keensight.core.config import RunConfig
from keensight.core.files import read_json, storing, write_json
from keensight.core.progress import Progress
from keensight.core.records import Epoch, History, Split
from keensight.errors import StoreError
from keensight.nets.training.fit import Schedule, schedule, settled
from keensight.nets.training.verdict import hopeless

if TYPE_CHECKING:
    import keras

NETWORK, SETTINGS, TARGETS = "network.keras", "job.json", "targets.npz"
OUTCOME, WEIGHTS = "outcome.json", "weights.npz"


@dataclass(frozen=True, slots=True)
class Before:
    """What a phase has to improve on, or is left early."""

    reached: float
    """Accuracy or mAP."""
    images: int
    """Validation images."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of a job."""

    config: RunConfig
    """No ``auto`` is left in it."""
    numbers: Schedule
    phase: str
    classes: int
    before: Before | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A network to train, on which images, and how."""

    model: keras.Model
    rows: NDArray[np.int64]
    """Dataset indices of the training set, shape (n,)."""
    val_rows: NDArray[np.int64]
    """Dataset indices of the validation set."""
    targets: NDArray[Any]
    """Class number (or indicators) of every sample of the dataset."""
    plan: Plan

    @property
    def images(self) -> NDArray[np.int64]:
        """Dataset indices of all images that the workers read: training set, then validation set."""
        return np.concatenate([self.rows, self.val_rows])


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A job that is done."""

    history: History
    weights: list[NDArray[np.float32]]
    """Of the best epoch, in the order of ``model.weights``."""


class Team(Protocol):
    """Trains jobs on a group of worker processes."""

    def __call__(self, job: Job, *, on_epoch: Callable[[Epoch], None] | None, progress: Progress | None) -> Outcome:
        """Train; the job's own model stays as it is."""
        ...


def together(
    team: Team, job: Job, *, on_epoch: Callable[[Epoch], None] | None = None, progress: Progress | None = None
) -> History:
    """Let a team do a job; the job's model ends with its best weights.

    Raises:
        TrainingError: the loss became NaN or infinite, the workers disagree, or too many of them were lost.
        DataError: a worker cannot read the images.
    """
    done = team(job, on_epoch=on_epoch, progress=progress)
    job.model.set_weights(done.weights)
    return settled(done.history)


def fit_together(  # noqa: PLR0913 - callbacks by keyword
    model: keras.Model,
    targets: NDArray[Any],
    split: Split,
    config: RunConfig,
    team: Team,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
    progress: Progress | None = None,
) -> History:
    """What :func:`keensight.nets.training.fit.fit` does, by a team of workers."""
    rows = split.part("train")
    numbers = schedule(config.train, config.model.name, len(rows))
    plan = Plan(config, numbers, "train", int(model.output_shape[-1]))
    return together(team, Job(model, rows, split.part("val"), targets, plan), on_epoch=on_epoch, progress=progress)


def write_job(job: Job, folder: Path) -> None:
    """Write a job for the workers.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        job.model.save(folder / NETWORK)
        np.savez(folder / TARGETS, train=job.targets[job.rows], val=job.targets[job.val_rows])
    write_json(folder / SETTINGS, to_plain(job.plan))


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A job as a worker reads it; its images are numbered from 0, the training set first."""

    plan: Plan
    targets: NDArray[Any]
    """Targets of the training set."""
    val_targets: NDArray[Any]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Numbers of the training images."""
        return np.arange(len(self.targets))

    @property
    def val_rows(self) -> NDArray[np.int64]:
        """Numbers of the validation images."""
        return np.arange(len(self.val_targets)) + len(self.targets)

    def hopeless(self, reached: list[float], epochs: int) -> bool:
        """Whether to leave the phase."""
        known = self.plan.before
        return known is not None and hopeless(reached, epochs, known.reached, known.images)


def read_job(folder: Path) -> Given:
    """What :func:`write_job` wrote, but for the network.

    Raises:
        StoreError: it is not there, or damaged.
    """
    try:
        with (folder / TARGETS).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            train, val = arrays["train"], arrays["val"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise StoreError(f"the job in {folder} cannot be read: {error}", "train again") from error
    return Given(from_plain(Plan, read_json(folder / SETTINGS), "job"), train, val)


def write_outcome(done: Outcome, folder: Path) -> None:
    """Write a result; complete once ``outcome.json`` is there."""
    with storing(folder):
        np.savez(folder / WEIGHTS, *done.weights)
    write_json(folder / OUTCOME, to_plain(done.history))


def read_outcome(folder: Path) -> Outcome | None:
    """What :func:`write_outcome` wrote; None: it has not."""
    if not (folder / OUTCOME).is_file():
        return None
    history = from_plain(History, read_json(folder / OUTCOME), "history")
    with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
        return Outcome(history, [arrays[f"arr_{number}"] for number in range(len(arrays.files))])
