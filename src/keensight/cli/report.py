"""The command ``report``."""

from __future__ import annotations

from pathlib import Path

import click

from keensight.cli.errors import one_line
from keensight.cli.invocation import Invocation, shared


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@shared
def report(asked: Invocation, run: Path) -> None:
    """Rewrite the HTML report of RUN from its saved results."""
    from keensight import workflow

    path = workflow.report(run)
    asked.answer({"run": str(run), "report": str(path)}, lambda: one_line(str(path)))
