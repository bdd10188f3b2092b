"""Names to things, with a helpful answer to a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Generic, TypeVar

from keensight.errors import UsageError

T = TypeVar("T")


def did_you_mean(name: str, known: Collection[str]) -> str:
    """A hint that lists what exists, led by the nearest name."""
    close = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known)
    return f"did you mean {close[0]!r}? known: {listed}" if close else f"known: {listed}"


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping once filled; registering a name twice is an error.

    Args:
        kind: What the things are, for messages (``"model"``).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str, item: T) -> T:
        """Add ``item`` under ``name``.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._items:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        """Look ``name`` up.

        Raises:
            UsageError: no such name; the hint names the nearest.
        """
        if name not in self._items:
            raise UsageError(f"there is no {self.kind} {name!r}", did_you_mean(name, list(self._items)))
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
