"""Iterative stratification of multi-label sets: each label in each split by the split's fraction.

Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data": the label with the fewest units left
is assigned first, each of its units to the split that needs it most. Here a unit goes to the split of its hash as long
as that split still needs the label, and otherwise to the split that needs it most. So the fractions are as even as with
the original method, but an image added later moves only a few units; with the original method, whose every choice
depends on all before it, most of them move.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from keensight.core.records import Part, Sample
from keensight.data.sources.names import natural_key
from keensight.data.units import Unit

Ranges = Mapping[Part, tuple[float, float]]
Room = dict[Part, dict[str, float]]
_ALL = ""
"""Key of the need for images of any label; no label has this name."""


def stratify(samples: Sequence[Sample], units: Sequence[Unit], ranges: Ranges) -> dict[str, Part]:
    """Assign units to splits; the result does not depend on the order of the samples.

    Args:
        samples: All samples of the set.
        units: The units, in the order of their positions.
        ranges: Each split's range of positions; its length is the split's fraction.

    Returns:
        The split of each unit, by its key.
    """
    sizes = {unit.key: _sizes(samples, unit) for unit in units}
    room = _room(sizes.values(), ranges)
    assigned: dict[str, Part] = {}
    having = _by_label(units)
    left = Counter({name: len(members) for name, members in having.items()})
    while left:
        rarest = min(left, key=lambda name: (name == _ALL, left[name], natural_key(name)))
        for unit in having[rarest]:
            if unit.key not in assigned:
                part = _choose(unit, sizes[unit.key], rarest, room, ranges)
                assigned[unit.key] = part
                for name, n in sizes[unit.key].items():
                    room[part][name] -= n
                left.subtract(unit.classes)
        left = Counter({name: n for name, n in left.items() if n > 0 and name != rarest})
    return assigned


def _by_label(units: Sequence[Unit]) -> dict[str, list[Unit]]:
    """The units with each label, and those without any."""
    having: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        for name in unit.classes or (_ALL,):
            having[name].append(unit)
    return having


def _room(sizes: Collection[Counter[str]], ranges: Ranges) -> Room:
    """Target number of images of each label in each split: by the split's fraction, but at least one if a label has
    enough units."""
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


def _choose(unit: Unit, size: Mapping[str, int], label: str, room: Room, ranges: Ranges) -> Part:
    own = next(part for part, (low, high) in ranges.items() if low <= unit.place < high)
    if room[own][label] >= size[label] / 2:
        return own
    return max(ranges, key=lambda part: (room[part][label], room[part][_ALL], part == own))
