"""Progress that people see: a live bar in a terminal or a notebook, plain lines in a log."""

from __future__ import annotations

import html
import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from tqdm import tqdm

from keensight.core.progress import Phase, Progress, Silent, Verbosity, verbosity
from keensight.core.sanitize import visible
from keensight.show.notebook.display import Updated, in_notebook
from keensight.show.text import clean, duration

_SHORT = 0.5
"""Seconds; a phase that is done sooner needs no bar."""
_PAUSE = 30.0
"""Seconds between two lines of one phase in a log."""
_NARROW = 100
"""Columns; in fewer, a note replaces the counts."""


def best_progress() -> Progress:
    """What fits where this program runs: notebook, terminal or log file; none with ``--quiet``."""
    if verbosity() is Verbosity.QUIET:
        return Silent()
    if in_notebook():
        return NotebookProgress()
    if sys.stderr is None:  # the caller closed it
        return Silent()
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()


def warn(message: str) -> None:
    """Show one line that ``--quiet`` leaves."""
    if sys.stderr is not None:
        PlainProgress().say(message)


class _Lines:
    """What all three share: a detail is a line like any other, for those who asked for it."""

    def say(self, message: str) -> None:
        """Show one line that stays."""
        raise NotImplementedError

    def detail(self, message: str) -> None:
        """Show one line with ``--verbose``."""
        if verbosity() is Verbosity.VERBOSE:
            self.say(message)


class TerminalProgress(_Lines):
    """A live bar on standard error for each phase that takes longer than half a second."""

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Phase]:
        """Report one phase of ``total`` units."""
        with _Bar(total=total, desc=label, unit=f" {unit}", file=sys.stderr, **_SETTINGS) as bar:
            yield _BarTask(bar)

    def say(self, message: str) -> None:
        """Show one line that stays, above any bar."""
        tqdm.write(visible(message, keep="\n"), file=sys.stderr)


class NotebookProgress(_Lines):
    """A live bar under the cell: plain HTML, so that no widget has to be installed or saved."""

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Phase]:
        """Report one phase of ``total`` units."""
        nowhere = io.StringIO()  # tqdm ends its bar with a line break, which has no place under a cell
        with _NotebookBar(total=total, desc=label, unit=f" {unit}", file=nowhere, **_SETTINGS) as bar:
            yield _BarTask(bar)

    def say(self, message: str) -> None:
        """Show one line that stays."""
        print(visible(message, keep="\n"))  # in a notebook, standard error is painted as a failure


class PlainProgress(_Lines):
    """A line when a phase starts, one every half minute, one when it ends; on standard error.

    Args:
        pause: Least seconds between two lines of a phase.
        stream: Where to write; default: standard error.
    """

    def __init__(self, pause: float = _PAUSE, stream: TextIO | None = None) -> None:
        self._pause = pause
        self._stream = stream

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Phase]:
        """Report one phase of ``total`` units."""
        task = _PlainTask(self, label, total, unit, self._pause)
        self.say(f"{label}: {total:,} {unit}")
        try:
            yield task
        except BaseException:
            task.end("stopped at")
            raise
        task.end("done,")

    def say(self, message: str) -> None:
        """Write one line."""
        print(visible(message, keep="\n"), file=self._stream or sys.stderr, flush=True)


class _PlainTask:
    def __init__(self, parent: PlainProgress, label: str, total: int, unit: str, pause: float) -> None:
        self._say, self._label, self._total, self._unit, self._pause = parent.say, label, total, unit, pause
        self._done, self._note = 0, ""
        self._start = self._last = time.monotonic()

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        """Count, and write a line where the last one is old."""
        self._done += amount
        self._note = self._note if note is None else note
        now = time.monotonic()
        if now - self._last < self._pause or self._done >= self._total:
            return
        self._last = now
        rate = self._done / (now - self._start)
        left = f"{duration((self._total - self._done) / rate)} left" if rate else "waiting"
        self._say(f"{self._label}: {self._counts()}, {rate:.3g} {self._unit}/s, {left}{self._suffix()}")

    def end(self, how: str) -> None:
        """Write the last line, unless the phase was over at once and as it should be."""
        seconds = time.monotonic() - self._start
        if seconds >= _SHORT or how != "done,":
            self._say(f"{self._label}: {how} {self._counts()} in {duration(seconds)}{self._suffix()}")

    def _counts(self) -> str:
        return f"{self._done:,} of {self._total:,} {self._unit}"

    def _suffix(self) -> str:
        return f", {self._note}" if self._note else ""


class _Bar(tqdm):  # type: ignore[misc]
    # tqdm's watching thread is of no use with phases that report often, and threads and fork do not go together.
    monitor_interval = 0

    @property
    def format_dict(self) -> dict[str, Any]:
        """tqdm's numbers, with a layout that keeps what matters in a narrow terminal."""
        numbers: dict[str, Any] = super().format_dict
        tight = numbers["ncols"] and numbers["ncols"] < _NARROW and numbers["postfix"]
        time_words = "in {elapsed}" if self.total and self.n >= self.total else "{remaining} left"
        numbers["bar_format"] = (_TIGHT if tight else _ROOMY).replace("TIME", time_words)
        return numbers


class _NotebookBar(_Bar):
    def __init__(self, **settings: Any) -> None:
        self._place = Updated()
        super().__init__(**settings)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Redraw the bar in its place under the cell."""
        if msg == "":  # tqdm's way to wipe a line
            return True
        numbers = self.format_dict
        numbers |= {"bar_format": numbers["bar_format"].replace(" |{bar}|", ""), "ncols": None}
        words = clean(str(self.format_meter(**numbers)))
        self._place.show(
            f'<progress value="{self.n}" max="{max(self.total or 0, 1)}" style="width:14em;vertical-align:middle">'
            f'</progress> <span style="font-variant-numeric:tabular-nums">{html.escape(words)}</span>',
            words,
        )
        return True


class _BarTask:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        """Move the bar; the note shows with its next drawing."""
        if note is not None:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(amount)


_SETTINGS: dict[str, Any] = {"delay": _SHORT, "dynamic_ncols": True, "mininterval": 0.2, "leave": True}
_ROOMY = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}{unit}, {rate_fmt}, TIME{postfix}"
_TIGHT = "{desc} {percentage:3.0f}% |{bar:6}| TIME{postfix}"
