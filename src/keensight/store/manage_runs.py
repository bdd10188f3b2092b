"""Delete and rename runs, none that a process is working on."""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from keensight.core.codec import to_plain
from keensight.core.files import storing, write_json
from keensight.errors import StoreError, UsageError
from keensight.store.run import DELETED, RECORD_FILE, Run, open_run
from keensight.store.run_lock import LOCK_FILE, locked_run, refuse_busy

_UNPORTABLE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]|^[.\-~\s]|[.\s]$')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])\s*(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever extension they have."""
_LONGEST = 100


def delete_run(run: str | Path | Run, *, take_over: bool = False) -> int:
    """Delete a run: its folder, and whatever else is in it.

    The folder is first renamed to a hidden name, so that a deletion that is cut short leaves no half of a run; the next
    one in the same directory finishes it. Symbolic links in the folder are removed, not what they point to.

    Args:
        run: A run or its folder.
        take_over: Also one that another computer did not finish, whose process cannot be seen from here.

    Returns:
        The bytes freed.

    Raises:
        StoreError: it is not a run, a process is working on it, or another run is inside it; or the system refuses.

    Examples:
        >>> import shutil
        >>> _ = shutil.copytree("runs/first", "runs/copy")
        >>> ks.delete_run("runs/copy") > 10_000
        True
    """
    found = removable(run, take_over=take_over)
    for left in _leftovers(found.path.parent):
        shutil.rmtree(left, ignore_errors=True)
    freed = found.bytes
    hidden = found.path.with_name(f"{DELETED}{secrets.token_hex(6)}")
    _move(found, hidden, take_over)
    _remove(hidden, found.path)
    return freed


def rename_run(run: str | Path | Run, name: str, *, take_over: bool = False) -> Run:
    """Give a run's folder another name, in the same directory.

    What was written into its saved model and its report when they were made keeps the old name.

    Args:
        run: A run or its folder.
        name: The new name, or the new path in the same directory.
        take_over: Also one that another computer did not finish, whose process cannot be seen from here.

    Returns:
        The run in its new place.

    Raises:
        StoreError: it is not a run, a process is working on it, or the new name is taken; or the system refuses.
        UsageError: a name that some system does not allow, or in another directory.

    Examples:
        >>> import shutil
        >>> _ = shutil.copytree("runs/first", "runs/copy")
        >>> ks.rename_run("runs/copy", "kept").record.name
        'kept'
    """
    found = removable(run, take_over=take_over)
    place = _place(found.path, name)
    if os.path.lexists(place):
        raise StoreError(f"{place} already exists", "choose another name")
    _move(found, place, take_over)
    record = dataclasses.replace(open_run(place).record, name=place.name)
    write_json(place / RECORD_FILE, to_plain(record))
    return Run(place, record)


def removable(run: str | Path | Run, *, take_over: bool = False) -> Run:
    """A run that can be deleted or renamed.

    Args:
        run: A run or its folder.
        take_over: Also one that another computer did not finish, whose process cannot be seen from here.

    Raises:
        StoreError: it is not one.
    """
    path = run.path if isinstance(run, Run) else Path(run)
    if path.is_symlink():
        raise StoreError(f"{path} is a symbolic link", f"give the folder that it points to: {path.readlink()}")
    found = open_run(path)
    if path.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise StoreError(f"the run {path} contains the working directory", "change to another directory first")
    if (inner := next(_inner_runs(path), None)) is not None:
        raise StoreError(f"the run {path} contains another run, {inner}", "move that one elsewhere first")
    with locked_run(path):
        refuse_busy(found, unseen=take_over)
    return found


def _inner_runs(path: Path) -> Iterator[Path]:
    for folder, _, files in os.walk(path):  # follows no symbolic links
        if RECORD_FILE in files and Path(folder) != path:
            yield Path(folder)


def _move(run: Run, place: Path, take_over: bool) -> None:
    """Rename a run's folder, while no process works on it."""
    with locked_run(run.path):
        refuse_busy(open_run(run.path), unseen=take_over)
        if sys.platform != "win32":
            _rename(run.path, place)
            return
    _rename(run.path, place)  # Windows moves no folder in which a file is open, as the lock is


def _rename(path: Path, place: Path) -> None:
    with storing(place):
        path.rename(place)
    (place / LOCK_FILE).unlink(missing_ok=True)


def _place(path: Path, name: str) -> Path:
    given = Path(name)
    beside = given.name == name or given.parent.resolve() == path.parent.resolve()
    if not beside:
        raise UsageError(f"{name} is in another directory", "a run keeps its directory: give a name only")
    if not _portable(given.name):
        raise UsageError(
            f"{name!r} is not a name for a run",
            f'give 1 to {_LONGEST} characters without < > : " / \\ | ? *, beginning with a letter or a digit, '
            "and no name of a device of Windows, such as CON",
        )
    return path.with_name(given.name)


def _portable(name: str) -> bool:
    """Whether every system allows a name."""
    return 0 < len(name) <= _LONGEST and not _UNPORTABLE.search(name) and not _DEVICE.fullmatch(name)


def _leftovers(directory: Path) -> list[Path]:
    """Folders of deletions that were cut short."""
    with suppress(OSError):
        return [path for path in directory.glob(f"{DELETED}*") if path.is_dir() and not path.is_symlink()]
    return []


def _remove(hidden: Path, path: Path) -> None:
    with suppress(OSError):  # the record first, so that no run is left
        (hidden / RECORD_FILE).unlink()
    try:
        shutil.rmtree(hidden)
    except OSError as error:
        raise StoreError(
            f"the run {path} was not deleted completely: {error.filename or hidden}: {error.strerror or error}",
            f"delete {hidden} yourself",
        ) from error
