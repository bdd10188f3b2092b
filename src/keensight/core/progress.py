"""What long work tells about itself; the drawing is done elsewhere (``show.progress``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Task(Protocol):
    """One phase under way."""

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        """Say that ``amount`` more units are done, with a short note such as ``loss 0.31``."""


class Progress(Protocol):
    """A place to report to; safe to call from the thread that does the work."""

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Task]:
        """Report one phase of ``total`` units."""
        ...

    def say(self, message: str) -> None:
        """Show one line that stays."""


class _SilentTask:
    def advance(self, amount: int = 1, note: str | None = None) -> None:
        """Do nothing."""


class Silent:
    """Progress for tests and for scripts that want none."""

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Task]:
        """Report nothing."""
        yield _SilentTask()

    def say(self, message: str) -> None:
        """Say nothing."""
