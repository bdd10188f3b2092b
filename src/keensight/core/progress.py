"""What long work reports; ``show.progress`` draws it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from keensight.core.records import Dataset


class Verbosity(enum.Enum):
    """How much of the progress users see."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


_verbosity: ContextVar[Verbosity] = ContextVar("keensight_verbosity", default=Verbosity.NORMAL)


def verbosity() -> Verbosity:
    """How much of the progress users see here and now."""
    return _verbosity.get()


@contextmanager
def at_verbosity(wanted: Verbosity) -> Iterator[None]:
    """Show as much as ``wanted`` inside the ``with`` block."""
    before = _verbosity.set(wanted)
    try:
        yield
    finally:
        _verbosity.reset(before)


class Phase(Protocol):
    """One phase under way."""

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        """Report that ``amount`` more units are done, with a short note such as ``loss 0.31``."""


class Progress(Protocol):
    """A place to report to; safe to call from the thread that does the work."""

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Phase]:
        """Report one phase of ``total`` units."""
        ...

    def say(self, message: str) -> None:
        """Show one line that stays."""

    def detail(self, message: str) -> None:
        """Show one line that only a developer wants: engine, threads, precision, regularization."""


class _SilentPhase:
    def advance(self, amount: int = 1, note: str | None = None) -> None:
        """Do nothing."""


class Silent:
    """No progress: for tests, scripts and ``--quiet``."""

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Phase]:
        """Report nothing."""
        yield _SilentPhase()

    def say(self, message: str) -> None:
        """Show nothing."""

    def detail(self, message: str) -> None:
        """Show nothing."""


@dataclass(frozen=True, slots=True)
class Logged:
    """Progress whose lines also go to a log, such as a run's ``log.txt``, whatever users see of them."""

    shown: Progress
    log: Callable[[str], None]

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Phase]:
        """Report one phase; the log gets none of it."""
        with self.shown.task(label, total, unit) as task:
            yield task

    def say(self, message: str) -> None:
        """Show one line, and log it."""
        self.shown.say(message)
        self.log(message)

    def detail(self, message: str) -> None:
        """Log one line, and show it to those who asked for details."""
        self.shown.detail(message)
        self.log(message)


Heard = Callable[["Dataset"], None]
_listener: ContextVar[Heard | None] = ContextVar("keensight_reading", default=None)


@contextmanager
def listening(heard: Heard) -> Iterator[None]:
    """Call ``heard`` with each dataset that is opened inside the ``with`` block."""
    before = _listener.set(heard)
    try:
        yield
    finally:
        _listener.reset(before)


def tell(dataset: Dataset) -> None:
    """Report an opened dataset to the listener, if there is one."""
    heard = _listener.get()
    if heard is not None:
        heard(dataset)
