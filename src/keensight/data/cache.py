"""A dataset's decoded images as uint8 rows, decoded only once.

:func:`prepare` decodes what is not yet in the cache directory, keyed by content, and returns :class:`Pixels`, from
which batches are read. The files are those of :mod:`.shards`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core.decoded import Pixels
from keensight.core.files import sha256
from keensight.core.parallel import ordered, processors
from keensight.core.pixels import decode, decode_each
from keensight.core.progress import Progress, Silent
from keensight.core.records import Dataset, ImageSpec
from keensight.data.cache_entries import CacheUsage, Claim, clear, usage
from keensight.data.cache_limit import INDEX_BYTES, make_room
from keensight.data.cache_sets import note_set
from keensight.data.input_size import survey_spec
from keensight.data.pixels import ArrayPixels, Surveyed, array_pixels, checked_indices
from keensight.data.shards import (
    MappedShards,
    Shard,
    ShardWriter,
    cache_directory,
    find_shards,
    locate,
    remove_stale,
    spec_folder,
)
from keensight.errors import DataError, ImageError, StoreError

__all__ = ["CacheUsage", "cache_directory", "clear", "prepare", "survey_spec", "usage"]

CacheMode = Literal["auto", "always", "never"]

CHANGED = "the file has changed since the dataset was opened"
"""Why an image has no pixels if its content no longer matches its digest."""

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
    """Decode what is not decoded yet, and return all images of a dataset.

    Small arrays of the right size stay in memory. Everything else is decoded into the cache directory, each distinct
    content once. If the disk is full (``auto``) or on request (``never``), images are decoded again at each use. One
    decoding pass is made here even then, because bad images must be known before training starts.

    If the survey pixels of the set (:func:`.survey_spec`) are missing too, the same pass creates them. On Ctrl-C the
    images decoded so far are kept as complete shards, and the next call continues from there.

    Args:
        dataset: Its samples with an ``error`` are not touched; the reason is passed on.
        spec: The size wanted.
        mode: ``auto``, ``always`` (a full disk is an error) or ``never`` (no file is written).
        workers: Decoding threads; default: one per CPU that this process may use.
        progress: Where to report.

    Raises:
        StoreError: with ``always``, the cache directory is full or cannot be written.
        DataError: the dataset has no images available.
    """
    surveyed = _surveyed(dataset, spec)
    specs = list(dict.fromkeys((spec, surveyed)))
    made: dict[ImageSpec, _Kept] = {one: held for one in specs if (held := array_pixels(dataset, one)) is not None}
    decoded = [one for one in specs if one not in made]
    if decoded:
        made |= _Job(dataset, decoded, workers or processors(), progress or Silent()).pixels(mode)
    if spec != surveyed:
        made[spec].keep_survey(made[surveyed])
    return made[spec]


def _surveyed(dataset: Dataset, spec: ImageSpec) -> ImageSpec:
    size = survey_spec(dataset)
    return replace(spec, height=size.height, width=size.width, fit=size.fit)


class Undecoded:
    """What :func:`prepare` would decode; what it would find in the cache is claimed as long as this exists.

    Args:
        dataset: The image set.
        spec: The size wanted.
    """

    def __init__(self, dataset: Dataset, spec: ImageSpec) -> None:
        wanted = dict.fromkeys((spec, _surveyed(dataset, spec)))
        self.specs = tuple(one for one in wanted if array_pixels(dataset, one) is None)
        """The sizes."""
        self._job = _Job(dataset, self.specs, 1, Silent())
        self._job.hold()
        rows = [self._job.indices[digest][0] for digest in self._job.missing()]
        self.rows = np.array(rows, np.int64)
        """A sample for each content, by its number."""

    def make_room(self) -> None:
        """Let the cache have room for all of them.

        Raises:
            StoreError: that is not possible.
        """
        self._job.require_space(_DISK_MARGIN)


def decode_into(dataset: Dataset, specs: Sequence[ImageSpec]) -> None:
    """Decode in this thread what is not in the cache, at some sizes.

    Images that cannot be decoded are left out, and not remembered: another machine may be able to.

    Raises:
        StoreError: the cache directory is full or cannot be written.
    """
    _Job(dataset, specs, 1, Silent(), remembers=False).fill(0)


_Decoded = list[tuple["_Size", NDArray[np.uint8]]]
_Outcome = tuple[str, _Decoded | str, bool]


class _Size:
    """The cached images of a dataset at one size."""

    def __init__(self, spec: ImageSpec, wanted: Collection[str]) -> None:
        self.spec = spec
        self.folder = spec_folder(spec)
        self.row_bytes = spec.height * spec.width * 3
        self.decoded = 0
        self.look(wanted)

    def look(self, wanted: Collection[str]) -> None:
        """Find the needed digests in the existing shards."""
        self.shards: list[Shard] = find_shards(self.folder, self.row_bytes)
        self.found, failed = locate(self.shards, wanted)
        self.failed = {digest: reason for digest, reason in failed.items() if digest not in self.found}

    def hold(self, claim: Claim, wanted: Collection[str]) -> None:
        """Claim the shards that were found; if some have been removed before that, look again."""
        while used := [self.shards[number] for number in {shard for shard, _ in self.found.values()}]:
            claim.add([shard.name for shard in used])
            if all(shard.rows.exists() for shard in used):
                break
            self.look(wanted)

    def lacks(self, digest: str) -> bool:
        """Whether it has neither pixels nor an error."""
        return digest not in self.found and digest not in self.failed


class _Job:
    """One call of :func:`prepare`: the known images at each size, and the decoding of the rest."""

    def __init__(
        self,
        dataset: Dataset,
        specs: Sequence[ImageSpec],
        workers: int,
        progress: Progress,
        *,
        remembers: bool = True,
    ) -> None:
        self.dataset, self.workers, self.progress, self._remembers = dataset, workers, progress, remembers
        self.indices: dict[str, list[int]] = {}
        self.errors: dict[int, str] = {}
        for index, sample in enumerate(dataset.samples):
            if sample.error is not None:
                self.errors[index] = sample.error
            elif sample.digest:
                self.indices.setdefault(sample.digest, []).append(index)
            else:
                raise DataError(f"{sample.path} has neither a digest nor an error", "open the dataset again")
        self.sizes = [_Size(spec, self.indices) for spec in specs]
        self.claim = Claim()
        self.failed: dict[str, str] = {}
        self.checked: set[str] = set()

    def pixels(self, mode: CacheMode) -> dict[ImageSpec, _Kept]:
        """The images at each size; an image that fails at one of them has no pixels at any."""
        if mode == "never":
            return self._stream()
        try:
            self.fill(_DISK_MARGIN if mode == "auto" else 0)
            self.claim.add([note_set(self.dataset, self.indices)])
            return {size.spec: CachedPixels(self, size) for size in self.sizes}
        except StoreError as error:
            if mode == "always":
                raise
            self.progress.say(f"The cache is not used, so images are decoded again in each epoch: {error.message}.")
        return self._stream()

    def fill(self, margin: int) -> None:
        """Decode what is missing into the cache, if the disk keeps ``margin`` bytes.

        Raises:
            StoreError: the disk is full, or the cache cannot be written.
        """
        self.hold()
        self.require_space(margin)
        self._write()

    def hold(self) -> None:
        """Claim what is in the cache."""
        for size in self.sizes:
            size.hold(self.claim, self.indices)

    def missing(self) -> list[str]:
        """Digests of images that have neither pixels nor an error at one of the sizes."""
        return [digest for digest in self.indices if any(size.lacks(digest) for size in self.sizes)]

    def _missing(self, size: _Size) -> list[str]:
        return [digest for digest in self.indices if size.lacks(digest)]

    def require_space(self, margin: int) -> None:
        """Raise StoreError if the cache has no room for the rest, or the disk would not have ``margin`` bytes left."""
        missing = [(len(self._missing(size)), size.row_bytes) for size in self.sizes]
        if needed := sum(count * (row_bytes + INDEX_BYTES) for count, row_bytes in missing):
            make_room(needed + INDEX_BYTES, margin)

    def _write(self) -> None:
        """Decode what is missing into new shards.

        Raises:
            StoreError: they cannot be written; those of this call are removed.
        """
        for size in self.sizes:
            remove_stale(size.folder)
        missing = self.missing()
        if not missing:
            return
        with _Shards(self.claim) as shards, closing(self._decode(missing, self.sizes)) as outcomes:
            for digest, outcome, lasting in outcomes:
                if isinstance(outcome, str):
                    lasting = lasting and self._remembers
                    lacking = [size.folder for size in self.sizes if lasting and size.lacks(digest)]
                    shards.fail(lacking, digest, outcome)
                else:
                    shards.add(digest, outcome)
        expected = self.indices.keys() - self.failed.keys()
        for size in self.sizes:
            size.look(self.indices)
            size.hold(self.claim, self.indices)
            if any(size.lacks(digest) for digest in expected):
                raise StoreError("the cache was cleared while it was written", "run it again")

    def _decode(self, digests: list[str], sizes: Sequence[_Size]) -> Generator[_Outcome, None, None]:
        """(digest, pixels or error, whether the content causes the error), in the given order."""
        n = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // sum(size.row_bytes for size in sizes)))
        chunks = [digests[i : i + n] for i in range(0, len(digests), n)]

        def decode_chunk(chunk: list[str]) -> list[tuple[_Decoded | str, bool]]:
            return [self._decode_one(digest, [size for size in sizes if size.lacks(digest)]) for digest in chunk]

        running = closing(ordered(decode_chunk, chunks, self.workers))
        with self.progress.task("decoding", len(digests)) as task, running as results:
            for chunk, outcomes in zip(chunks, results, strict=True):
                for digest, (outcome, lasting) in zip(chunk, outcomes, strict=True):
                    self._note(digest, outcome)
                    yield digest, outcome, lasting
                task.advance(len(chunk))

    def _note(self, digest: str, outcome: _Decoded | str) -> None:
        self.checked.add(digest)
        if isinstance(outcome, str):
            self.failed[digest] = outcome
            return
        for size, _ in outcome:
            size.decoded += 1

    def _decode_one(self, digest: str, sizes: Sequence[_Size]) -> tuple[_Decoded | str, bool]:
        reason = ""
        for index in self.indices[digest]:
            try:
                raw = self.dataset.load(index)
            except ImageError as error:  # this copy is missing; there may be another
                reason = error.message
                continue
            if isinstance(raw, bytes) and sha256(raw) != digest:
                reason = CHANGED
                continue
            try:
                return list(zip(sizes, decode_each(raw, [size.spec for size in sizes]), strict=True)), True
            except ImageError as error:
                return error.message, not isinstance(error.__cause__, (MemoryError, ImportError))
        return reason, False

    def all_errors(self) -> dict[int, str]:
        """Index to reason, in the order of the samples."""
        errors = dict(self.errors)
        for failed in (*(size.failed for size in self.sizes), self.failed):
            for digest, reason in failed.items():
                errors.update((index, reason) for index in self.indices[digest])
        return dict(sorted(errors.items()))

    def _stream(self) -> dict[ImageSpec, _Kept]:
        """Pixels without a cache, after a pass that finds the images that cannot be decoded."""
        size = self.sizes[0]
        unknown = [digest for digest in self._missing(size) if digest not in self.checked]
        with closing(self._decode(unknown, [size])) as outcomes:
            deque(outcomes, maxlen=0)
        return {size.spec: StreamedPixels(self, size) for size in self.sizes}


class _Shards:
    """The shards of one call: a new one starts when one is full, so that a killed process loses little.

    After an interrupt or an unreadable source, what is written is kept as complete shards. If the disk is full,
    everything that this call wrote is removed.
    """

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._writers: list[ShardWriter] = []
        self._open: dict[Path, ShardWriter] = {}

    def _writer(self, folder: Path) -> ShardWriter:
        if folder in self._open and self._open[folder].size >= _SHARD_BYTES:
            self._open.pop(folder).finish()
        if folder not in self._open:
            self._open[folder] = ShardWriter(folder)
            self._claim.add([self._open[folder].name])
            self._writers.append(self._open[folder])
        return self._open[folder]

    def add(self, digest: str, decoded: _Decoded) -> None:
        for size, pixels in decoded:
            self._writer(size.folder).add(digest, pixels)

    def fail(self, folders: Sequence[Path], digest: str, reason: str) -> None:
        for folder in folders:
            self._writer(folder).fail(digest, reason)

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
            for writer in self._open.values():
                writer.finish()
        except BaseException:
            self._remove()
            raise

    def _remove(self) -> None:
        for writer in self._writers:
            writer.abort()


class CachedPixels(Surveyed):
    """Pixels in shards on disk, memory-mapped."""

    def __init__(self, job: _Job, size: _Size) -> None:
        self.spec = size.spec
        self.shape = size.spec.shape
        self.errors: Mapping[int, str] = job.all_errors()
        self.decoded = size.decoded
        self._dataset = job.dataset
        self._claim = job.claim
        used = sorted({shard for shard, _ in size.found.values()})
        shards = [size.shards[number] for number in used]
        small = sum(len(shard.digests) for shard in shards) * size.row_bytes < _RESIDENT_BYTES
        self._shards = MappedShards(shards, self.shape, keep=small)
        self._shard_of = np.full(len(job.dataset), -1, dtype=np.int32)
        self._row_of = np.zeros(len(job.dataset), dtype=np.int64)
        for digest, (shard, row) in size.found.items():
            self._shard_of[job.indices[digest]] = used.index(shard)
            self._row_of[job.indices[digest]] = row

    def __len__(self) -> int:
        return len(self._dataset)

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Images in the given order (see :class:`Pixels`)."""
        wanted = checked_indices(indices, self.errors, self._dataset)
        return self._shards.read(self._shard_of[wanted], self._row_of[wanted])


class StreamedPixels(Surveyed):
    """Pixels decoded each time they are taken, by the same decoder."""

    def __init__(self, job: _Job, size: _Size) -> None:
        self.spec = size.spec
        self.shape = size.spec.shape
        self.errors: Mapping[int, str] = job.all_errors()
        self.decoded = size.decoded
        self._dataset = job.dataset
        self._pool = ThreadPoolExecutor(job.workers, thread_name_prefix="keensight-stream")

    def __len__(self) -> int:
        return len(self._dataset)

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Images in the given order (see :class:`Pixels`).

        Raises:
            ImageError: a file that could be decoded before has changed, or can no longer be read.
        """
        wanted = checked_indices(indices, self.errors, self._dataset)
        out = np.empty((len(wanted), *self.shape), np.uint8)
        list(self._pool.map(self._fill, out, wanted.tolist()))
        return out

    def _fill(self, row: NDArray[np.uint8], index: int) -> None:
        try:
            raw = self._dataset.load(index)
            if isinstance(raw, bytes) and sha256(raw) != self._dataset.samples[index].digest:
                raise ImageError(CHANGED)
            row[...] = decode(raw, self.spec)
        except ImageError as error:
            raise ImageError(f"{self._dataset.samples[index].path}: {error.message}", error.hint) from error


_Kept = ArrayPixels | CachedPixels | StreamedPixels
