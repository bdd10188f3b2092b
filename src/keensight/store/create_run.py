"""Create a new run's folder, safe against concurrent runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from keensight.core.codec import to_plain
from keensight.core.decisions import Decisions
from keensight.core.files import storing, write_json
from keensight.core.locks import locked
from keensight.core.records import RunRecord
from keensight.errors import StoreError
from keensight.store.liveness import this_process
from keensight.store.run import DECISIONS_FILE, RECORD_FILE, SCHEMA, Run, is_run, now, open_run
from keensight.store.run_lock import LOCK_FILE

_LEFTOVERS = (LOCK_FILE, ".claim", f".{RECORD_FILE}.", DECISIONS_FILE, f".{DECISIONS_FILE}.")


def create_run(  # noqa: PLR0913 - each is a field of the run's record
    directory: Path | None,
    *,
    name: str,
    source: str,
    model: str,
    command: str,
    seed: int,
    versions: Mapping[str, str],
    config_toml: str,
    decisions: Callable[[Path], Decisions] | None = None,
) -> Run:
    """Create a new run's folder with ``config.toml``, ``run.json`` and ``decisions.json``, state ``created``.

    Args:
        directory: An empty or new folder; None: ``runs/NAME-DATE-TIME`` in the working directory.
        name: Base of the run's name.
        source: Name of the dataset.
        model: Name of the architecture.
        command: What the user typed.
        seed: Random seed.
        versions: Package to version.
        config_toml: The settings.
        decisions: Gives what the run is to be repeated by, for its folder; None: it cannot be resumed.

    Raises:
        StoreError: the folder is not empty, or cannot be written.
    """
    with _claimed(_fresh(name) if directory is None else directory) as path:
        begun = now()
        record = RunRecord(
            schema=SCHEMA, name=path.absolute().name, state="created", created=begun, updated=begun, source=source,
            model=model, command=command, seed=seed, versions=dict(versions), process=this_process(),
        )  # fmt: skip
        run = Run(path, record)
        if decisions is not None:
            run.save_decisions(decisions(path))  # before it is a run, so that every run has them
        try:
            write_json(path / RECORD_FILE, to_plain(record))
            run.save_config(config_toml)
        except KeyboardInterrupt:
            if is_run(path):
                run.update(state="interrupted", message="stopped by the user")
            raise
        return run


def _fresh(name: str) -> Path:
    """Claim a unique folder: two runs may start in the same second."""
    stem = f"{_slug(name)}-{datetime.now():%Y%m%d-%H%M%S}"
    root = Path("runs")
    with storing(root):
        root.mkdir(exist_ok=True)
    for attempt in range(1, 1000):
        path = root / (stem if attempt == 1 else f"{stem}-{attempt}")
        with storing(path):
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    raise StoreError(f"there are too many runs called {stem}", "name the run: --run DIR")


@contextmanager
def _claimed(path: Path) -> Iterator[Path]:
    """Lock an empty or new folder while a run starts in it, so that only one of two processes gets it; a later one
    finds a run.
    """
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file, not a folder", "choose another --run")
    with storing(path):
        path.mkdir(parents=True, exist_ok=True)
        _refuse_taken(path)
        with locked(path / LOCK_FILE) as held:
            _refuse_taken(path, held)
            yield path


def _refuse_taken(path: Path, mine: bool = True) -> None:
    begun = is_run(path)
    # A process that was killed before its run began leaves these.
    if not mine or begun or any(not item.name.startswith(_LEFTOVERS) for item in path.iterdir()):
        if mine and not begun:
            raise StoreError(f"{path} is not empty already", "choose another --run; nothing is ever overwritten")
        raise _taken(path)


def _taken(path: Path) -> StoreError:
    """Refuse a folder with a run; one that did not finish can be continued."""
    try:
        run = open_run(path)
    except StoreError:  # just being created, or damaged
        return StoreError(f"{path} contains a run already", "choose another --run; nothing is ever overwritten")
    if run.state not in ("dead", "failed", "interrupted"):
        hint = "choose another --run; nothing is overwritten unless you ask for it with --replace"
        return StoreError(f"{path} contains a run already", hint)
    again = f"continue it with `keensight train --resume {shlex.quote(str(path))}`"
    return StoreError(
        f"{path} contains a run already, which is {run.state}",
        f"{again}, or start over with --replace, which deletes it",
    )


def _slug(name: str) -> str:
    """A name fit for a folder on every system."""
    return re.sub(r"[^\w.]+", "-", name).strip("-.")[:60] or "run"
