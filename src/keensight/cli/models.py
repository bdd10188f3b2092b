"""The command ``models``."""

from __future__ import annotations

import click

from keensight.cli.invocation import Invocation, shared, table

_MODEL_COLUMNS = ("name", "weights", "side", "parameters_millions", "description")


@click.command()
@shared
def models(asked: Invocation) -> None:
    """List the architectures that `keensight train --model` takes."""
    from keensight import workflow

    rows = workflow.models()
    asked.answer(rows, lambda: table(rows, _MODEL_COLUMNS))
