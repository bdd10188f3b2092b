"""A study on disk: its record, audit and split, the sampler's journal, and a run for each trial."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from keensight.core.audit import AuditReport
from keensight.core.codec import to_plain
from keensight.core.files import check_writable, storing, write_json, write_text
from keensight.core.locks import holder, locked
from keensight.core.records import Dataset, Split, split_digest
from keensight.core.study import SCHEMA, StudyRecord, Trial
from keensight.errors import StoreError
from keensight.store import run_tables
from keensight.store.json_records import read_record, read_versioned
from keensight.store.run import Run, open_run
from keensight.store.safety import inside

RECORD_FILE, JOURNAL, PAGE = "study.json", "journal.log", "study.html"
TRIALS = "trials"
_LOCK = ".lock"
_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class Study:
    """A study's folder and its record as last read or written.

    Examples:
        >>> len(study.trials), study.run.record.results["chosen"]["metric"]
        (2, 'accuracy')
    """

    path: Path
    record: StudyRecord

    @property
    def run(self) -> Run:
        """The run of the chosen trial: the only one that was tested.

        Raises:
            StoreError: none was chosen yet.
        """
        if self.record.chosen is None:
            raise StoreError(f"the study {self.path} has not chosen a trial yet", self.next_step)
        return open_run(self.trial_path(self.record.chosen))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in the order in which they began."""
        return self.record.trials

    @property
    def next_step(self) -> str:
        """How to continue it if it is not finished; empty if it is."""
        if self.record.state == "finished":
            return ""
        return f"continue it with: keensight tune --resume {shlex.quote(str(self.path))}"

    @property
    def page_path(self) -> Path:
        """The page with its trials and figures."""
        return self.path / PAGE

    @property
    def journal_path(self) -> Path:
        """The sampler's journal (an Optuna ``JournalStorage``)."""
        return self.path / JOURNAL

    def trial_path(self, number: int) -> Path:
        """The folder of a trial's run."""
        return self.path / TRIALS / f"{number:04d}"

    def update(self, **changes: Any) -> Study:
        """Write the record with changed fields; returns a handle with it.

        Raises:
            StoreError: it cannot be written.
        """
        record = dataclasses.replace(self.record, **changes, schema=SCHEMA)
        write_json(self.path / RECORD_FILE, to_plain(record))
        return Study(self.path, record)

    def with_trial(self, trial: Trial) -> Study:
        """Write the record with a trial added, or in place of the one with its number."""
        others = [one for one in self.record.trials if one.number != trial.number]
        return self.update(trials=tuple(sorted([*others, trial], key=lambda one: one.number)))

    def save_division(self, dataset: Dataset, findings: AuditReport, split: Split) -> None:
        """Write the audit and the split that all trials share."""
        text = json.dumps(to_plain(findings), ensure_ascii=False, allow_nan=False, indent=1)
        write_text(self.path / "audit.json", text + "\n")
        run_tables.write_dataset(self.path / "dataset.parquet", dataset)
        write_json(self.path / "split.json", {"digest": split_digest(split, dataset), "method": split.method})
        run_tables.write_split(self.path / "split.csv", split, dataset)

    def division(self) -> tuple[AuditReport, Split]:
        """Audit and split, as :meth:`save_division` wrote them.

        Raises:
            StoreError: a file is missing or damaged.
        """
        split = run_tables.read_split(
            inside(self.path, "split.csv"), read_record(inside(self.path, "split.json"), _Made).method
        )
        return read_record(inside(self.path, "audit.json"), AuditReport), split

    def __repr__(self) -> str:
        best, record = self.record.best, self.record
        found = "" if best is None else f", best validation {record.metric} {best.value:.4f}"
        return f"<Study {self.path} {record.state}: {len(record.trials)} of {record.wanted} trials{found}>"


@dataclass(frozen=True, slots=True)
class _Made:
    """``split.json``."""

    method: str


def study_folder(directory: Path | None, name: str) -> Path:
    """The folder of a new study; nothing is written.

    Args:
        directory: A new or empty folder; None: ``studies/NAME-DATE-TIME``.
        name: Name of the image set.

    Raises:
        StoreError: it is not empty, or cannot be written.
    """
    slug = re.sub(r"[^\w.]+", "-", name).strip("-.")[:60] or "study"
    path = Path("studies") / f"{slug}-{datetime.now():%Y%m%d-%H%M%S}" if directory is None else directory
    check_writable(path, folder=True)
    if (path / RECORD_FILE).is_file():
        raise StoreError(
            f"{path} contains a study already", f"continue it with `keensight tune --resume {path}`, or choose another"
        )
    if path.is_dir() and any(path.iterdir()):
        raise StoreError(f"{path} is not empty already", "choose another --study; nothing is ever overwritten")
    return path


def create_study(path: Path, record: StudyRecord) -> Study:
    """Write a new study's record.

    Raises:
        StoreError: it cannot be written.
    """
    with storing(path):
        (path / TRIALS).mkdir(parents=True, exist_ok=True)
    return Study(path, record).update()


def open_study(path: str | Path) -> Study:
    """Open a study's folder.

    Raises:
        StoreError: it is not a study, is damaged, or was written by a newer Keensight.

    Examples:
        >>> ks.open_study(study.path).record.state
        'finished'
    """
    place = Path(path)
    if not (place / RECORD_FILE).is_file():
        raise StoreError(f"{place} is not a study: it has no {RECORD_FILE}", "give a folder that keensight tune made")
    return Study(place, read_versioned(inside(place, RECORD_FILE), StudyRecord, newest=SCHEMA, limit=_LIMIT))


@contextmanager
def locked_study(path: Path) -> Iterator[None]:
    """Hold a study while working on it.

    Raises:
        StoreError: another process is working on it.
    """
    with locked(path / _LOCK) as held:
        if not held:
            raise StoreError(
                f"the study {path} is in use: {holder(path / _LOCK)} is working on it",
                "wait until it is finished, or stop it",
            )
        yield
