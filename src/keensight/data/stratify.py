"""Iterative stratification of multi-label sets: each label in each part by its share.

Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data": the label with the fewest units
left is dealt out first, each of its units to the part that lacks it most. Here a unit takes the part in which its
hash places it as long as that part has room for the label, and only else the part that lacks most. So the shares
are as even as by the original, and an image added later moves only the few units near the edge of a part's room;
by the original, whose every choice hangs on all before it, it reshuffles most of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from keensight.core.records import Part, Sample
from keensight.data.sources.names import natural_key
from keensight.data.units import Unit

Ranges = Mapping[Part, tuple[float, float]]
Room = dict[Part, dict[str, float]]
_ALL = ""
"""Key of the room for images, whatever their labels; no label is called so."""


def stratify(samples: Sequence[Sample], units: Sequence[Unit], ranges: Ranges) -> dict[str, Part]:
    """Deal units out; deterministic, whatever the order of the samples.

    Args:
        samples: All samples of the set.
        units: What is to be dealt out, in the order of their places.
        ranges: Each part's range of places; their lengths are the parts' shares.

    Returns:
        The part of each unit, by its key.
    """
    sizes = {unit.key: _sizes(samples, unit) for unit in units}
    room = _room(sizes.values(), ranges)
    assigned: dict[str, Part] = {}
    left = list(units)
    while left:
        rarest = _rarest(left)
        for unit in left:
            if rarest in unit.classes or rarest == _ALL:
                part = _choose(unit, sizes[unit.key], rarest, room, ranges)
                assigned[unit.key] = part
                for name, n in sizes[unit.key].items():
                    room[part][name] -= n
        left = [unit for unit in left if unit.key not in assigned]
    return assigned


def _room(sizes: Collection[Counter[str]], ranges: Ranges) -> Room:
    """How many images of each label each part shall get: its share, but one where a label has enough units for that."""
    total: Counter[str] = Counter()
    for counts in sizes:
        total.update(counts)
    enough = {name for name in total if sum(name in counts for counts in sizes) >= len(ranges)} - {_ALL}
    room: Room = {}
    for part, (low, high) in ranges.items():
        if part != "train":
            room[part] = {name: max((high - low) * n, float(name in enough)) for name, n in total.items()}
    room["train"] = {name: n - sum(given[name] for given in room.values()) for name, n in total.items()}
    return room


def _sizes(samples: Sequence[Sample], unit: Unit) -> Counter[str]:
    counts = Counter(name for i in unit.members for name in samples[i].labels)
    counts[_ALL] = len(unit.members)
    return counts


def _rarest(units: Sequence[Unit]) -> str:
    """The label that the fewest units have; where only units without a label are left, all of them."""
    count = Counter(name for unit in units for name in unit.classes)
    return min(count, key=lambda name: (count[name], natural_key(name)), default=_ALL)


def _choose(unit: Unit, size: Mapping[str, int], label: str, room: Room, ranges: Ranges) -> Part:
    own = next(part for part, (low, high) in ranges.items() if low <= unit.place < high)
    if room[own][label] >= size[label] / 2:
        return own
    return max(ranges, key=lambda part: (room[part][label], room[part][_ALL], part == own))
