"""A run on disk: a folder with every record of one training, consistent at any time."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from keensight.core.audit import AuditReport
from keensight.core.codec import to_plain
from keensight.core.decisions import SCHEMA as DECISIONS_SCHEMA
from keensight.core.decisions import Decisions
from keensight.core.evaluation import Evaluated, Evaluation, Slices
from keensight.core.files import append_line, storing, write_json, write_text
from keensight.core.labels import Correction, LabelSuspects, read_corrections, write_corrections
from keensight.core.predictions import Predictions
from keensight.core.records import Dataset, Epoch, History, LabelSet, RunRecord, Skipped, Split, split_digest
from keensight.core.sanitize import visible
from keensight.core.task import Task
from keensight.errors import StoreError
from keensight.store import liveness, run_tables
from keensight.store.json_records import checked, read_record, read_versioned, strict_json
from keensight.store.safety import inside

SCHEMA = 5
"""Number of the layout of a run that this version writes; 2: audits with scores, probes and columns, multi-label and
leak-cleaned metrics, label suspects, slices; 3: intervals of every metric, calibration, decisions; 4: predictions and
findings by row, because a table may list a path twice, and groups of duplicates (clusters); 5: boot and container of
the process, and when a run was resumed."""
State = Literal["created", "training", "finished", "failed", "interrupted"]
UNDER_WAY = ("created", "training")
RECORD_FILE = "run.json"
DELETED = ".keensight-deleted-"
"""How the names of folders begin that are being deleted."""
DECISIONS_FILE = "decisions.json"
_RESULTS = frozenset(
    {"bundle", "evaluation", "history.json", "held_out.csv", "labels.json", "suspects.csv", "report.html"}
)
_HALF_WRITTEN = tuple(
    f".{name}." for name in (*_RESULTS, RECORD_FILE, DECISIONS_FILE, "config.toml", "history.jsonl", "split.csv",
                             "split.json", "dataset.parquet", "audit.json", "applied_corrections.csv")
)  # fmt: skip
"""Prefixes of files and folders that are not yet at their place."""
_LIMIT = 8 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder and its record as last read or written; everything else is read on demand.

    Examples:
        >>> run = ks.open_run("runs/first")
        >>> run.state, run.record.results["test"]["n"]
        ('finished', 17)
    """

    path: Path
    record: RunRecord

    @property
    def state(self) -> str:
        """The record's state, or ``dead`` if its process no longer exists although it did not finish.

        It is derived on reading: a process that is killed cannot record that it was.
        """
        return "dead" if self.record.state in UNDER_WAY and self.alive is False else self.record.state

    @property
    def alive(self) -> bool | None:
        """Whether a process is working on it; None: it did not finish, and its process cannot be seen from here (it is
        of another computer or container, or was not recorded)."""
        if self.record.state not in UNDER_WAY:
            return False
        return None if self.record.process is None else liveness.alive(self.record.process)

    @property
    def bytes(self) -> int:
        """Size of all files in its folder; symbolic links are not followed."""
        return folder_bytes(self.path)

    @property
    def next_step(self) -> str:
        """How to continue it if it did not finish, in one sentence; empty if it did."""
        if self.record.state == "finished":
            return ""
        name, process = as_argument(self.path), self.record.process
        name += " --take-over" if self.alive is None else ""
        again = "it cannot be continued: train again"  # it was adopted, or is of an earlier version
        if (self.path / DECISIONS_FILE).is_file():
            again = f"`keensight train --resume {name}` continues it"
        again += f", and `keensight runs delete {name}` deletes it"
        if self.alive:
            return f"wait until it is finished; process {process.id if process else '?'} is working on it"
        if self.alive is None:
            where = "another process" if process is None else f"process {process.id} on {process.host}"
            return f"whether {where} is still working on it cannot be seen from here; if it is not, {again}"
        return again

    def update(
        self,
        *,
        state: State | None = None,
        message: str | None = None,
        model: str | None = None,
        results: Mapping[str, Any] | None = None,
    ) -> Run:
        """Change ``run.json``; other fields keep their values on disk.

        Returns:
            A handle with the new record.

        Raises:
            StoreError: the record cannot be read or written.
        """
        given = {"state": state, "message": message, "model": model, "results": results}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        record = dataclasses.replace(open_run(self.path).record, **changes, updated=now())
        write_json(self._place(RECORD_FILE), to_plain(record))
        return Run(self.path, record)

    def log(self, line: str) -> None:
        """Append a line to ``log.txt``, with the time (UTC)."""
        append_line(self._place("log.txt"), f"{now()} {visible(' '.join(line.splitlines()))}")

    def append_epoch(self, epoch: Epoch) -> None:
        """Append an epoch to ``history.jsonl``, immediately readable by others; in a resumed run, it takes the place of
        what was recorded of it and of later ones.
        """
        path = self._place("history.jsonl")
        with storing(path):
            *whole, torn = _lines(path) if path.is_file() else [""]
        if torn or len(whole) >= epoch.epoch:
            write_text(path, "".join(f"{line}\n" for line in whole[: epoch.epoch - 1]))
        append_line(path, _epoch_line(epoch))

    def save_history(self, history: History) -> None:
        """Save the epochs, which one is the best and why training stopped. Without training, ``history.jsonl`` is
        empty.
        """
        lines = "".join(f"{_epoch_line(epoch)}\n" for epoch in history.epochs)
        write_text(self._place("history.jsonl"), lines)
        write_json(self._place("history.json"), {"best_epoch": history.best_epoch, "stopped": history.stopped})

    def save_decisions(self, decisions: Decisions) -> None:
        """Write ``decisions.json``."""
        write_json(self._place(DECISIONS_FILE), to_plain(dataclasses.replace(decisions, schema=DECISIONS_SCHEMA)))

    @property
    def decisions(self) -> Decisions | None:
        """The settings as given and what was decided since; None: it was adopted, or made before there were any."""
        path = inside(self.path, DECISIONS_FILE)
        return read_versioned(path, Decisions, newest=DECISIONS_SCHEMA, limit=_LIMIT) if path.is_file() else None

    @property
    def checkpoints_path(self) -> Path:
        """The folder of the training's checkpoints (:mod:`keensight.store.checkpoint`)."""
        return self.path / "checkpoints"

    def clear_results(self) -> None:
        """Delete what comes after the training, and what a killed process has left half-written.

        Raises:
            StoreError: something cannot be deleted.
        """
        self.clear_half_written()
        with storing(self.path):
            for path in [self.path / name for name in _RESULTS]:
                if os.path.lexists(path):
                    _remove(path)

    def clear_half_written(self) -> None:
        """Delete what a killed process has left half-written.

        Raises:
            StoreError: something cannot be deleted.
        """
        with storing(self.path):
            for path in [*self.path.iterdir()]:
                if path.name.startswith(_HALF_WRITTEN):
                    _remove(path)

    def save_config(self, toml: str) -> None:
        """Write ``config.toml``."""
        write_text(self._place(self.config_path.name), toml)

    def save_dataset(self, dataset: Dataset) -> None:
        """Write ``dataset.parquet``: paths, classes, digests and headers of the images, not their pixels."""
        run_tables.write_dataset(self._place("dataset.parquet"), dataset)

    def save_audit(self, report: AuditReport) -> None:
        """Write ``audit.json``."""
        # Not sorted by key as other files are: the order of classes and sizes is meaningful.
        text = json.dumps(to_plain(report), ensure_ascii=False, allow_nan=False, indent=1)
        write_text(self._place("audit.json"), text + "\n")

    def save_split(self, split: Split, dataset: Dataset) -> None:
        """Write ``split.csv``, and in ``split.json`` how it was made."""
        write_json(self._place("split.json"), {"digest": split_digest(split, dataset), "method": split.method})
        run_tables.write_split(self._place("split.csv"), split, dataset)

    def save_evaluation(self, evaluation: Evaluation, report: str | None = None) -> None:
        """Write ``evaluation/``: the metrics, the confusion matrix, and one row per image.

        Args:
            evaluation: The metrics; with predictions for one row per image.
            report: The metrics as text for ``report.txt`` (:func:`keensight.assess.metrics.report_text`).

        Raises:
            StoreError: a file cannot be written.
        """
        folder = self._place("evaluation")
        if isinstance(evaluation, Evaluated):
            run_tables.write_predictions(folder / "predictions.csv", evaluation.predictions)
        run_tables.write_confusion(folder / "confusion.csv", evaluation)
        if report is not None:
            write_text(folder / "report.txt", report)
        write_json(folder / "evaluation.json", to_plain(evaluation))

    def save_label_suspects(self, found: LabelSuspects) -> None:
        """Write ``labels.json``, and the suspects as ``suspects.csv``."""
        write_json(self._place("labels.json"), to_plain(found))
        run_tables.write_suspects(self._place("suspects.csv"), found.suspects)

    def save_slices(self, found: Slices) -> None:
        """Write ``evaluation/slices.json``."""
        write_json(self._place("evaluation/slices.json"), to_plain(found))

    @property
    def slices(self) -> Slices | None:
        """The accuracy on slices of the test set; None: this run has none."""
        path = inside(self.path, "evaluation/slices.json")
        return read_record(path, Slices) if path.is_file() else None

    def save_corrections(self, corrections: Iterable[Correction]) -> None:
        """Save the corrections applied to the dataset, as ``applied_corrections.csv``."""
        write_corrections(self._place("applied_corrections.csv"), corrections)

    @property
    def label_suspects(self) -> LabelSuspects | None:
        """The result of the label check; None: this run has none."""
        path = inside(self.path, "labels.json")
        return read_record(path, LabelSuspects) if path.is_file() else None

    @property
    def applied_corrections(self) -> tuple[Correction, ...]:
        """The corrections applied to the dataset."""
        path = inside(self.path, "applied_corrections.csv")
        return read_corrections(path) if path.is_file() else ()

    @property
    def dataset(self) -> Dataset:
        """The image set, without images."""
        return run_tables.read_dataset(self._existing("dataset.parquet"))

    @property
    def audit(self) -> AuditReport:
        """The audit's findings."""
        return read_record(self._existing("audit.json"), AuditReport)

    @property
    def split(self) -> Split:
        """The split, as indices into ``dataset.samples``."""
        return run_tables.read_split(
            self._existing("split.csv"), read_record(self._existing("split.json"), _Made).method
        )

    @property
    def history(self) -> History:
        """The training history; of an interrupted run, the finished epochs."""
        epochs = _epochs(self._existing("history.jsonl"))
        summary = inside(self.path, "history.json")
        if summary.exists():
            end = read_record(summary, _End)
            return History(epochs, end.best_epoch, end.stopped)
        best = min(epochs, key=lambda epoch: epoch.val_loss, default=None)
        return History(epochs, best.epoch if best else 0, "interrupted")

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation on the test set."""
        return read_record(self._existing("evaluation/evaluation.json"), Evaluation)

    @property
    def predictions(self) -> Predictions:
        """The predictions behind ``evaluation``."""
        evaluation = self.evaluation
        found = run_tables.read_predictions(
            self._existing("evaluation/predictions.csv"), evaluation.labels, evaluation.task
        )
        if found.indices is None and inside(self.path, "dataset.parquet").is_file():
            found = dataclasses.replace(found, indices=run_tables.rows_of(found.paths, self.dataset))
        if evaluation.multilabel is None:
            rule = evaluation.abstention
            return found if rule is None else dataclasses.replace(found, decision=rule.decision)
        thresholds = tuple(row.threshold for row in evaluation.multilabel.per_label)
        return dataclasses.replace(found, thresholds=thresholds)

    def save_held_out(self, predictions: Predictions) -> None:
        """Write ``held_out.csv``: cross-validated predictions, before calibration, of the images that a model was
        fitted to."""
        run_tables.write_predictions(self._place("held_out.csv"), predictions)

    def held_out(self, labels: LabelSet, task: Task) -> Predictions | None:
        """What :meth:`save_held_out` wrote; None: the model was not fitted to validation images."""
        path = inside(self.path, "held_out.csv")
        return run_tables.read_predictions(path, labels, task) if path.is_file() else None

    def learned_digests(self) -> frozenset[str]:
        """SHA-256 of every training and validation image."""
        return run_tables.read_digests(self._existing("split.csv"), ("train", "val"))

    @property
    def config_path(self) -> Path:
        """The settings, fully resolved."""
        return self.path / "config.toml"

    @property
    def bundle_path(self) -> Path:
        """The bundle's folder."""
        return self.path / "bundle"

    @property
    def heatmaps_path(self) -> Path:
        """Heatmaps of mistakes, as gray images (:mod:`keensight.store.pictures`)."""
        return inside(self.path, "evaluation/heatmaps.zip")

    @property
    def pictures_path(self) -> Path:
        """Thumbnails of the images that the report shows (:mod:`keensight.store.pictures`)."""
        return inside(self.path, "evaluation/pictures.zip")

    @property
    def report_path(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def __repr__(self) -> str:
        test = self.record.results.get("test")
        told = self.record.message
        if isinstance(test, Mapping) and all(test.get(key) is not None for key in ("accuracy", "accuracy_ci", "n")):
            low, high = test["accuracy_ci"]
            told = f"test accuracy {test['accuracy']:.4f} (95% CI {low:.4f} to {high:.4f}, n = {test['n']:,})"
        headline = ", ".join(part for part in (self.record.model, f"on {self.record.source}", told) if part)
        return f"<Run {self.path} {self.state}: {headline}>"

    def _place(self, name: str) -> Path:
        """Where a file of the run is written; a run that was removed meanwhile is not begun again by it."""
        if not self.path.is_dir():
            raise StoreError(f"the run {self.path} was removed while it was written", "train again")
        return self.path / name

    def _existing(self, name: str) -> Path:
        path = inside(self.path, name)
        if not path.is_file():
            why = f": {self.record.message}" if self.record.message else ""
            raise StoreError(
                f"the run {self.path} has no {name}: its state is {self.state}{why}",
                self.next_step or "restore the file, or train again",
            )
        return path


def is_run(path: str | Path) -> bool:
    """Whether a folder contains a run."""
    return (Path(path) / RECORD_FILE).is_file()


def open_run(path: str | Path) -> Run:
    """Open a run's folder.

    Raises:
        StoreError: it is not a run, is damaged, or was written by a newer Keensight.

    Examples:
        >>> ks.open_run("runs/first").state
        'finished'
    """
    path = Path(path)
    try:
        there, found = path.exists(), is_run(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}", "check its permissions") from error
    if not there:
        raise StoreError(f"there is no run {path}", "`keensight runs` lists the runs there are")
    if not found and path.name == RECORD_FILE:  # as a shell completes it
        raise StoreError(f"{path} is not a run, but the record of one", f"give its folder: {as_argument(path.parent)}")
    if not found:
        raise StoreError(f"{path} is not a run: it has no {RECORD_FILE}", "`keensight runs` lists the runs there are")
    file = inside(path, RECORD_FILE)
    record = read_versioned(file, RunRecord, newest=SCHEMA, limit=_LIMIT)
    checked(file, _Results, record.results, "results")
    return Run(path, record)


def list_runs(directory: str | Path) -> list[Run]:
    """Every run in a folder, the newest first; those that cannot be opened are skipped (:func:`scan_runs`).

    Examples:
        >>> sorted(run.record.name for run in ks.list_runs("runs/"))
        ['first', 'second']
    """
    return scan_runs(directory)[0]


def scan_runs(directory: str | Path) -> tuple[list[Run], list[Skipped]]:
    """Every run in a folder, the newest first, and those that cannot be opened with the reason.

    Raises:
        StoreError: the folder cannot be read.
    """
    runs: list[Run] = []
    broken: list[Skipped] = []
    for path in _folders(Path(directory)):
        try:
            runs.append(open_run(path))
        except StoreError as error:
            broken.append(Skipped(path.name, error.message))
    runs.sort(key=lambda run: (run.record.created, run.path.name), reverse=True)
    return runs, broken


def folder_bytes(path: Path) -> int:
    """Size of all files in a folder; symbolic links are not followed."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            with suppress(OSError):  # it has just been replaced or removed
                total += Path(folder, name).lstat().st_size
    return total


def _folders(directory: Path) -> list[Path]:
    try:
        found = sorted(directory.iterdir()) if directory.exists() else []
        return [path for path in found if not path.name.startswith(DELETED) and _may_be_run(path)]
    except OSError as error:
        raise StoreError(f"{directory} cannot be read: {error.strerror or error}", "give a folder of runs") from error


def _may_be_run(path: Path) -> bool:
    """Whether a folder contains a run, or cannot be read: then it is listed with the reason."""
    try:
        return is_run(path)
    except OSError:
        return True


def as_argument(path: Path) -> str:
    """A path as it is typed in a shell; one that begins with a dash would be read as an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def now() -> str:
    """The current time in the format of runs."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _epoch_line(epoch: Epoch) -> str:
    plain = {name: _number(value) for name, value in to_plain(epoch).items() if value is not None}
    return json.dumps(plain, allow_nan=False)


def _number(value: Any) -> Any:
    """JSON has no NaN: undefined metrics are written as null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _epochs(path: Path) -> tuple[Epoch, ...]:
    """Finished epochs, without an incomplete last line."""
    *whole, _ = _lines(path)
    return tuple(_epoch(f"{path}, line {number}", line) for number, line in enumerate(whole, start=1))


_NO_TEXT = "\N{REPLACEMENT CHARACTER}"
"""What bytes that are not UTF-8 become."""


def _lines(path: Path) -> list[str]:
    try:
        # After a power cut, the end may be anything: as a line that is not JSON it is passed over or written again.
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error}", "the file is damaged; train again") from error


def _epoch(place: str, line: str) -> Epoch:
    if _NO_TEXT in line:
        raise StoreError(f"{place}: this is not UTF-8", "the file is damaged; train again")
    try:
        plain = strict_json(line)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{place}: this is not valid JSON: {error}", "the file is damaged; train again") from error
    if isinstance(plain, dict):
        plain = {name: math.nan if value is None else value for name, value in plain.items()}
    return checked(place, Epoch, plain)


@dataclass(frozen=True, slots=True)
class _Test:
    """``results.test``: what lists of runs show."""

    accuracy: float | None = None
    accuracy_ci: tuple[float, float] | None = None
    n: int | None = None


@dataclass(frozen=True, slots=True)
class _Results:
    """``results`` of ``run.json``: what is read of it again."""

    task: Task = Task.MULTICLASS
    test: _Test = _Test()
    data: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Made:
    """``split.json``."""

    method: str


@dataclass(frozen=True, slots=True)
class _End:
    """``history.json``."""

    best_epoch: int
    stopped: str
