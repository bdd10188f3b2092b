"""Every way to fail as one sentence, a hint and an exit code."""

from __future__ import annotations

import sys
import traceback

import click

from keensight.core.registry import did_you_mean
from keensight.errors import KeensightError, UsageError

INTERRUPTED = 130


def explain(error: BaseException, *, debug: bool = False) -> int:
    """Tell the user on standard error what went wrong.

    Args:
        error: What ended the command.
        debug: Show the traceback first.

    Returns:
        The exit code that belongs to it.
    """
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return _say("interrupted", None, INTERRUPTED)
    if isinstance(error, KeensightError):
        return _say(error.message, error.hint, error.exit_code)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return UsageError.exit_code
    if isinstance(error, click.ClickException):
        return _say(_sentence(error), _hint(error), error.exit_code)
    return _say(
        f"unexpected {type(error).__name__}: {error}",
        "this is a bug in Keensight: please report it with the output of the same command and --debug",
        KeensightError.exit_code,
    )


def _say(message: str, hint: str | None, code: int) -> int:
    click.echo(f"error: {_one_line(message)}", err=True)
    if hint:
        click.echo(f"hint: {_one_line(hint)}", err=True)
    return code


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _sentence(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        return f"there is no option {error.option_name!r}"
    text = error.format_message().rstrip(".")
    return text[:1].lower() + text[1:]


def _hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    if context is None:
        return None
    if isinstance(error, click.NoSuchOption):
        known = [name for option in context.command.get_params(context) for name in option.opts if name[:2] == "--"]
        return did_you_mean(error.option_name, known)
    return f"see `{context.command_path} --help`"
