"""Units of a split: images that must stay together, and their position by hash.

All images of one group are a unit, and so are all exact copies of an image and all images that are tied
(near-duplicates);
groups with a common copy are joined.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
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


def tokens(samples: Sequence[Sample], ties: Iterable[Sequence[int]] = ()) -> list[tuple[str, ...]]:
    """What connects a sample to others: its content, its group and its ties."""
    held = [[f"digest {sample.digest}" if sample.digest else f"path {sample.path}"] for sample in samples]
    for own, sample in zip(held, samples, strict=True):
        if sample.group is not None:
            own.append(f"group {sample.group}")
    for number, tie in enumerate(ties):
        for i in tie:
            held[i].append(f"tie {number}")
    return [tuple(own) for own in held]


def make_units(
    samples: Sequence[Sample], pool: Iterable[int], seed: int, held: Sequence[tuple[str, ...]] | None = None
) -> list[Unit]:
    """Join samples with a common token, in the order of their positions."""
    pool, held = list(pool), tokens(samples) if held is None else held
    numbers = {token: number for number, token in enumerate(dict.fromkeys(token for i in pool for token in held[i]))}
    pairs = [(numbers[held[i][0]], numbers[token]) for i in pool for token in held[i][1:]]
    component = joined(len(numbers), pairs)
    members: dict[int, list[int]] = defaultdict(list)
    for i in pool:
        members[int(component[numbers[held[i][0]]])].append(i)
    return sorted((_make_unit(samples, indices, seed) for indices in members.values()), key=lambda u: (u.place, u.key))


def _make_unit(samples: Sequence[Sample], members: Sequence[int], seed: int) -> Unit:
    groups = [group for i in members if (group := samples[i].group) is not None]
    key = min(groups) if groups else min(samples[i].digest or samples[i].path for i in members)
    number = int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], "big")
    classes = tuple(sorted({name for i in members for name in samples[i].classes}))
    # A group's name may look like a digest: the prefix keeps the keys distinct.
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


def joined(n: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Number of the connected component of each of ``n`` items, shape (n,).

    Args:
        n: Number of items.
        pairs: Pairs that belong together, by their numbers from 0 to n - 1.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), np.bool_), (ends[:, 0], ends[:, 1])), shape=(n, n))
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels
