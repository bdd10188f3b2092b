"""Turn every error into one sentence, a hint and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass

import click

from keensight.cli.invocation import SCHEMA, Invocation, as_json
from keensight.core.files import FULL
from keensight.core.registry import did_you_mean, spelled_out
from keensight.core.sanitize import visible
from keensight.errors import InterruptedRun, KeensightError, UsageError


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as shown to users."""

    code: int
    message: str
    hint: str | None


def explain(error: BaseException, asked: Invocation, *, interrupted: bool = False) -> int:
    """Print an error to standard error, and with ``--json`` also as a document to standard output.

    Args:
        error: What ended the command.
        asked: The command line.
        interrupted: Whether an interrupt came before it. Compiled code may raise another error in place of the
            interrupt, so an unexpected one is not a bug then.

    Returns:
        Its exit code.
    """
    if asked.debug:
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return UsageError.exit_code
    told = _failure(error, interrupted)
    with suppress(OSError, ValueError):  # standard error may be closed or full
        click.echo(f"error: {one_line(told.message)}", err=True)
        if told.hint:
            click.echo(f"hint: {one_line(told.hint)}", err=True)
    if asked.json and not asked.answered:
        words = {"code": told.code, "message": one_line(told.message), "hint": told.hint and one_line(told.hint)}
        with suppress(OSError, ValueError):
            click.echo(as_json({"schema": SCHEMA, "error": words}, asked.encoding), file=asked.output)
    return told.code


def _failure(error: BaseException, interrupted: bool) -> Failure:
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return Failure(InterruptedRun.exit_code, "interrupted", None)
    if isinstance(error, KeensightError):
        return Failure(error.exit_code, error.message, error.hint)
    if isinstance(error, click.ClickException):
        return Failure(error.exit_code, _sentence(error), _hint(error))
    if (refused := _refused(error)) is not None:
        return refused
    if interrupted:
        return Failure(InterruptedRun.exit_code, "interrupted", None)
    if isinstance(error, ModuleNotFoundError) and (package := (error.name or "").split(".")[0]) not in _OWN:
        return Failure(
            UsageError.exit_code,
            f"this needs the package {package}, which is not installed",
            "run: pip install keensight",
        )
    return Failure(
        KeensightError.exit_code,
        f"unexpected {type(error).__name__}: {error}",
        "this is a bug in Keensight: please report it with the output of the same command and --debug",
    )


def _refused(error: BaseException) -> Failure | None:
    """What the system does not allow, or has not enough of; None: something else."""
    code = KeensightError.exit_code
    if isinstance(error, MemoryError):
        return Failure(code, "out of memory", _SMALLER)
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return Failure(code, f"the system refuses: {error}", "raise the limit of processes and threads (ulimit -u)")
    if not isinstance(error, OSError) or not error.strerror:
        return None
    if error.errno in _OUTPUT_FAILS and error.filename is None:
        return Failure(code, f"the output cannot be written: {error.strerror}", "free some space, or redirect it")
    where = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    hint = "free some space, or point TMPDIR at another disk" if error.errno in FULL else "check it and its permissions"
    return Failure(code, f"the system refuses{where}: {error.strerror}", hint)


_SMALLER = (
    "close other programs, or use less: smaller batches (--set train.batch_size=16), smaller images (--image-size), or "
    "fewer at a time"
)
_OWN = ("", "keensight")
"""Modules whose absence is a bug; that of others is an installation without what training needs."""


_NO_TASK = "leave it out: this command is for classifiers, not anomaly detectors, and detects several labels by itself"


_OUTPUT_FAILS = frozenset({errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT})
"""Errors of writing to a full or closed stream; they have no file name."""


def one_line(text: str) -> str:
    """Text as one line without control characters, which would affect the terminal."""
    return visible(" ".join(text.split()))


def _sentence(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        return f"there is no option {error.option_name!r}"
    text = error.format_message().rstrip(".")
    return text[:1].lower() + text[1:]


def _setting(option: str) -> str | None:
    """The setting with this name but without its own option, such as ``train.batch_size`` for ``--batch-size``, or
    ``--bs``."""
    from keensight.core.config import settings

    name = spelled_out(option.lstrip("-").replace("-", "_"))
    return next((setting.dotted for setting in settings() if setting.name == name), None)


def _hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    if context is None:
        return None
    if isinstance(error, click.NoSuchOption):
        known = [name for option in context.command.get_params(context) for name in option.opts if name[:2] == "--"]
        setting = _setting(error.option_name) if "--set" in known else None
        if setting == "data.task":
            return _NO_TASK
        if setting is not None:
            return f"write it as a setting: --set {setting}=VALUE"
        return did_you_mean(error.option_name, known, f"see `{context.command_path} --help`")
    return f"see `{context.command_path} --help`"
