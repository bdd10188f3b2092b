"""Rows on disk by image digest: append-only shards in the cache directory.

``<cache>/pixels/<ImageSpec.key>/`` holds pairs of files: ``NAME.rows``, the uint8 pixels of some
images one after the other, and ``NAME.json``, the digests of those images in the same order with
the reasons of images that cannot be decoded. Both are written under hidden names and renamed when
complete, the index last; so a shard is complete or absent, two processes can write at once, and a killed one leaves
only a hidden file, which a later one removes. ``<cache>/features`` contains features in the same format, and
``<cache>/networks`` converted networks. :mod:`.cache_entries` lists and removes them.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import Draft, read_json, storing, write_json
from keensight.core.records import ImageSpec
from keensight.errors import StoreError

_SCHEMA = 1
_STALE_SECONDS = 3600.0
_BUFFER_BYTES = 128 * 2**10
_MAP_LIMIT = 64 * 2**20
_PAGE_CLUSTER = 64 * 2**10


def cache_directory() -> Path:
    """The folder of decoded pixels: KEENSIGHT_CACHE, else the user's cache folder."""
    given = os.environ.get("KEENSIGHT_CACHE")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "keensight" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "keensight"
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "keensight"


def _home() -> Path:
    """The user's home folder, or one of temporary files if this user has none, as in some containers.

    Raises:
        StoreError: another user has created that one.
    """
    with suppress(RuntimeError):
        return Path.home()
    folder = Path(tempfile.gettempdir()) / f"keensight-{os.getuid()}"
    with storing(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid != os.getuid() or folder.is_symlink():
            raise StoreError(f"{folder} belongs to another user", "set KEENSIGHT_CACHE to a folder for decoded images")
    return folder


@dataclass(frozen=True, slots=True)
class Shard:
    """The index of one shard."""

    rows: Path
    digests: tuple[str, ...]
    failed: Mapping[str, str]
    """Digest to error message, for images that cannot be decoded."""

    @property
    def name(self) -> str:
        """Its path in the cache, without suffix."""
        return _name(self.rows)


def _name(rows: Path) -> str:
    return rows.with_suffix("").relative_to(cache_directory()).as_posix()


def digests_of(index: Path) -> Iterator[str]:
    """The images of a shard by its index, then those that cannot be decoded; nothing if it is damaged."""
    with suppress(StoreError, KeyError, TypeError):
        plain = read_json(index)
        yield from plain["digests"]
        yield from plain["failed"]


def spec_folder(spec: ImageSpec) -> Path:
    """The folder of shards of one size and decoder."""
    return cache_directory() / "pixels" / spec.key


def find_shards(folder: Path, row_bytes: int | None = None) -> list[Shard]:
    """The complete shards of a folder, oldest name first; damaged ones are skipped.

    Args:
        folder: A folder from :func:`spec_folder`.
        row_bytes: Bytes of one image; if given, a shard of another size counts as damaged.
    """
    shards = (_read_shard(path, row_bytes) for path in sorted(folder.glob("*.json")))
    return [shard for shard in shards if shard is not None]


def _read_shard(path: Path, row_bytes: int | None) -> Shard | None:
    try:
        index = read_json(path)
        if index["schema"] != _SCHEMA:
            return None
        shard = Shard(path.with_suffix(".rows"), tuple(index["digests"]), dict(index["failed"]))
        size = shard.rows.stat().st_size
    except (StoreError, OSError, KeyError, TypeError, ValueError):
        return None
    texts = all(isinstance(text, str) for text in (*shard.digests, *shard.failed, *shard.failed.values()))
    whole = row_bytes is None or size == len(shard.digests) * row_bytes
    return shard if whole and texts else None


def locate(shards: Collection[Shard], wanted: Collection[str]) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Locations (shard, row) of the needed digests, and errors of those that cannot be decoded."""
    found: dict[str, tuple[int, int]] = {}
    failed: dict[str, str] = {}
    for number, shard in enumerate(shards):
        found.update((d, (number, row)) for row, d in enumerate(shard.digests) if d in wanted)
        failed.update((d, reason) for d, reason in shard.failed.items() if d in wanted)
    return found, failed


def remove_stale(folder: Path) -> None:
    """Remove leftovers of killed processes: hidden files, and rows without an index, older than an hour."""
    for path in folder.glob("*"):
        abandoned = path.name.startswith(".") or (path.suffix == ".rows" and not path.with_suffix(".json").exists())
        with suppress(OSError):  # another process may be cleaning too
            if abandoned and time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


class ShardWriter:
    """Writer of one shard; nothing is visible under its name before :meth:`finish`.

    Every method raises StoreError if the disk is full or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        # Names begin with the time, so that a folder lists its shards by age.
        self._rows = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.rows"
        self._draft = Draft(self._rows, _BUFFER_BYTES)
        self.name = _name(self._rows)
        """Its path in the cache, without suffix."""
        self._digests: list[str] = []
        self._failed: dict[str, str] = {}
        self.size = 0
        """Bytes of pixels so far."""

    def add(self, digest: str, pixels: NDArray[np.uint8] | NDArray[np.float32]) -> None:
        """Append one image's row, a C-contiguous array."""
        self._draft.write(pixels.data)
        self._digests.append(digest)
        self.size += pixels.nbytes

    def fail(self, digest: str, reason: str) -> None:
        """Remember that an image cannot be decoded."""
        self._failed[digest] = reason

    def finish(self) -> None:
        """Make the complete shard visible; after an error, or if it is empty, nothing is kept."""
        if not self._digests and not self._failed:
            self.abort()
            return
        try:
            self._draft.commit()
            index = {"schema": _SCHEMA, "digests": self._digests, "failed": self._failed}
            write_json(self._rows.with_suffix(".json"), index)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Remove everything written, the index first."""
        self._draft.discard()
        for path in (self._rows.with_suffix(".json"), self._rows):
            with suppress(OSError):
                path.unlink(missing_ok=True)


class MappedShards:
    """Rows of several shards, memory-mapped; pages that were read are released regularly.

    Reading mapped pages counts as resident memory of this process, though the system could take
    them back. After 64 MiB of them they are released; they stay in the system's page cache.

    Args:
        shards: The shards to open.
        shape: (H, W, 3) of one row.
        keep: Never release: faster, if all shards together are small.

    Raises:
        StoreError: a file is missing.
    """

    def __init__(self, shards: Sequence[Shard], shape: tuple[int, int, int], keep: bool) -> None:
        self._shape = shape
        self._maps = [_map(shard.rows) for shard in shards]
        self._rows = [np.frombuffer(mapped, np.uint8).reshape(-1, *shape) for mapped in self._maps]
        # Reading a page also loads its neighbors, on Linux 64 KiB in all.
        self._row_cost = max(_PAGE_CLUSTER, shape[0] * shape[1] * shape[2])
        self._keep = keep or not hasattr(mmap, "MADV_DONTNEED")
        self._touched = 0

    def read(self, shard_of: NDArray[np.int32], row_of: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copies of some rows, shape (n, H, W, 3), each given by its shard and its row in it."""
        out = np.empty((len(row_of), *self._shape), np.uint8)
        step = max(1, len(out) if self._keep else _MAP_LIMIT // self._row_cost)
        for start in range(0, len(out), step):
            some = slice(start, start + step)
            self._gather(shard_of[some], row_of[some], out[some])
            self._touched += len(out[some]) * self._row_cost
            if self._touched >= _MAP_LIMIT and not self._keep:
                self._release()
        return out

    def _gather(self, shard_of: NDArray[np.int32], row_of: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        for number, rows in enumerate(self._rows):
            mine = np.flatnonzero(shard_of == number)
            if len(mine) == len(out):
                np.take(rows, row_of, axis=0, out=out, mode="clip")
            elif len(mine):
                out[mine] = rows[row_of[mine]]

    def _release(self) -> None:
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)
        self._touched = 0


def _map(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise StoreError(f"cached images cannot be read: {error}", "run it again") from error
