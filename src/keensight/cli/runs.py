"""The command ``runs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.invocation import Invocation, shared, table
from keensight.errors import StoreError

if TYPE_CHECKING:
    from keensight.store.run import Run

DIRECTORY = Path("runs")
DEAD = "its process no longer exists: it was killed, or the computer shut down"


@click.command()
@click.argument("directory", default=DIRECTORY, type=click.Path(path_type=Path))
@shared
def runs(asked: Invocation, directory: Path) -> None:
    """List the runs in DIRECTORY (default: runs/), the newest first.

    An unfinished run whose process no longer exists (for example after kill -9) is listed as dead.
    """
    from keensight.store.run import list_runs

    if not directory.is_dir() and directory != DIRECTORY:
        what = "is not a folder" if directory.exists() else "does not exist"
        raise StoreError(f"{directory} {what}", "give a folder of runs (default: runs/)")
    rows = [_described(run) for run in list_runs(directory)]
    asked.answer(rows, lambda: _listed(rows) if rows else f"no runs in {directory}")


def _listed(rows: list[dict[str, Any]]) -> str:
    rounded = [row | {"accuracy": f"{row['accuracy']:.3f}"} if row["accuracy"] is not None else row for row in rows]
    return table(rounded, ("run", "state", "source", "model", "accuracy", "n", "created"))


def _described(run: Run) -> dict[str, Any]:
    record = run.record
    test = record.results.get("test", {})
    return {
        "run": str(run.path),
        "state": run.state,
        "source": record.source,
        "model": record.model,
        "accuracy": test.get("accuracy"),
        "n": test.get("n"),
        "created": record.created,
        "message": record.message or (DEAD if run.state == "dead" else ""),
    }
