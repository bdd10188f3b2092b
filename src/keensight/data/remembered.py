"""Copies of a set that was looked at before: kept in the cache, by the content of the whole set."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from keensight.core.codec import from_plain, to_plain
from keensight.core.files import read_json, write_json
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.data.near import Copies, near_copies
from keensight.data.shards import cache_directory
from keensight.data.views import Pixels
from keensight.errors import StoreError

_VERSION = 1
"""Raised where :func:`near_copies` comes to find other pairs."""
_PROBES = 4


def remembered_copies(dataset: Dataset, pixels: Pixels, progress: Progress | None = None) -> Copies:
    """:func:`near_copies`, computed once for each set, order and decoded size."""
    path = cache_directory() / "copies" / f"{_key(dataset, pixels)}.json"
    with suppress(StoreError):
        if path.exists():
            return from_plain(Copies, read_json(path))
    found = near_copies(dataset, pixels, progress)
    with suppress(StoreError):  # a full disk: computed again the next time
        write_json(path, to_plain(found))
    return found


def _key(dataset: Dataset, pixels: Pixels) -> str:
    """A digest of all images and of how they were decoded, which a few decoded ones tell."""
    usable = [i for i in range(len(dataset)) if i not in pixels.errors]
    hashed = hashlib.sha256(f"{_VERSION} {pixels.shape}\n".encode())
    for i, sample in enumerate(dataset.samples):
        hashed.update(f"{sample.digest} {i not in pixels.errors}\n".encode())
    if usable:
        hashed.update(pixels.take(usable[:: max(1, len(usable) // _PROBES)]).data)
    return hashed.hexdigest()[:32]
