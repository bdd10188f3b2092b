"""Cached digests and headers of image files, so that opening a set again reads no file contents."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from keensight.core import pixels
from keensight.core.decode_limits import MAX_BYTES
from keensight.core.files import MISSING, read_bounded, sha256, write_bytes
from keensight.core.parallel import ordered, processors
from keensight.core.progress import Progress, Silent
from keensight.core.records import ImageInfo, Sample
from keensight.data.cache import cache_directory
from keensight.data.cache_entries import touch
from keensight.data.sources.listing import Found, changed_ns
from keensight.errors import ImageError, StoreError

VERSION = 3
"""Raised when what an entry holds changes; an index of another version is built again."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
RACY_NS = 2_000_000_000
"""A file changed less than this long ago could change again within its time stamp's resolution (FAT: 2 s)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file; fields as in :class:`~keensight.core.records.Sample`."""

    digest: str
    info: ImageInfo | None
    error: str | None


@dataclass(frozen=True, slots=True)
class FileReader:
    """Loads samples from the files below ``root``."""

    root: Path
    stored: Mapping[str, str] = field(default_factory=dict)
    """Paths as the file system has them, of samples whose names are not UTF-8."""

    def load(self, sample: Sample) -> bytes:
        """The file's bytes.

        Raises:
            ImageError: it is missing, empty, too large or cannot be read.
        """
        return read_bounded(self.root / self.stored.get(sample.path, sample.path), MAX_BYTES)


def stat_files(root: Path, paths: Iterable[str]) -> list[Found]:
    """Look up size and time of the files that a table names; a missing file carries its error."""
    return [_stat(root, path) for path in paths]


def _stat(root: Path, path: str) -> Found:
    try:
        status = os.stat(root / path)  # noqa: PTH116 - Path.stat costs twice as much, and this runs once an image
    except FileNotFoundError:
        return Found(path, error=MISSING)
    except (OSError, ValueError) as error:
        return Found(path, error=f"cannot be read: {getattr(error, 'strerror', None) or error}")
    return Found(path, status.st_size, status.st_mtime_ns, changed_ns=changed_ns(status))


Load = Callable[[Found], bytes]
"""Reads a file that a listing names; raises ImageError."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where the bytes are of files of which a folder has only the names."""

    folder: Path
    source: Path
    """What the user opened."""
    read: Callable[[str], bytes]
    """The bytes of a file, by its path below ``folder``."""

    def load_below(self, root: Path) -> Load:
        """What reads files by their paths from ``root``, a folder in ``folder``."""
        return lambda found: self.read((root / found.path).relative_to(self.folder).as_posix())


_ELSEWHERE: ContextVar[Elsewhere | None] = ContextVar("keensight_elsewhere", default=None)


@contextmanager
def reading_from(elsewhere: Elsewhere) -> Iterator[None]:
    """Let :func:`examine` read files of a folder from elsewhere, inside the ``with`` block."""
    before = _ELSEWHERE.set(elsewhere)
    try:
        yield
    finally:
        _ELSEWHERE.reset(before)


def examine(source: Path, root: Path | Load, files: Sequence[Found], progress: Progress | None = None) -> list[Facts]:
    """Digest and header of each file, in the order given.

    A file whose size, modification time and, on POSIX systems, time of the last change of its inode match the index of
    ``source`` is not opened. After an interrupt, what was read so far is kept.

    Args:
        source: What the user opened; there is one index file for each.
        root: The folder that the files' paths start from, or what reads them where they are in something else.
        files: What the listing says of each file.
        progress: Told about files that have to be read.
    """
    elsewhere = _ELSEWHERE.get()
    if elsewhere is not None and isinstance(root, Path) and root.is_relative_to(elsewhere.folder):
        source, root = elsewhere.source, elsewhere.load_below(root)
    known = _read_index(source)
    facts: dict[str, Facts] = {}
    fresh: list[Found] = []
    for found in files:
        if found.error is not None:
            facts[found.path] = Facts("", None, found.error)
        elif (entry := known.get(found.path)) and entry[:3] == _stamp(found):
            facts[found.path] = entry[3]
        else:
            fresh.append(found)
    if fresh:
        try:
            _examine_fresh(root, fresh, facts, progress or Silent())
        finally:
            _write_index(source, files, facts)
    return [facts[found.path] for found in files]


def _stamp(found: Found) -> tuple[int, int, int]:
    return found.size, found.mtime_ns, found.changed_ns


def _examine_fresh(root: Path | Load, fresh: Sequence[Found], facts: dict[str, Facts], progress: Progress) -> None:
    # More threads than CPUs: hashing runs in parallel, and some threads always wait for the disk.
    load = _from_folder(root) if isinstance(root, Path) else root
    examining = ordered(lambda found: _examine_file(load, found), fresh, processors() + 2, ahead=64)
    with progress.task("reading", len(fresh)) as task, closing(examining) as results:
        for found, result in zip(fresh, results, strict=True):
            facts[found.path] = result
            task.advance()


def _from_folder(root: Path) -> Load:
    return lambda found: read_bounded(root / (found.stored or found.path), MAX_BYTES)


def _examine_file(load: Load, found: Found) -> Facts:
    try:
        data = load(found)
    except ImageError as error:
        return Facts("", None, error.message)
    digest = sha256(data)
    try:
        return Facts(digest, pixels.probe(data), None)
    except ImageError as error:
        return Facts(digest, None, error.message)


def _index_path(source: Path) -> Path:
    return cache_directory() / f"{_index_name(source)}.json"


def _index_name(source: Path) -> str:
    return f"index/{sha256(os.fsencode(os.path.realpath(source)))[:32]}"


def _read_index(source: Path) -> dict[str, tuple[int, int, int, Facts]]:
    # The index only saves time: if anything is wrong with it, the files are read again.
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, StoreError):
        document = json.loads(_index_path(source).read_bytes())
        touch(_index_name(source))
        if document["version"] == VERSION:
            return {path: _entry(*entry) for path, entry in document["entries"].items()}
    return {}


def _entry(size: int, mtime_ns: int, changed_ns: int, digest: str, info: Sequence[Any]) -> tuple[int, int, int, Facts]:
    known = ImageInfo(*info)
    if not (_DIGEST.fullmatch(digest) and isinstance(known.format, str) and isinstance(known.mode, str)):
        raise ValueError("a digest or a header of another kind")
    if not all(type(number) is int for number in (known.width, known.height, known.frames, known.orientation)):
        raise ValueError("a size that is no number")
    return size, mtime_ns, changed_ns, Facts(digest, known, None)


def _write_index(source: Path, files: Sequence[Found], facts: Mapping[str, Facts]) -> None:
    now = time.time_ns()
    entries: dict[str, list[Any]] = {}
    for found in files:
        fact = facts.get(found.path)
        # Bad files are not cached: they are few, and a newer Pillow may read them.
        if fact is not None and fact.info is not None and abs(now - found.mtime_ns) >= RACY_NS:
            entries[found.path] = [*_stamp(found), fact.digest, astuple(fact.info)]
    document = json.dumps({"version": VERSION, "entries": entries}, separators=(",", ":"))
    with suppress(StoreError, OSError):  # a cache that cannot be written is not an error
        write_bytes(_index_path(source), document.encode("utf-8"))
