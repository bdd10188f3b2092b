"""How far a training is, to resume it with the same results; its arrays are kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from keensight.core.records import Epoch

Arrays = Mapping[str, NDArray[Any]]


class StoppedEarly(Exception):
    """Raised by a callback after an epoch, to end a training whose result is not needed; says why."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Where a training begins."""

    epoch: int = 0
    """Number of its first epoch, counted from 0."""
    step: int = 0
    """Number of its first step, counted from 0 through all epochs."""
    stopped: bool = False
    """Whether it had already ended early."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """The place in a training at which its variables were saved."""

    phase: str
    """Name of the phase in the history: a training has one checkpoint folder, whatever phases it has."""
    epoch: int
    """Number of the epoch under way or just finished, counted from 0."""
    step: int
    """Steps of it that are done."""
    steps: int
    """Steps of an epoch."""
    epochs: tuple[Epoch, ...]
    """The finished epochs."""
    best_epoch: int
    """The best of them so far, counted from 1; 0: none is finished."""
    stopped: str
    """Why the training ended; ``completed`` while it goes on, too."""
    averaged: bool
    """Whether the model has its averaged weights, and the optimizer the others, as after an epoch."""

    @property
    def ended(self) -> bool:
        """Whether the epoch under way is finished, with its validation."""
        return len(self.epochs) > self.epoch

    @property
    def next(self) -> Begun:
        """Where the training goes on."""
        epoch = self.epoch + self.ended
        step = epoch * self.steps + (0 if self.ended else self.step)
        return Begun(epoch, step, self.ended and self.stopped != "completed")


class Checkpoints(Protocol):
    """Where states of a training are kept (:mod:`keensight.store.checkpoint`)."""

    def newest(self, phase: str) -> tuple[TrainingState, Arrays] | None:
        """The last good state of a phase; None: it starts from the beginning."""
        ...

    def due(self, epoch_ended: bool) -> bool:
        """Whether to save now."""
        ...

    def save(self, state: TrainingState, arrays: Arrays) -> None:
        """Keep a state and its arrays."""
        ...

    def drop(self, reason: str) -> None:
        """Forget all states, which do not fit the training; the reason is reported."""
        ...
