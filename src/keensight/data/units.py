"""Units of a split: images that must stay together, and their position by hash.

All images of one group are a unit, and so are all exact copies of an image and all images that are tied
(near-duplicates);
groups with a common copy are joined.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keensight.core.records import Sample


@dataclass(frozen=True, slots=True)
class Unit:
    """Samples that are kept in the same split."""

    place: float
    """Position by hash, in [0, 1)."""
    key: str
    members: tuple[int, ...]
    """Indices into ``Dataset.samples``."""
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What connects samples to others, as numbers: their contents, groups and ties."""

    content: NDArray[np.int64]
    """The number of each sample's content, shape (n,)."""
    further: NDArray[np.int64]
    """A sample and the number of its group or of one of its ties, shape (m, 2)."""
    count: int
    """How many numbers there are."""

    def shared_with(self, rows: Iterable[int]) -> NDArray[np.bool_]:
        """Which samples have the content, the group or a tie of one of these, shape (n,)."""
        held = np.zeros(len(self.content), np.bool_)
        held[list(rows)] = True
        known = np.zeros(self.count, np.bool_)
        known[self.content[held]] = True
        sample, number = self.further.T
        known[number[held[sample]]] = True
        shared: NDArray[np.bool_] = known[self.content]
        shared[sample[known[number]]] = True
        return shared

    def components(self, pool: NDArray[np.int64]) -> NDArray[np.int64]:
        """A number of each sample of a pool, equal for those that are connected within it, shape (n,)."""
        inside = np.zeros(len(self.content), np.bool_)
        inside[pool] = True
        sample, number = self.further[inside[self.further[:, 0]]].T
        return joined(self.count, np.stack([self.content[sample], number], axis=1))[self.content[pool]]


def tokens(samples: Sequence[Sample], ties: Iterable[Sequence[int]] = ()) -> Tokens:
    """What connects each sample to others: its content, its group and its ties."""
    numbers: dict[tuple[str, str] | str, int] = {}
    content = np.empty(len(samples), np.int64)
    further: list[tuple[int, int]] = []
    for i, sample in enumerate(samples):
        content[i] = numbers.setdefault(sample.digest or ("path", sample.path), len(numbers))
        if sample.group is not None:
            further.append((i, numbers.setdefault(("group", sample.group), len(numbers))))
    count = len(numbers)
    for tie in ties:
        further += [(i, count) for i in tie]
        count += 1
    return Tokens(content, np.array(further, np.int64).reshape(-1, 2), count)


def make_units(samples: Sequence[Sample], pool: Iterable[int], seed: int, held: Tokens | None = None) -> list[Unit]:
    """Join samples with a common token, in the order of their positions."""
    rows = np.fromiter(pool, np.int64)
    component = (tokens(samples) if held is None else held).components(rows)
    order = np.argsort(component, kind="stable")
    members = rows[order].tolist()
    begins = np.flatnonzero(np.diff(component[order], prepend=-1)).tolist()
    ends = [*begins, len(members)][1:]
    groups = (members[begin:end] for begin, end in zip(begins, ends, strict=True))
    classes: dict[tuple[str, ...], tuple[str, ...]] = {}
    return sorted((_make_unit(samples, group, seed, classes) for group in groups), key=lambda u: (u.place, u.key))


def _make_unit(
    samples: Sequence[Sample], members: Sequence[int], seed: int, known: dict[tuple[str, ...], tuple[str, ...]]
) -> Unit:
    groups = [group for i in members if (group := samples[i].group) is not None]
    key = min(groups) if groups else min(samples[i].digest or samples[i].path for i in members)
    number = int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], "big")
    classes = tuple(sorted({name for i in members for name in samples[i].classes}))
    # A group's name may look like a digest: the prefix keeps the keys distinct.
    # Few sets of classes are shared by many units: each is kept once.
    classes = known.setdefault(classes, classes)
    return Unit(number / 2**64, f"{'group' if groups else 'image'} {key}", tuple(members), classes)


def unit_numbers(
    samples: Sequence[Sample], rows: NDArray[np.int64], ties: Iterable[Sequence[int]] = ()
) -> NDArray[np.int64]:
    """The number of each sample's unit, shape (n,), counted from 0.

    Args:
        samples: All samples.
        rows: Indices of the samples, shape (n,).
        ties: Indices of samples that stay together, such as near-duplicates.
    """
    numbers = np.empty(len(samples), np.int64)
    for number, unit in enumerate(make_units(samples, rows.tolist(), 0, tokens(samples, ties))):
        numbers[list(unit.members)] = number
    return numbers[rows]


def clusters(
    samples: Sequence[Sample], rows: NDArray[np.int64], ties: Iterable[Sequence[int]] = ()
) -> NDArray[np.int64] | None:
    """:func:`unit_numbers`, or None if all images are independent."""
    numbers = unit_numbers(samples, rows, ties)
    return None if len(np.unique(numbers)) == len(numbers) else numbers


def units_per_class(units: Iterable[Unit]) -> Counter[str]:
    """Number of units with images of each class."""
    return Counter(name for unit in units for name in unit.classes)


def joined(n: int, pairs: Sequence[tuple[int, int]] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the connected component of each of ``n`` items, shape (n,).

    Args:
        n: Number of items.
        pairs: Pairs that belong together, by their numbers from 0 to n - 1, shape (m, 2).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), np.bool_), (ends[:, 0], ends[:, 1])), shape=(n, n))
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels
