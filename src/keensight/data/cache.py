"""Images of a dataset as uint8 rows, decoded once.

:func:`prepare` decodes what the cache directory does not hold yet, keyed by content, and gives
back a :class:`Pixels` from which batches are gathered. The files are those of :mod:`.shards`.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core.files import sha256
from keensight.core.parallel import ordered, processors
from keensight.core.pixels import decode
from keensight.core.progress import Progress, Silent
from keensight.core.records import Dataset, ImageSpec
from keensight.data.shards import (
    CacheUsage,
    MappedShards,
    Shard,
    ShardWriter,
    cache_directory,
    clear,
    find_shards,
    locate,
    remove_stale,
    spec_folder,
    usage,
)
from keensight.data.views import Pixels, array_pixels, checked_indices
from keensight.errors import DataError, ImageError, StoreError

__all__ = ["CacheUsage", "Pixels", "cache_directory", "clear", "prepare", "usage"]

CacheMode = Literal["auto", "always", "never"]
_Outcome = tuple[str, NDArray[np.uint8] | str, bool]

CHANGED = "the file has changed since the dataset was opened"
"""Reason for which an image has no pixels where its content is no longer that of its digest."""

_DISK_MARGIN = 2**30
_SHARD_BYTES = 512 * 2**20
_RESIDENT_BYTES = 256 * 2**20
_CHUNK_BYTES = 2 * 2**20
_CHUNK_IMAGES = 32


def prepare(
    dataset: Dataset,
    spec: ImageSpec,
    *,
    mode: CacheMode = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Pixels:
    """Decode what is not decoded yet, and hand out all images of a dataset.

    Small arrays that have the size wanted stay in memory. Everything else is decoded into the cache
    directory, each distinct content once; where the disk has no room (``auto``) or on request
    (``never``) images are decoded anew each time they are taken. Then one pass of decoding is made
    here too, since a bad image must be known before the training starts.

    On Ctrl-C the images decoded so far are kept as a complete shard, and the next call goes on there.

    Args:
        dataset: Its samples with an ``error`` are not touched; the reason is passed on.
        spec: The size wanted.
        mode: ``auto``, ``always`` (a full disk is an error) or ``never`` (no file is written).
        workers: Decoding threads; left out: one per processor that this process may use.
        progress: Where to report.

    Raises:
        StoreError: with ``always``, the cache directory is full or cannot be written.
        DataError: the dataset has no images at hand.
    """
    progress = progress or Silent()
    arrays = array_pixels(dataset, spec)
    if arrays is not None:
        return arrays
    job = _Job(dataset, spec, workers or processors(), progress)
    if mode == "never":
        return job.stream()
    try:
        job.require_space(_DISK_MARGIN if mode == "auto" else 0)
        job.write()
        return CachedPixels(job)
    except StoreError as error:
        if mode == "always":
            raise
        progress.say(f"The cache is not used, so images are decoded anew in each epoch: {error.message}.")
    return job.stream()


class _Job:
    """One call of :func:`prepare`: what is known of each digest, and the decoding of the rest."""

    def __init__(self, dataset: Dataset, spec: ImageSpec, workers: int, progress: Progress) -> None:
        self.dataset, self.spec, self.workers, self.progress = dataset, spec, workers, progress
        self.row_bytes = spec.height * spec.width * 3
        self.decoded = 0
        self.indices: dict[str, list[int]] = {}
        self.errors: dict[int, str] = {}
        for index, sample in enumerate(dataset.samples):
            if sample.error is not None:
                self.errors[index] = sample.error
            elif sample.digest:
                self.indices.setdefault(sample.digest, []).append(index)
            else:
                raise DataError(f"{sample.path} has neither a digest nor an error", "open the dataset again")
        self.failed: dict[str, str] = {}
        self.checked: set[str] = set()
        self._look()

    def _look(self) -> None:
        self.shards: list[Shard] = find_shards(spec_folder(self.spec), self.row_bytes)
        self.found, failed = locate(self.shards, self.indices)
        self.failed.update((digest, reason) for digest, reason in failed.items() if digest not in self.found)

    @property
    def missing(self) -> list[str]:
        known = self.found.keys() | self.failed.keys() | self.checked
        return [digest for digest in self.indices if digest not in known]

    def require_space(self, margin: int) -> None:
        """Raise StoreError where what is missing would not leave ``margin`` bytes of the disk free."""
        needed = len(self.missing) * self.row_bytes
        directory = cache_directory()
        if needed and (free := _free_bytes(directory)) < needed + margin:
            raise StoreError(
                f"the disk of {directory} is too full: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free",
                "free some space, or point KEENSIGHT_CACHE at another disk",
            )

    def write(self) -> None:
        """Decode what is missing into new shards.

        Raises:
            StoreError: they cannot be written; those of this call are gone again.
        """
        folder = spec_folder(self.spec)
        remove_stale(folder)
        missing = self.missing
        if not missing:
            return
        with _Shards(folder) as shards, closing(self._decode(missing)) as outcomes:
            for digest, outcome, lasting in outcomes:
                if not isinstance(outcome, str):
                    shards.add(digest, outcome)
                elif lasting:
                    shards.fail(digest, outcome)
        self._look()
        if self.indices.keys() - self.found.keys() - self.failed.keys():
            raise StoreError("the cache was cleared while it was written", "run it again")

    def _decode(self, digests: list[str]) -> Generator[_Outcome, None, None]:
        """(digest, pixels or reason, whether the reason lies in the content) in the order given."""
        size = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // self.row_bytes))
        chunks = [digests[i : i + size] for i in range(0, len(digests), size)]
        running = closing(ordered(self._decode_chunk, chunks, self.workers))
        with self.progress.task("decoding", len(digests)) as task, running as results:
            for chunk, outcomes in zip(chunks, results, strict=True):
                for digest, (outcome, lasting) in zip(chunk, outcomes, strict=True):
                    self.checked.add(digest)
                    if isinstance(outcome, str):
                        self.failed[digest] = outcome
                    else:
                        self.decoded += 1
                    yield digest, outcome, lasting
                task.advance(len(chunk))

    def _decode_chunk(self, digests: list[str]) -> list[tuple[NDArray[np.uint8] | str, bool]]:
        return [self._decode_one(digest) for digest in digests]

    def _decode_one(self, digest: str) -> tuple[NDArray[np.uint8] | str, bool]:
        reason = ""
        for index in self.indices[digest]:
            try:
                raw = self.dataset.load(index)
            except ImageError as error:  # this copy is gone; another may be there
                reason = error.message
                continue
            if isinstance(raw, bytes) and sha256(raw) != digest:
                reason = CHANGED
                continue
            try:
                return decode(raw, self.spec), True
            except ImageError as error:
                return error.message, not isinstance(error.__cause__, MemoryError)
        return reason, False

    def all_errors(self) -> dict[int, str]:
        """Index to reason, in the order of the samples."""
        errors = dict(self.errors)
        for digest, reason in self.failed.items():
            errors.update((index, reason) for index in self.indices[digest])
        return dict(sorted(errors.items()))

    def stream(self) -> StreamedPixels:
        """Pixels without a cache, after a pass that finds the images that cannot be decoded."""
        with closing(self._decode(self.missing)) as outcomes:
            deque(outcomes, maxlen=0)
        return StreamedPixels(self)


def _free_bytes(directory: Path) -> int:
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return shutil.disk_usage(directory).free


class _Shards:
    """The shards of one call: a new one begins when one is full, so that a kill loses little.

    Left by an interrupt or an unreadable source, what is written stays, as a complete shard. Left by a
    disk that is full, all that this call wrote is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: list[ShardWriter] = []
        self._open: ShardWriter | None = None

    def _writer(self) -> ShardWriter:
        if self._open is not None and self._open.size >= _SHARD_BYTES:
            self._open.finish()
            self._open = None
        if self._open is None:
            self._open = ShardWriter(self._folder)
            self._writers.append(self._open)
        return self._open

    def add(self, digest: str, pixels: NDArray[np.uint8]) -> None:
        self._writer().add(digest, pixels)

    def fail(self, digest: str, reason: str) -> None:
        self._writer().fail(digest, reason)

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._finish()
        elif isinstance(error, StoreError):
            self._remove()
        else:
            with suppress(StoreError):
                self._finish()

    def _finish(self) -> None:
        try:
            if self._open is not None:
                self._open.finish()
        except BaseException:
            self._remove()
            raise

    def _remove(self) -> None:
        for writer in self._writers:
            writer.abort()


class CachedPixels:
    """Pixels in shards on disk, memory-mapped."""

    def __init__(self, job: _Job) -> None:
        self.spec = job.spec
        self.shape = job.spec.shape
        self.errors: Mapping[int, str] = job.all_errors()
        self.decoded = job.decoded
        self._dataset = job.dataset
        used = sorted({shard for shard, _ in job.found.values()})
        shards = [job.shards[number] for number in used]
        small = sum(len(shard.digests) for shard in shards) * job.row_bytes < _RESIDENT_BYTES
        self._shards = MappedShards(shards, self.shape, keep=small)
        self._shard_of = np.full(len(job.dataset), -1, dtype=np.int32)
        self._row_of = np.zeros(len(job.dataset), dtype=np.int64)
        for digest, (shard, row) in job.found.items():
            self._shard_of[job.indices[digest]] = used.index(shard)
            self._row_of[job.indices[digest]] = row

    def __len__(self) -> int:
        return len(self._dataset)

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Images in the order asked for (see :class:`Pixels`)."""
        wanted = checked_indices(indices, self.errors, self._dataset)
        return self._shards.read(self._shard_of[wanted], self._row_of[wanted])


class StreamedPixels:
    """Pixels decoded each time they are taken, by the same decoder."""

    def __init__(self, job: _Job) -> None:
        self.spec = job.spec
        self.shape = job.spec.shape
        self.errors: Mapping[int, str] = job.all_errors()
        self.decoded = job.decoded
        self._dataset, self._spec = job.dataset, job.spec
        self._pool = ThreadPoolExecutor(job.workers, thread_name_prefix="keensight-stream")

    def __len__(self) -> int:
        return len(self._dataset)

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Images in the order asked for (see :class:`Pixels`).

        Raises:
            ImageError: a file that could be decoded before cannot be read any more.
        """
        wanted = checked_indices(indices, self.errors, self._dataset)
        out = np.empty((len(wanted), *self.shape), np.uint8)
        list(self._pool.map(self._fill, out, wanted.tolist()))
        return out

    def _fill(self, row: NDArray[np.uint8], index: int) -> None:
        try:
            row[...] = decode(self._dataset.load(index), self._spec)
        except ImageError as error:
            raise ImageError(f"{self._dataset.samples[index].path}: {error.message}", error.hint) from error
