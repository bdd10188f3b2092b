"""Notes and warnings of a reader, collected step by step for a :class:`~keensight.core.records.Reading`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keensight.core.records import Reading

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Notices:
    """The fields of a :class:`~keensight.core.records.Reading`, any number of each."""

    cues: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __add__(self, other: Notices) -> Notices:
        """Both, without repetitions."""
        return Notices(
            _joined(self.cues, other.cues),
            _joined(self.overrides, other.overrides),
            _joined(self.notes, other.notes),
            _joined(self.warnings, other.warnings),
        )

    def reading(self, layout: str) -> Reading:
        """The record."""
        return Reading(layout, "; ".join(self.cues), " or ".join(self.overrides), self.notes, self.warnings)


def _joined(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def listed(names: Iterable[str], shown: int = _SHOWN) -> str:
    """``a, b, c and 3 more``."""
    every = list(names)
    more = len(every) - shown
    return ", ".join(every[:shown]) + (f" and {more:,} more" if more > 0 else "")


def count(n: int, one: str, many: str) -> str:
    """``1 row`` or ``1,200 rows``."""
    return f"{n:,} {one if n == 1 else many}"


def unlabeled(n: int, of: int) -> tuple[str, ...]:
    """The warning that images are left out because they have no label; none for none."""
    lost = "has no label and is" if n == 1 else "have no label and are"
    return (f"{n:,} of {count(of, 'image', 'images')} {lost} left out",) if n else ()
