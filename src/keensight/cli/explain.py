"""The command ``explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keensight.cli.invocation import Invocation, shared, table
from keensight.core.sanitize import visible


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("paths", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory for the pictures."
)
@click.option("--class", "class_name", help="Class to explain; default: the predicted class.")
@shared
@click.pass_context
def explain(
    context: click.Context, asked: Invocation, model: Path, paths: tuple[str, ...], out: Path, class_name: str | None
) -> None:
    """Show which regions of an image drove the prediction: image and heatmap, as PNG.

    MODEL is a run or a bundle; IMAGE is a file, a folder (searched recursively) or a pattern such as 'photos/*.jpg'. A
    file that cannot be read becomes a row with its error; the exit code is 1 only if every file fails.
    """
    from keensight import workflow

    rows = workflow.write_explanations(workflow.explanations(model, paths, class_name=class_name), out)
    asked.answer(rows, lambda: table(map(_short, rows), [name for name in rows[0] if name != "error"]))
    failed = [row for row in rows if row["error"]]
    for row in failed:
        click.echo(visible(f"{row['path']}: {row['error']}"), err=True)
    if failed:
        click.echo(f"{len(failed):,} of {len(rows):,} files could not be read", err=True)
    context.exit(int(len(failed) == len(rows)))


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in row.items()}
