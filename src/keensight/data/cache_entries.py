"""What is in the cache: entries with their size and last use, which running processes use them, and how they are
removed.

A process claims the entries that it uses by a file in ``<cache>/in-use`` that it keeps locked: the lock ends with the
process, however that ends. Entries are claimed and removed under one lock, so that none is removed that was just
claimed.
"""

from __future__ import annotations

import os
import secrets
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from keensight.core.files import storing
from keensight.core.locks import Lock, lock, locked
from keensight.data.shards import cache_directory, find_shards
from keensight.errors import StoreError

_SHARDS = ("pixels", "features")
_FILES = {"index": ".json", "copies": ".json", "self-tests": ".json", "sets": ".json", "networks": ".tflite",
          "archives": ".plain"}  # fmt: skip
"""Folder to suffix of its files; each is an entry."""
_CLAIMS = "in-use"
_PATIENCE = 10.0
_STALE_SECONDS = 3600.0
"""A file that is being written and was not touched for this long belongs to a process that was killed."""


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """Size of the cache."""

    directory: Path
    images: int
    """Decoded images, over all sizes."""
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A shard or a single file of the cache, which is kept or removed as a whole."""

    name: str
    """Its path in the cache, without suffix: ``pixels/SIZE/SHARD``."""
    files: tuple[Path, ...]
    bytes: int
    used: float
    """When it was last used, in seconds since 1970."""
    whole: bool
    """False: it is being written, or was left by a process that was killed."""

    @property
    def kind(self) -> str:
        """The first folder of its path."""
        return self.name.partition("/")[0]


class Claim:
    """The entries of the cache that something in this process uses: none of them is removed until the claim is
    collected as garbage, or the process ends. Where the cache cannot be written, and where the file system has no
    locks, nothing is claimed.
    """

    def __init__(self) -> None:
        self._lock: Lock | None = None
        self._names: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Claim entries by their names, and note that they were used now; some may not exist any more."""
        new = [name for name in names if name not in self._names]
        if not new:
            return
        folder = cache_directory() / _CLAIMS
        with suppress(StoreError), _alone():
            if self._lock is None:
                self._lock = lock(folder / f"{secrets.token_hex(8)}.lock", wait=_PATIENCE)
                weakref.finalize(self, _release, self._lock, os.getpid())
            if self._lock is not None:
                self._lock.note("".join(f"{name}\n" for name in new))
        self._names.update(new)
        for name in new:
            touch(name)


def touch(name: str) -> None:
    """Note that an entry was used now."""
    with suppress(OSError):  # it may have gone, or belong to another user
        os.utime(cache_directory() / f"{name}{_FILES.get(name.partition('/')[0], '.json')}")


def entries() -> list[Entry]:
    """Everything in the cache that may be removed."""
    return [*_shard_entries(), *_file_entries()]


def usage() -> CacheUsage:
    """Count the contents of the cache directory."""
    found = entries()
    pixels = cache_directory() / "pixels"
    folders = [path for path in pixels.glob("*") if path.is_dir()]
    images = sum(len(shard.digests) for folder in folders for shard in find_shards(folder))
    return CacheUsage(cache_directory(), images, sum(len(one.files) for one in found), sum(one.bytes for one in found))


def clear(wanted: Callable[[Entry], bool] = lambda entry: True) -> int:
    """Remove entries that no running process uses; return the bytes freed.

    Args:
        wanted: Which ones; default: all.

    Raises:
        StoreError: a file cannot be removed.
    """
    with _alone():
        used = claimed()
        freed = sum(_removed(entry) for entry in entries() if entry.name not in used and wanted(entry))
    for folder in (*_shard_folders(), *(cache_directory() / kind for kind in (*_SHARDS, *_FILES))):
        with suppress(OSError):  # it contains something
            folder.rmdir()
    return freed


def evict(excess: int) -> int:
    """Remove the entries that were not used for longest, and no running process uses, until ``excess`` bytes are free.

    Returns:
        The bytes freed: 0 if removing all of them would not be enough.
    """
    if not entries():
        return 0
    with _alone():
        used = claimed()
        loose = [entry for entry in entries() if entry.name not in used and _is_loose(entry)]
        if sum(entry.bytes for entry in loose) < excess:
            return 0
        freed = 0
        for entry in sorted(loose, key=lambda entry: entry.used):
            if freed >= excess:
                break
            with suppress(StoreError):  # on Windows, it is open in a process that could not claim it
                freed += _removed(entry)
    return freed


def claimed() -> frozenset[str]:
    """Names of the entries that running processes use."""
    names: set[str] = set()
    for path in (cache_directory() / _CLAIMS).glob("*.lock"):
        with suppress(StoreError, OSError):
            if (stale := lock(path)) is not None:
                stale.release()  # its process has ended
            else:
                names.update(path.read_text(encoding="utf-8", errors="replace").splitlines()[1:])
    return frozenset(names)


def _alone() -> AbstractContextManager[bool]:
    """The lock under which entries are claimed and removed; after a while, it is done without."""
    folder = cache_directory() / _CLAIMS
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return locked(folder / "cache.turn", wait=_PATIENCE)


def _release(held: Lock | None, process: int) -> None:
    if held is not None and os.getpid() == process:  # a forked process has a copy of the claim, but not its lock
        with suppress(OSError):
            held.release()


def _is_loose(entry: Entry) -> bool:
    return entry.whole or time.time() - entry.used > _STALE_SECONDS


def _removed(entry: Entry) -> int:
    for path in entry.files:
        with storing(path):
            path.unlink(missing_ok=True)
    return entry.bytes


def _shard_folders() -> list[Path]:
    return [path for kind in _SHARDS for path in (cache_directory() / kind).glob("*") if path.is_dir()]


def _shard_entries() -> Iterator[Entry]:
    for folder in _shard_folders():
        files: dict[str, list[Path]] = {}
        for path in folder.iterdir():
            if path.is_file() and (path.suffix in (".rows", ".json") or path.name.startswith(".")):
                files.setdefault(path.name.lstrip(".").partition(".")[0], []).append(path)
        for stem, parts in files.items():
            yield from _entry(f"{folder.parent.name}/{folder.name}/{stem}", parts)


def _file_entries() -> Iterator[Entry]:
    for kind, suffix in _FILES.items():
        for path in (cache_directory() / kind).glob("*"):
            if path.is_file() and (path.suffix == suffix or path.name.startswith(".")):
                yield from _entry(f"{kind}/{path.name.lstrip('.').partition('.')[0]}", [path])


def _entry(name: str, files: Collection[Path]) -> Iterator[Entry]:
    """An entry, its index first, so that no index is found whose rows were removed; none if it has just gone."""
    with suppress(OSError):
        found = sorted(files, key=lambda path: path.suffix != ".json")
        status = [path.stat() for path in found]
        whole = not any(path.name.startswith(".") for path in found)
        whole = whole and (len(found) == 2 or name.partition("/")[0] not in _SHARDS)
        yield Entry(name, tuple(found), sum(one.st_size for one in status), max(one.st_mtime for one in status), whole)
