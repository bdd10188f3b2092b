"""One process at a time works on a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keensight.core.codec import to_plain
from keensight.core.files import write_json
from keensight.core.locks import holder, locked
from keensight.errors import StoreError
from keensight.store.liveness import same_system, this_process
from keensight.store.run import RECORD_FILE, SCHEMA, Run, as_argument, now, open_run

LOCK_FILE = ".lock"


@contextmanager
def locked_run(path: Path) -> Iterator[None]:
    """Hold a run's folder while working on it; if this process ends, however it does, others may have it.

    Raises:
        StoreError: another process, or another thread of this one, is working on it.
    """
    with locked(path / LOCK_FILE) as held:
        if not held:
            raise _busy(path, holder(path / LOCK_FILE))
        yield


def take_over(run: Run, *, unseen: bool = False) -> Run:
    """Record that the current process continues a run; its state is ``created`` again.

    Args:
        run: Not one that another process is working on.
        unseen: Also one of another computer, whose process cannot be seen from here, or one that a living process
            began and left.

    Raises:
        StoreError: another process is working on it, or may be.
    """
    with locked_run(run.path):
        run = open_run(run.path)
        refuse_busy(run, unseen=unseen)
        begun = now()
        record = dataclasses.replace(
            run.record, schema=SCHEMA, state="created", message="", process=this_process(), updated=begun,
            resumed=(*run.record.resumed, begun),
        )  # fmt: skip
        write_json(run.path / RECORD_FILE, to_plain(record))
        return Run(run.path, record)


def refuse_busy(run: Run, *, unseen: bool = False) -> None:
    """Refuse a run that another process is working on by its record; call it within :func:`locked_run`.

    Args:
        run: As just read.
        unseen: Accept one whose process cannot be seen from here, or lives on after its training has failed: the lock,
            which it would have, is held by the caller.

    Raises:
        StoreError: another process is working on it, or may be.
    """
    process, alive = run.record.process, run.alive
    if unseen or process is None:
        return
    name = as_argument(run.path)
    take_over = (
        f"`keensight train --resume {name} --take-over` continues it, and `keensight runs delete {name} --take-over` "
        "deletes it"
    )
    if alive and process != this_process():
        raise _busy(
            run.path,
            f"process {process.id} on {process.host}",
            f"wait until it has finished, or stop it; if its training has failed but the process lives on, {take_over}",
        )
    # Of another container on this system, the lock would have told.
    if alive is None and not same_system(process):
        raise StoreError(
            f"the run {run.path} was started on {process.host}, and whether process {process.id} is still working on "
            "it cannot be seen from here",
            f"if it is not: {take_over}",
        )


def _busy(path: Path, who: str, hint: str = "wait until it has finished, or stop it") -> StoreError:
    return StoreError(f"the run {path} is in use: {who} is working on it", hint)
