"""The command ``runs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.confirm import YES, confirmed
from keensight.cli.invocation import Invocation, shared, size, table
from keensight.cli.lazy import HelpfulGroup
from keensight.core.sanitize import visible
from keensight.errors import StoreError

if TYPE_CHECKING:
    from keensight.core.records import Skipped
    from keensight.store.run import Run

DIRECTORY = Path("runs")
DEAD = "its process no longer exists: it was killed, or the computer shut down"
_COLUMNS = ("run", "state", "source", "model", "accuracy", "n", "size", "created")
_TAKE_OVER = click.option(
    "--take-over",
    is_flag=True,
    help="Also an unfinished run of another computer, or of a program that is still open, that nothing works on any "
    "more.",
)
_RUNS = click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))


class _Runs(HelpfulGroup):
    """A group whose first argument may also be a directory to list."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A command by its name; any other single argument is for ``list``."""
        given = [word for word in args if not word.startswith("-")]
        if args[0] not in self.commands and len(given) < 2:
            args = ["list", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_Runs, invoke_without_command=True)
@shared
@click.pass_context
def runs(context: click.Context, asked: Invocation) -> None:
    """List, delete and rename runs.

    `keensight runs` lists those in runs/, and `keensight runs DIRECTORY` those in another directory.
    """
    if context.invoked_subcommand is None:
        context.invoke(listed)


@runs.command("list")
@click.argument("directory", default=DIRECTORY, type=click.Path(path_type=Path))
@shared
def listed(asked: Invocation, directory: Path) -> None:
    """List the runs in DIRECTORY (default: runs/), the newest first.

    An unfinished run whose process no longer exists (for example after kill -9) is listed as dead. The list ends with
    how to continue each run that did not finish.
    """
    from keensight.store.run import scan_runs

    if not directory.is_dir() and directory != DIRECTORY:
        what = "is not a folder" if directory.exists() else "does not exist"
        raise StoreError(f"{directory} {what}", "give a folder of runs (default: runs/)")
    found, broken = scan_runs(directory)
    rows = [*(_described(run) for run in found), *(_unreadable(directory, one) for one in broken)]
    asked.answer(rows, lambda: _listed(rows) if rows else f"no runs in {directory}")


@runs.command()
@_RUNS
@YES
@_TAKE_OVER
@shared
def delete(asked: Invocation, runs: tuple[Path, ...], yes: bool, take_over: bool) -> None:
    """Delete runs, with everything in their folders.

    It asks first. A run that a process is working on is refused, and then none is deleted.
    """
    from keensight.store.manage_runs import delete_run, removable

    listed = [removable(path, take_over=take_over) for path in dict.fromkeys(runs)]
    distinct: dict[Path, Run] = {}
    for run in listed:  # the same one may be given by two paths
        distinct.setdefault(run.path.resolve(), run)
    found = {run.path: run.bytes for run in distinct.values()}
    names = ", ".join(f"{path} ({size(count)})" for path, count in found.items())
    if not confirmed(asked, f"delete {names}", yes):
        asked.answer([], lambda: "nothing was deleted")
        return
    freed = [{"run": str(path), "bytes": delete_run(path, take_over=take_over)} for path in found]
    asked.answer(freed, lambda: f"deleted {', '.join(map(str, found))}: {size(sum(found.values()))}")


@runs.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("name")
@_TAKE_OVER
@shared
def rename(asked: Invocation, run: Path, name: str, take_over: bool) -> None:
    """Give a run another NAME, in the same directory.

    A run that a process is working on is refused.
    """
    from keensight.store.manage_runs import rename_run

    renamed = rename_run(run, name, take_over=take_over)
    asked.answer({"run": str(renamed.path), "was": str(run)}, lambda: f"renamed {run} to {renamed.path}")


def _listed(rows: list[dict[str, Any]]) -> str:
    shown = [
        row | {"accuracy": None if row["accuracy"] is None else f"{row['accuracy']:.3f}"} | {"size": size(row["bytes"])}
        for row in rows
    ]
    count = "1 run" if len(rows) == 1 else f"{len(rows):,} runs"
    lines = [table(shown, _COLUMNS), "", f"{count}, {size(sum(row['bytes'] for row in rows))}"]
    return "\n".join([*lines, *(visible(_to_do(row)) for row in rows if row["next"])])


def _to_do(row: dict[str, Any]) -> str:
    why = f" ({row['message']})" if row["message"] else ""
    return f"{row['run']} is {row['state']}{why}: {row['next']}"


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
        "alive": run.alive,
        "next": run.next_step,
        "bytes": run.bytes,
    }


def _unreadable(directory: Path, run: Skipped) -> dict[str, Any]:
    from keensight.store.run import folder_bytes

    path = directory / run.path
    nothing = dict.fromkeys(("source", "model", "accuracy", "n", "created", "alive"))
    told = {"run": str(path), "state": "unreadable", "message": run.reason, "next": "restore its files, or remove it"}
    return told | nothing | {"bytes": folder_bytes(path)}
