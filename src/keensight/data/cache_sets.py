"""Which image set the entries of the cache belong to."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keensight.core.codec import from_plain, to_plain
from keensight.core.files import OWNER_DIGITS, read_json, sha256, write_json
from keensight.core.records import Dataset
from keensight.data.cache_entries import Entry, clear, entries, touch
from keensight.data.shards import cache_directory, digests_of
from keensight.errors import StoreError, UsageError

_SCHEMA = 1
OTHER = {"pixels": "other images", "features": "other images", "networks": "converted networks",
         "archives": "decompressed archives"}  # fmt: skip
_REST = "indexes and results of checks"


@dataclass(frozen=True, slots=True)
class CachedSet:
    """An image set, or another part of the cache."""

    name: str
    source: str | None
    """Where it was read from; None: not from a folder, or not a set."""
    images: int
    """Images of the set, with those that are not in the cache any more; 0 if it is not a set."""
    pixels: int
    """Bytes of decoded images."""
    features: int
    """Bytes of features and other values of each image."""
    bytes: int
    """Of all of it."""
    used: float
    """When it was last used, in seconds since 1970."""
    names: frozenset[str]
    """Names of its entries (:class:`.cache_entries.Entry`)."""


@dataclass(frozen=True, slots=True)
class _File:
    """What ``sets/KEY.json`` contains."""

    schema: int
    name: str
    source: str | None
    digests: str
    """The first digits of each digest, joined."""


@dataclass(frozen=True, slots=True)
class _Known:
    entry: Entry
    name: str
    source: str | None
    digests: frozenset[str]


def note_set(dataset: Dataset, digests: Collection[str]) -> str:
    """Remember which images a set has, and that it was used now; return the name of the entry that does."""
    root = getattr(dataset.reader, "root", None)
    source = os.path.realpath(root) if isinstance(root, Path) else None
    name = f"sets/{sha256(f'{dataset.name} {source}'.encode('utf-8', 'surrogateescape'))[:32]}"
    path = cache_directory() / f"{name}.json"
    before = _read(path)
    known, new = _pieces(before.digests if before else ""), {digest[:OWNER_DIGITS] for digest in digests}
    if before and new <= known:
        touch(name)
        return name
    joined = "".join(sorted(known | new))
    with suppress(StoreError):
        write_json(path, to_plain(_File(_SCHEMA, dataset.name, source, joined)))
    return name


def cached_sets() -> list[CachedSet]:
    """Each image set in the cache, the last used first, then what belongs to none."""
    found = entries()
    known = sorted(_known(found), key=lambda one: -one.entry.used)
    groups: dict[str, list[Entry]] = {one.entry.name: [one.entry] for one in known}
    for entry in found:
        if entry.name not in groups:
            groups.setdefault(_group(entry, known), []).append(entry)
    sets = [_described(one.name, one.source, len(one.digests), groups.pop(one.entry.name)) for one in known]
    return [*sets, *(_described(name, None, 0, group) for name, group in groups.items())]


def matching(wanted: str) -> list[CachedSet]:
    """The parts of the cache with this name, or read from this folder.

    Raises:
        UsageError: there are none.
    """
    found = cached_sets()
    place = os.path.realpath(wanted)
    hits = [one for one in found if one.name == wanted] or [one for one in found if one.source == place]
    hits = hits or [one for one in found if Path(wanted).exists() and one.images and one.name == Path(place).stem]
    if not hits:
        names = ", ".join(sorted({one.name for one in found})) or "nothing"
        raise UsageError(f"the cache has nothing of {wanted}", f"it has: {names}")
    return hits


def clear_sets(sets: Collection[CachedSet]) -> int:
    """Remove the entries of these sets that no running process uses; return the bytes freed.

    Raises:
        StoreError: a file cannot be removed.
    """
    names = frozenset[str]().union(*(one.names for one in sets))
    return clear(lambda entry: entry.name in names)


def _known(found: Collection[Entry]) -> Iterator[_Known]:
    for entry in found:
        if entry.kind == "sets" and entry.whole:
            known = _read(entry.files[0])
            if known is not None:
                yield _Known(entry, known.name, known.source, frozenset(_pieces(known.digests)))


def _read(path: Path) -> _File | None:
    """None: there is none, or it is damaged or of another version."""
    with suppress(StoreError, RecursionError):
        found = from_plain(_File, read_json(path))
        return found if found.schema == _SCHEMA else None
    return None


def _pieces(joined: str) -> set[str]:
    return {joined[place : place + OWNER_DIGITS] for place in range(0, len(joined), OWNER_DIGITS)}


def _group(entry: Entry, known: Collection[_Known]) -> str:
    """Of a shard, the last used set that has its first image."""
    if entry.kind in ("pixels", "features"):
        first = next(digests_of(entry.files[0]), "")[:OWNER_DIGITS]
        owner = next((one.entry.name for one in known if first in one.digests), None)
        if owner is not None:
            return owner
    return OTHER.get(entry.kind, _REST)


def _described(name: str, source: str | None, images: int, group: Collection[Entry]) -> CachedSet:
    size = {kind: sum(entry.bytes for entry in group if entry.kind == kind) for kind in ("pixels", "features")}
    return CachedSet(
        name, source, images, size["pixels"], size["features"], sum(entry.bytes for entry in group),
        max(entry.used for entry in group), frozenset(entry.name for entry in group),
    )  # fmt: skip
