"""The command ``review``."""

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
@click.option("--no-browser", is_flag=True, help="Only print the page's URL; do not open a browser.")
@shared
def review(asked: Invocation, run: Path, source: str | None, out: Path | None, port: int, no_browser: bool) -> None:
    """Review suspicious labels and mistakes of RUN in the browser, by keyboard.

    SOURCE is the image set of the run: with it the images are large, and a run without a label check gets one. Each
    decision (keep, relabel, drop) is saved immediately; no image is changed. `keensight train SOURCE --corrections
    FILE` applies the decisions. The page is only accessible from this machine, until it is closed or Ctrl-C.
    """
    from keensight import workflow

    found = workflow.review(run, source, out=out, port=port, browser=not no_browser)
    asked.answer(found, lambda: summary(found))


def summary(found: dict[str, Any]) -> str:
    """The summary on the terminal."""
    answered = found["kept"] + found["relabelled"] + found["dropped"]
    return (
        f"{answered:,} of {found['questions']:,} decided: {found['kept']:,} kept, {found['relabelled']:,} relabeled, "
        f"{found['dropped']:,} dropped\ncorrections  {found['corrections']}"
    )
