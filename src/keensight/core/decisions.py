"""What a run's results depend on beside its images: ``decisions.json``, by which it is resumed and repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 2
"""Number of the layout of ``decisions.json``; 2 added ``workers``, which an earlier version would not use."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """The settings as given, and everything that was decided by timing or by what is installed.

    A training is a deterministic function of the images and this record. What is None was not decided yet.
    """

    schema: int
    settings: Mapping[str, Any]
    """Setting to value as given, such as ``train.epochs`` to None, before any ``auto`` was resolved."""
    dataset: str
    """SHA-256 over paths, contents, labels, groups and predefined splits of all images, in their order."""
    environment: Mapping[str, str]
    """What else the results depend on: versions, CPU, environment variables."""
    source: str = ""
    """Where the images are: a path relative to the run's folder, or the name of a sample dataset; empty: in memory."""
    folder: str = ""
    """The working directory, relative to the run's folder: settings may name files relative to it."""
    threads: int | None = None
    """Number of threads of TensorFlow's operations."""
    engine: str | None = None
    """What ran frozen layers, with its version."""
    model: str | None = None
    """The architecture."""
    model_reason: str = ""
    """Why it was chosen."""
    precision: str | None = None
    """``float32``, ``bfloat16`` or ``float16``."""
    split: str | None = None
    """Digest of the split that was trained on (``split_digest``)."""
    device: str | None = None
    """What TensorFlow computes on: ``CPU``, or the names of GPUs."""
    workers: int | None = None
    """Number of worker processes that train together; None: the training is in one process."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that a run's results depend on, and that is not the same here."""

    what: str
    recorded: str
    """In the run; empty: not there."""
    here: str
    """In this process; empty: not there."""
    consequence: str
    """What it means for the results."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of a run with its repetition."""

    what: str
    """``split``, ``weights``, ``test metrics``, ``history``, or ``decision``: temperature and decision rule."""
    first: Any
    second: Any

    @property
    def same(self) -> bool:
        """Whether both are equal."""
        return bool(self.first == self.second)


@dataclass(frozen=True, slots=True)
class Rerun:
    """A run and its repetition from the same settings, decisions and images."""

    first: str
    """Folder of the run."""
    second: str
    """Folder of the repetition."""
    checks: tuple[Check, ...]
    differences: tuple[Difference, ...] = field(default=())
    """What was not the same as in the first run: the bits may then differ."""

    @property
    def same(self) -> bool:
        """Whether all checks agree."""
        return all(check.same for check in self.checks)

    def __repr__(self) -> str:
        other = [check.what for check in self.checks if not check.same]
        told = "same results" if self.same else f"different: {', '.join(other)}"
        return f"<Rerun of {self.first}: {told}>"
