"""Split small classes by quota, with as few changes to the hash's assignment as possible.

By hash alone, a class of ten images would often have no test image, or five. So each split gets about its fraction of
the class: it keeps the units in its range of positions, as in larger classes, up to that fraction, and takes what is
missing from the units nearest to its range. Adding or removing an image then moves hardly any unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keensight.core.records import Part
from keensight.data.stratify import Ranges
from keensight.data.units import Unit

_SLACK = 0.225
"""Tolerance, in units of average size, within which a split keeps its units.

Not 0, so that common fractions of common sizes, such as 15% of 20, are not borderline.
"""
_ALIKE = 1 / 3
"""Units whose size is within this fraction of the average count as equal, so that one image less in a group of four
changes no quota."""
_ROOM = 1.5
"""A unit that would take a split beyond this multiple of its fraction goes to the training set."""


def fill(units: Sequence[Unit], ranges: Ranges) -> dict[str, Part]:
    """Assign the units of one class; the rest goes to ``train``.

    A split without any unit gets one of at most average size, however small its fraction, unless there are no more
    units than splits.

    Args:
        units: The units to assign, in the order of their positions.
        ranges: Each split's range of positions; its length is the split's fraction.

    Returns:
        The split of each unit, by its key.
    """
    assigned: dict[str, Part] = {unit.key: "train" for unit in units}
    if len(units) < len(ranges):
        return assigned
    quotas = _Quotas(units, ranges)
    free = []
    for unit in units:
        own = next(part for part, (low, high) in ranges.items() if low <= unit.place < high)
        if own != "train" and quotas.keeps(own, unit):
            assigned[unit.key] = quotas.give(own, unit)
        else:
            free.append(unit)
    while (found := _next(quotas, ranges, free)) is not None:
        part, unit = found
        assigned[unit.key] = quotas.give(part, unit)
        free.remove(unit)
    return assigned


def _next(quotas: _Quotas, ranges: Ranges, free: Sequence[Unit]) -> tuple[Part, Unit] | None:
    """The free unit nearest to the range of the split that lacks most and can take any; None where none can."""
    for part in quotas.emptiest_first():
        low, high = ranges[part]
        fitting = [unit for unit in free if quotas.lacks(part, unit)]
        if fitting:
            return part, min(fitting, key=lambda unit: (max(low - unit.place, unit.place - high, 0.0), unit.key))
    return None


class _Quotas:
    """Target and current size of each split except ``train``."""

    def __init__(self, units: Sequence[Unit], ranges: Ranges) -> None:
        self._mean = sum(len(unit.members) for unit in units) / len(units)
        self._wanted: Mapping[Part, float] = {
            part: (high - low) * sum(map(self._size, units)) for part, (low, high) in ranges.items() if part != "train"
        }
        self._held = dict.fromkeys(self._wanted, 0.0)

    def _size(self, unit: Unit) -> float:
        size = len(unit.members)
        return self._mean if abs(size - self._mean) <= _ALIKE * self._mean else size

    def keeps(self, part: Part, unit: Unit) -> bool:
        """Whether a unit of the split's own range stays in it."""
        wanted, held = self._wanted[part], self._held[part]
        return held < wanted - _SLACK * self._mean and held + self._size(unit) <= _ROOM * wanted

    def lacks(self, part: Part, unit: Unit) -> bool:
        """Whether the split wants a unit of another range."""
        wanted, after = self._wanted[part], self._held[part] + self._size(unit)
        fits = after <= min(wanted + _SLACK * self._mean, _ROOM * wanted)
        return fits or (not self._held[part] and after <= self._mean)

    def emptiest_first(self) -> list[Part]:
        return sorted(self._held, key=lambda part: self._held[part] / self._wanted[part])

    def give(self, part: Part, unit: Unit) -> Part:
        self._held[part] += self._size(unit)
        return part
