"""The command ``demo``."""

from __future__ import annotations

from pathlib import Path

import click

from keensight.cli.invocation import Invocation, shared
from keensight.cli.options import run_option
from keensight.cli.train import summary

DEMO = {"model.name": "cnn", "train.epochs": 12}
"""Settings for a complete run in a minute or two on two cores."""


@click.command()
@run_option
@shared
def demo(asked: Invocation, run: Path | None) -> None:
    """Train a small CNN on 5,000 handwritten digits, test it, and write a report.

    The images come with the installation; nothing is downloaded. One to two minutes on two cores.
    """
    from keensight import workflow

    finished = workflow.train("mnist", run=run, settings=DEMO, command=asked.command)
    asked.answer(workflow.document(finished), lambda: summary(finished))
