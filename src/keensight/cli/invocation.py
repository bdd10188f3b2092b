"""One command line and its output: text, or JSON on standard output."""

from __future__ import annotations

import functools
import json
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import click

from keensight.core.progress import Verbosity, at_verbosity, listening
from keensight.core.sanitize import visible
from keensight.errors import UsageError

if TYPE_CHECKING:
    from keensight.core.records import Dataset

_COLORS = re.compile(r"(\x1b\[[0-9;]*m)")
SCHEMA = 1
"""Number of the layout of the JSON documents that the command line prints; it is in each that is an object."""


@dataclass
class Invocation:
    """One command line being run."""

    arguments: tuple[str, ...] = ()
    json: bool = False
    debug: bool = False
    verbosity: Verbosity = Verbosity.NORMAL
    output: TextIO | None = field(default_factory=lambda: sys.stdout)
    """Where the result goes. With ``--json``, ``sys.stdout`` is redirected to standard error, so that no library's
    print can corrupt the document. None: the caller closed it."""

    answered: bool = False
    """Whether the result was already printed: ``--json`` prints only one document, even if an error follows."""

    reading: dict[str, Any] | None = None
    """How the command's source was read, for ``--json``; None until one was opened."""

    def hear(self, dataset: Dataset) -> None:
        """Take note of how a source was read."""
        from keensight.core.reading import reading_document

        self.reading = self.reading or reading_document(dataset)

    @property
    def encoding(self) -> str | None:
        """Encoding of the output; standard output may be closed."""
        return getattr(self.output, "encoding", None)

    @property
    def command(self) -> str:
        """What the user typed."""
        return shlex.join(["keensight", *self.arguments])

    def answer(self, document: Any, text: Callable[[], str]) -> None:
        """Print the result: ``document`` with ``--json``, else ``text()``."""
        self.answered = True
        if self.reading is not None:
            document = {**document, "reading": self.reading}
        if isinstance(document, dict):
            document = {"schema": SCHEMA, **document}
        click.echo(as_json(document, self.encoding) if self.json else self._plain(text()), file=self.output)

    def _plain(self, text: str) -> str:
        """Only a terminal gets color codes, and no other control character."""
        terminal = self.output is not None and self.output.isatty()
        parts = _COLORS.split(text) if terminal else [text]
        return "".join(part if _COLORS.fullmatch(part) else visible(part, keep="\n\t") for part in parts)


def _want_json(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    asked = context.ensure_object(Invocation)
    if wanted and asked.output is sys.stdout:
        asked.json = True
        context.with_resource(redirect_stdout(sys.stderr))


def _want_traceback(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    asked = context.ensure_object(Invocation)
    asked.debug = asked.debug or wanted


def _want_verbosity(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    asked, chosen = context.ensure_object(Invocation), Verbosity(parameter.name)
    if asked.verbosity not in (Verbosity.NORMAL, chosen):
        raise UsageError("--quiet and --verbose exclude each other", "give one of them")
    asked.verbosity = chosen
    context.with_resource(at_verbosity(chosen))


_HIDDEN: dict[str, Any] = {"is_flag": True, "expose_value": False, "is_eager": True}


def verbosity_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--quiet`` and ``--verbose``."""
    command = click.option(
        "--verbose", callback=_want_verbosity, help="Also show technical details: precision, CPU threads, engine.",
        **_HIDDEN,
    )(command)  # fmt: skip
    return click.option(
        "--quiet", callback=_want_verbosity, help="Show no progress; errors and results remain.", **_HIDDEN
    )(command)


def _hearing(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def heard(asked: Invocation, *args: Any, **kwargs: Any) -> None:
        with listening(asked.hear):
            command(asked, *args, **kwargs)

    return heard


def shared(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--json``, ``--quiet``, ``--verbose``, ``--debug``, and its :class:`Invocation` as first
    argument."""
    command = click.make_pass_decorator(Invocation, ensure=True)(_hearing(command))
    command = click.option(
        "--debug", callback=_want_traceback, help="Show the traceback of an error.", **_HIDDEN
    )(command)  # fmt: skip
    command = verbosity_options(command)
    return click.option(
        "--json", callback=_want_json, help="Print one JSON document to standard output, everything else to standard "
                                            "error.",
        **_HIDDEN,
    )(command)  # fmt: skip


def as_json(document: Any, encoding: str | None) -> str:
    """``document`` as JSON for a stream with this encoding, escaped only where necessary."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    if not text.replace("\n", "").isprintable():  # such as direction changes: JSON has an escape for each character
        text = "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in text)
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:  # an old console, or a file name that is not valid Unicode
        return json.dumps(document, indent=2, allow_nan=False)
    return text


def tolerate_any_console(*streams: TextIO | None) -> None:
    """Make a console that lacks a character (``…``, ``✓``, a class name) show ``?`` instead of failing."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def table(rows: Iterable[dict[str, Any]], columns: Iterable[str]) -> str:
    """Rows as aligned text columns with a header; None is shown as ``-``."""
    lines = [list(columns)]
    lines += [["-" if row.get(name) is None else visible(str(row[name])) for name in lines[0]] for row in rows]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = [[cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: East Asian wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in ("W", "F")) for sign in text
    )


def size(count: float) -> str:
    """Bytes in words: ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
