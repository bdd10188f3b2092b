"""Names to things, with a helpful hint for a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import TypeVar

from keensight.errors import UsageError

T = TypeVar("T")


_ALIKE = 0.6
"""Least similarity of a suggestion, 0 to 1 (difflib's own default)."""
_SHORT = {"lr": "learning_rate", "bs": "batch_size", "wd": "weight_decay"}
"""Usual abbreviations of settings."""
_FEW = 12
"""So many names may be listed in a hint."""


def did_you_mean(name: str, known: Collection[str], listing: str = "") -> str:
    """A hint for a name that does not exist: the nearest name, else the names if they are few.

    Args:
        name: What was given.
        known: The names that exist. Of a dotted name such as ``train.epochs`` the last part may be given alone, or
            with another section.
        listing: What lists the names where none is near and they are many, such as "`keensight models` lists them".

    Returns:
        One sentence.
    """
    nearest = best_match(name, known)
    if nearest is not None:
        return f"did you mean {nearest!r}?"
    if len(known) <= _FEW:
        return f"available: {', '.join(known)}"
    return listing or f"available: {', '.join(list(known)[:_FEW])} and {len(known) - _FEW} more"


def best_match(name: str, known: Collection[str]) -> str | None:
    """The name in ``known`` that is most similar to ``name``; None if none is similar."""
    names = dict.fromkeys((_plain(name), spelled_out(_plain(name))))
    likeness = {candidate: max(_likeness(one, _plain(candidate)) for one in names) for candidate in known}
    nearest = max(likeness, key=lambda candidate: likeness[candidate], default=None)
    return nearest if nearest is not None and likeness[nearest][0] >= _ALIKE else None


def spelled_out(name: str) -> str:
    """A name whose last part is a usual abbreviation, such as ``train.lr``, in full; other names stay."""
    section, dot, last = name.rpartition(".")
    return section + dot + _SHORT.get(last, last)


def _plain(name: str) -> str:
    return name.lower().lstrip("-").replace("-", "_")


def _likeness(name: str, candidate: str) -> tuple[float, float]:
    """Similarity of the last parts of dotted names, or of the whole names where that is higher; then of the whole."""
    whole = difflib.SequenceMatcher(None, candidate, name).ratio()
    last = difflib.SequenceMatcher(None, candidate.rpartition(".")[2], name.rpartition(".")[2]).ratio()
    return max(whole, last), whole


class Registry(dict[str, T]):
    """Names to things; to ask for a name that is not there is a UsageError whose hint names the nearest.

    Args:
        kind: What the things are, for messages (``"model"``).
        listing: What lists the names, for hints ("`keensight models` lists them").
    """

    def __init__(self, kind: str, listing: str = "") -> None:
        super().__init__()
        self._kind, self._listing = kind, listing

    def __missing__(self, name: str) -> T:
        raise UsageError(f"there is no {self._kind} {name!r}", did_you_mean(name, list(self), self._listing))
