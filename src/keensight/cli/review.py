"""The command that puts labels before a person: ``review``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keensight.cli.invocation import Invocation, shared


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("source", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file for decisions; resumed if it already exists; default: corrections.csv in RUN.",
)  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port of the page; 0: any free one."
)  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Only print the page's address.")
@shared
def review(asked: Invocation, run: Path, source: str | None, out: Path | None, port: int, no_browser: bool) -> None:
    """Review suspicious labels and mistakes of RUN in the browser, by keyboard.

    SOURCE is the image set of the run: with it the pictures are large, and a run that made no label check gets one.
    Each decision (keep, relabel, drop) is written at once; no image is changed. `keensight train SOURCE
    --corrections FILE` applies the table. The page is served to this machine only, until it is closed or Ctrl-C.
    """
    from keensight import workflow

    found = workflow.review(run, source, out=out, port=port, browser=not no_browser)
    asked.answer(found, lambda: summary(found))


def summary(found: dict[str, Any]) -> str:
    """What the terminal shows at the end."""
    answered = found["kept"] + found["relabelled"] + found["dropped"]
    return (
        f"{answered:,} of {found['questions']:,} decided: {found['kept']:,} kept, {found['relabelled']:,} relabelled, "
        f"{found['dropped']:,} dropped\ncorrections  {found['corrections']}"
    )
