"""Commands around the work: ``models``, ``runs``, ``cache`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.doctor import described, examine, size
from keensight.cli.invocation import Invocation, shared, table
from keensight.cli.lazy import HelpfulGroup
from keensight.errors import StoreError

if TYPE_CHECKING:
    from keensight.store.run import Run


DIRECTORY = Path("runs")
DEAD = "its process is gone: it was killed, or the machine went down"
_MODEL_COLUMNS = ("name", "weights", "side", "parameters_millions", "description")


@click.command()
@shared
def models(asked: Invocation) -> None:
    """List the architectures that `keensight train --model` takes."""
    from keensight import workflow

    rows = workflow.models()
    asked.answer(rows, lambda: table(rows, _MODEL_COLUMNS))


@click.command()
@click.argument("directory", default=DIRECTORY, type=click.Path(path_type=Path))
@shared
def runs(asked: Invocation, directory: Path) -> None:
    """List the runs in DIRECTORY (default: runs/), the newest first.

    A run that was under way when its process ended without a word, as by kill -9, is listed as dead.
    """
    from keensight.store.run import list_runs

    if not directory.is_dir() and directory != DIRECTORY:
        what = "is no folder" if directory.exists() else "does not exist"
        raise StoreError(f"{directory} {what}", "give a folder of runs; without one, runs/ is listed")
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


@click.group(cls=HelpfulGroup, invoke_without_command=True)
@shared
@click.pass_context
def cache(context: click.Context, asked: Invocation) -> None:
    """Show or clear the cache of decoded images, which makes later runs faster."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@cache.command()
@shared
def show(asked: Invocation) -> None:
    """Show where the cache is and how large it is."""
    from keensight.data.cache import usage

    held = usage()
    document = {"directory": str(held.directory), "images": held.images, "bytes": held.bytes}
    asked.answer(document, lambda: f"{held.images:,} images, {size(held.bytes)} in {held.directory}")


@cache.command()
@shared
def clear(asked: Invocation) -> None:
    """Delete all decoded images; the next training decodes again."""
    from keensight.data import cache as images

    freed, directory = images.clear(), str(images.cache_directory())
    asked.answer({"directory": directory, "bytes": freed}, lambda: f"deleted {size(freed)} in {directory}")


@click.command()
@shared
@click.pass_context
def doctor(context: click.Context, asked: Invocation) -> None:
    """Check the installation and the machine: versions, processor, memory, disk, device, sample sets."""
    found = examine()
    asked.answer(found, lambda: described(found))
    context.exit(int(bool(found["problems"])))
