"""The command ``suggest``: which unlabeled images to label next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keensight.cli.invocation import Invocation, shared, table

if TYPE_CHECKING:
    from keensight.core.suggestions import Suggestions

_SHOWN = ("rank", "path", "label", "probability", "other", "other_probability", "reason")


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--count", type=click.IntRange(min=1), default=100, show_default=True, help="Number of images to suggest."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the suggestions: a .csv file.")
@click.option(
    "--label",
    "labels",
    type=click.Path(path_type=Path),
    metavar="TABLE",
    help="Label them in the browser, by keyboard; TABLE, a .csv file of path and label, is resumed if it exists.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port of the page; 0: any free one."
)
@click.option("--no-browser", is_flag=True, help="Only print the page's URL; do not open a browser.")
@shared
def suggest(
    asked: Invocation,
    model: Path,
    paths: tuple[str, ...],
    count: int,
    out: Path | None,
    labels: Path | None,
    port: int,
    no_browser: bool,
) -> None:
    """Suggest which unlabeled images to label next: those that would teach MODEL most.

    MODEL is a run or a bundle; PATH is an image, a folder (searched recursively) or a pattern. Images that the model is
    uncertain about come first, each unlike those before it. With --label a page opens on which you label them; add the
    table to your image set and train again.
    """
    from keensight import workflow

    if labels is not None:
        done = workflow.label_images(model, paths, out=labels, count=count, port=port, browser=not no_browser)
        asked.answer(done, lambda: f"{done['labeled']:,} of {done['suggested']:,} labeled\nlabels  {done['labels']}")
        return
    if out is not None:
        workflow.check_suggestions_place(out)
    found = workflow.suggest(model, paths, count=count)
    if out is not None:
        workflow.write_suggestions(found, out)
    asked.answer(found.rows(), lambda: f"{len(found):,} suggestions in {out}" if out else _listed(found))
    if found.errors:
        click.echo(f"{len(found.errors):,} images could not be read", err=True)


def _listed(found: Suggestions) -> str:
    rows = [
        {name: f"{value:.2f}" if isinstance(value, float) else value for name, value in row.items()}
        for row in found.rows()
    ]
    return table(rows, [name for name in _SHOWN if any(row[name] is not None for row in rows)])
