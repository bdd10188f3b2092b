"""Decoded images for other processes: by their keys in the cache, or as one file."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core.codec import from_plain, to_plain
from keensight.core.decoded import IndexedImages, Pixels
from keensight.core.files import read_json, storing, write_json
from keensight.core.records import Dataset, ImageSpec
from keensight.data.cache import CachedPixels
from keensight.data.pixels import ArrayPixels
from keensight.data.shards import MappedShards, cache_directory, find_shards, locate, spec_folder
from keensight.errors import DataError, StoreError

_SPEC, _DIGESTS, _PIXELS = "spec.json", "digests.npy", "pixels.npy"
_SMALL = 256 * 2**20
CACHE_VARIABLE = "KEENSIGHT_CACHE"


def write_shared(pixels: Pixels, dataset: Dataset, rows: NDArray[np.int64], folder: Path) -> Mapping[str, str]:
    """Let other processes read some images.

    Args:
        pixels: Decoded images of the dataset.
        dataset: Their digests.
        rows: Which images; the others number them from 0 in this order.
        folder: Where the files are written.

    Returns:
        Environment variables that the others need.

    Raises:
        DataError: the images are decoded again at each use, without the cache.
        StoreError: the folder cannot be written.
    """
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(pixels, CachedPixels):
            np.save(folder / _DIGESTS, np.array([dataset.samples[int(row)].digest for row in rows], "S64"))
        elif isinstance(pixels, ArrayPixels):
            np.save(folder / _PIXELS, pixels.take(rows))
        else:
            raise DataError(
                "the workers of a distributed training read decoded images from the cache, which is not used here",
                "leave out data.cache=never, make room on the disk of the cache, or train without --workers",
            )
    write_json(folder / _SPEC, to_plain(pixels.spec))
    return {CACHE_VARIABLE: str(cache_directory().absolute())}


class SharedPixels:
    """Images that another process has decoded, by number.

    Args:
        spec: Their size and decoder.
        digests: Digest of each image.

    Raises:
        StoreError: the cache of this process does not have them all.
    """

    def __init__(self, spec: ImageSpec, digests: list[str]) -> None:
        self.shape = spec.shape
        row_bytes = spec.height * spec.width * 3
        shards = find_shards(spec_folder(spec), row_bytes)
        found, _ = locate(shards, set(digests))
        if missing := sum(digest not in found for digest in digests):
            raise StoreError(
                f"the cache {cache_directory()} on {platform.node()} lacks {missing:,} of {len(digests):,} "
                "decoded images",
                "the workers of a distributed training read the cache of the machine that starts it: set "
                f"{CACHE_VARIABLE} to a folder on a file system that all of them share",
            )
        used = sorted({shard for shard, _ in found.values()})
        small = sum(len(shards[number].digests) for number in used) * row_bytes < _SMALL
        self._shards = MappedShards([shards[number] for number in used], self.shape, keep=small)
        place = {shard: number for number, shard in enumerate(used)}
        self._shard_of = np.array([place[found[digest][0]] for digest in digests], np.int32)
        self._row_of = np.array([found[digest][1] for digest in digests], np.int64)

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Images in the given order (see :class:`IndexedImages`)."""
        wanted = np.asarray(indices, np.int64)
        return self._shards.read(self._shard_of[wanted], self._row_of[wanted])


class _FilePixels:
    def __init__(self, path: Path) -> None:
        self._rows = np.load(path, mmap_mode="r", allow_pickle=False)
        self.shape: tuple[int, int, int] = self._rows.shape[1:]

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        return np.asarray(self._rows[np.asarray(indices, np.int64)])


def read_shared(folder: Path) -> IndexedImages:
    """The images of :func:`write_shared`, in another process.

    Raises:
        StoreError: its cache is another one, or a file is missing or damaged.
    """
    try:
        if (folder / _PIXELS).is_file():
            return _FilePixels(folder / _PIXELS)
        digests = np.load(folder / _DIGESTS, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StoreError(f"the list of images in {folder} cannot be read: {error}", "train again") from error
    spec = from_plain(ImageSpec, read_json(folder / _SPEC), "spec")
    return SharedPixels(spec, [digest.decode() for digest in digests.tolist()])
