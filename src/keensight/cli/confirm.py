"""Ask before something is deleted."""

from __future__ import annotations

import sys

import click

from keensight.cli.invocation import Invocation
from keensight.core.sanitize import visible
from keensight.errors import UsageError

YES = click.option("--yes", is_flag=True, help="Do not ask.")


def confirmed(asked: Invocation, question: str, yes: bool) -> bool:
    """Whether the user confirms what would be deleted.

    Args:
        asked: The command line; with ``--json`` nobody is asked.
        question: What would happen, without question mark.
        yes: It was confirmed in the command line.

    Raises:
        UsageError: it was not, and nobody can be asked.
    """
    if yes:
        return True
    if asked.json or sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{question}? This must be confirmed, and nobody can be asked here", "give --yes")
    click.echo(f"{visible(question)}? [y/N] ", nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
