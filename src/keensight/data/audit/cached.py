"""What an audit computed before, kept in the cache: looks by image, copies by the content of the whole set."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from keensight.core.codec import from_plain, to_plain
from keensight.core.decoded import Pixels
from keensight.core.files import read_json, sha256, write_json
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.data.audit.near_duplicates import Copies, find_near_duplicates
from keensight.data.audit.quality import MEASURES, looks
from keensight.data.cache import StreamedPixels
from keensight.data.feature_cache import FeatureCache
from keensight.data.pixels import scan
from keensight.data.shards import cache_directory
from keensight.errors import KeensightError, StoreError

_VERSION = 3
"""Raised where :func:`find_near_duplicates` comes to find other pairs."""
_PURPOSE = "checking image quality"
_LOOKS_VERSION = 2
"""Raised where ``quality.looks`` computes different values."""


def _remembers(pixels: Pixels) -> bool:
    """Not for images that are decoded again each time, as nothing of them is to lie on the disk."""
    return not isinstance(pixels, StreamedPixels)


def remembered_looks(
    dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64], progress: Progress | None = None
) -> NDArray[np.float32]:
    """``quality.looks`` of some images (n, measures), computed once for each and decoded size."""
    if not _remembers(pixels):
        (measured,) = scan(pixels, rows, [looks], purpose=_PURPOSE, progress=progress)
        return measured
    cache = FeatureCache(sha256(f"looks {_LOOKS_VERSION} {pixels.spec.key}".encode()), MEASURES)
    number: dict[str, int] = {}
    numbers = np.array([number.setdefault(dataset.samples[row].digest, len(number)) for row in rows.tolist()])
    distinct = np.empty(len(number), np.int64)
    distinct[numbers] = rows
    digests = list(number)
    found, known = cache.read(digests)
    missing = np.flatnonzero(~known)
    if len(missing):
        (found[missing],) = scan(pixels, distinct[missing], [looks], purpose=_PURPOSE, progress=progress)
        cache.add([digests[place] for place in missing.tolist()], found[missing])
    remembered: NDArray[np.float32] = found[numbers]
    return remembered


def cached_duplicates(dataset: Dataset, pixels: Pixels, progress: Progress | None = None) -> Copies:
    """:func:`find_near_duplicates`, computed once for each set, order and decoded size."""
    if not _remembers(pixels):
        return find_near_duplicates(dataset, pixels, progress)
    path = cache_directory() / "copies" / f"{_key(dataset, pixels)}.json"
    with suppress(KeensightError):  # damaged: computed again
        if path.exists():
            known = from_plain(Copies, read_json(path))
            if all(0 <= pair.first < pair.second < len(dataset) for pair in known.pairs):
                return known
    found = find_near_duplicates(dataset, pixels, progress)
    with suppress(StoreError):  # a full disk: computed again the next time
        write_json(path, to_plain(found))
    return found


def _key(dataset: Dataset, pixels: Pixels) -> str:
    """A digest of all images in their order, and of how they were decoded."""
    found = hashlib.sha256(f"{_VERSION} {pixels.spec.key}".encode())
    for i, sample in enumerate(dataset.samples):
        found.update(f"\n{sample.digest} {i in pixels.errors}".encode())
    return found.hexdigest()[:32]
