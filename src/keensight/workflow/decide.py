"""Decisions of a run that depend on timing or on what is installed: made once, recorded at once, and kept from then on.

A resumed or repeated run takes them from its record, so that it computes the same bits.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from keensight.core.config import RunConfig
from keensight.core.decisions import SCHEMA, Decisions
from keensight.core.files import sha256
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Split, split_digest
from keensight.errors import StoreError
from keensight.workflow.choose_model import choose_model
from keensight.workflow.environment import environment
from keensight.workflow.steps import Source

if TYPE_CHECKING:
    from keensight.nets.models.backbones import Choice
    from keensight.store.run import Run

_KEPT = "as before in this run"
_TABLES = ("data.val", "data.test")
_FILES = (*_TABLES, "data.corrections")
_INSIDE = "./"
"""Marks a path in the run's own folder, which would otherwise look like the name of a sample dataset."""


class Decider:
    """Makes the decisions of a run, or takes them from its record.

    Args:
        run: The run.
        decisions: What is known so far.
    """

    def __init__(self, run: Run, decisions: Decisions) -> None:
        self.run, self.decisions = run, decisions

    def note(self, **changes: Any) -> None:
        """Record decisions, unless they are recorded."""
        changed = dataclasses.replace(self.decisions, **changes)
        if changed != self.decisions:
            self.run.save_decisions(changed)
            self.decisions = changed

    @contextmanager
    def engine(self, asked: str, progress: Progress) -> Iterator[None]:
        """Run frozen layers on the run's engine inside the ``with`` block: the recorded one, else as ``train.engine``
        asks.

        Raises:
            UsageError: it is not installed, or TensorFlow sees no GPU for it.
        """
        from keensight.nets import engines

        known = self.decisions.engine

        def told(chosen: engines.Chosen) -> None:
            self.note(engine=known or chosen.engine.identity)
            say = progress.say if chosen.measured else progress.detail
            say(f"frozen layers run on {chosen.engine.name} ({chosen.reason})")

        with engines.using(known or engines.of_setting(asked), _KEPT if known else "as set", told):
            yield

    def use_threads(self, asked: int | None) -> Choice:
        """Set TensorFlow's threads, before anything is computed.

        Args:
            asked: The setting.

        Raises:
            UsageError: TensorFlow has already started with another number, in this process.
        """
        from keensight.data.cache import cache_directory
        from keensight.nets import runtime
        from keensight.nets.models.backbones import Choice

        known = self.decisions.threads
        chosen = runtime.use_threads(known or asked, cache_directory() / "threads.json")
        self.note(threads=int(chosen.name), device=",".join(runtime.devices()))
        return chosen if known is None else Choice(chosen.name, _KEPT)

    def keep_threads(self) -> None:
        """Record TensorFlow's own number of threads; a resumed run uses as many.

        Raises:
            UsageError: TensorFlow has already started with another number, in this process.
        """
        from keensight.nets import runtime

        if self.decisions.threads is not None:
            runtime.use_threads(self.decisions.threads)
        self.note(threads=runtime.threads_in_force(), device=",".join(runtime.devices()))

    def model(self, dataset: Dataset, split: Split, config: RunConfig, progress: Progress) -> Choice:
        """Choose the architecture (:func:`choose_model`)."""
        from keensight.nets.models.backbones import Choice

        if self.decisions.model is not None:
            return Choice(self.decisions.model, self.decisions.model_reason)
        chosen = choose_model(dataset, split, config, progress, self.use_threads)
        self.note(model=chosen.name, model_reason=chosen.reason)
        return chosen

    def with_precision(self, config: RunConfig) -> RunConfig:
        """The settings with the recorded precision, if there is one."""
        known = self.decisions.precision
        return config if known is None else config.with_values({"train.precision": known})

    def keep_batch_size(self, size: int) -> None:
        """Record a batch size that memory forced, as if it had been given: a resumed or repeated run begins with it."""
        self.note(settings={**self.decisions.settings, "train.batch_size": size})

    def keep_split(self, split: Split, dataset: Dataset) -> None:
        """Record the split that is trained on.

        Raises:
            StoreError: the record has another one.
        """
        digest = split_digest(split, dataset)
        if self.decisions.split not in (None, digest):
            raise StoreError(
                f"the images of {self.run.path} are split in another way than when it was started",
                "the groups or predefined splits of the source have changed, or this is another version of Keensight: "
                "train again",
            )
        self.note(split=digest)


def begun(dataset: Dataset, config: RunConfig, source: Source, run: Path) -> Decisions:
    """What is decided when a run begins.

    Args:
        dataset: The image set.
        config: The settings as given.
        source: What was opened.
        run: The run's folder.
    """
    return Decisions(
        SCHEMA,
        config.by_name(),
        identity(dataset),
        environment(config),
        source=_source(source, run),
        folder=_relative(Path.cwd(), run),
    )


def identity(dataset: Dataset) -> str:
    """SHA-256 of all that a training takes from an image set, in its order."""
    lines = [f"{one.path}\0{one.digest}\0{one.label}\0{one.group or ''}\0{one.split or ''}" for one in dataset.samples]
    return sha256("\n".join([dataset.task, *lines]).encode("utf-8", "surrogateescape"))


def _source(source: Source, run: Path) -> str:
    if not isinstance(source, (str, os.PathLike)):
        return ""
    path = Path(source)
    return _relative(path, run) if path.exists() else str(source)


def _relative(path: Path, run: Path) -> str:
    """A path relative to a run's folder; empty if there is none, on another drive."""
    try:
        found = Path(os.path.relpath(path, _physical(run))).as_posix()
    except ValueError:
        return ""
    return found if found.startswith("..") else _INSIDE + found


def _physical(folder: Path) -> Path:
    """A folder as its ``..`` is resolved: POSIX systems follow symbolic links first, Windows does not."""
    return Path(os.path.realpath(folder)) if os.name == "posix" else folder


class Placed(Protocol):
    """What has its own folder: a run or a study."""

    @property
    def path(self) -> Path:
        """The folder."""
        ...


def source_of(run: Placed, decisions: Decisions) -> str:
    """Where the images of a run are.

    Raises:
        StoreError: they were in memory, or are not there any more.
    """
    recorded = decisions.source
    if not recorded:
        raise StoreError(
            f"the images of {run.path} were given in memory, or on another drive", "give them again as the source"
        )
    if not recorded.startswith(("..", _INSIDE)):
        return recorded  # a sample dataset
    path = _physical(run.path) / recorded
    if not path.exists():
        raise StoreError(f"the images of {run.path} are not where they were: {recorded}", "give their place as SOURCE")
    return os.path.relpath(path)


def settings_of(run: Placed, decisions: Decisions, source: Source | None = None) -> RunConfig:
    """The settings as they were given to a run; files that they name relative to the working directory of that time are
    found from here.

    Args:
        run: A run or a study.
        decisions: Its decisions.
        source: Where its images have been moved to; tables that were moved with them are found there.

    Raises:
        UsageError: a setting does not exist in this version.
    """
    values = dict(decisions.settings)
    folder = _physical(run.path) / decisions.folder if decisions.folder else None
    for name in _FILES:
        if values.get(name) and folder is not None:
            values[name] = _found(values[name], folder)
    weights = str(values.get("model.weights", ""))
    if folder is not None and weights not in ("imagenet", "none"):
        before, place = ("run:", weights.removeprefix("run:")) if weights.startswith("run:") else ("", weights)
        values["model.weights"] = before + _found(place, folder)
    if folder is not None and decisions.source and isinstance(source, (str, os.PathLike)):
        for name in _TABLES:
            if values.get(name) and not Path(values[name]).exists():
                values[name] = _moved(values[name], folder, _physical(run.path) / decisions.source, Path(source))
    return RunConfig().with_values(values)


def _moved(table: str, folder: Path, old_source: Path, source: Path) -> str:
    """A table that is not where it was, if it lies beside the source's new place as it did beside the old one."""
    try:
        beside = source.parent / os.path.relpath(folder / table, os.path.normpath(old_source.parent))
    except ValueError:  # on another drive
        return table
    return os.path.relpath(beside) if beside.exists() else table


def _found(name: str, folder: Path) -> str:
    """A file named relative to another working directory, as it is named from this one."""
    path = Path(name)
    if path.is_absolute() or not (folder / path).exists() or path.resolve() == (folder / path).resolve():
        return name
    return os.path.relpath(folder / path)
