"""Copies of a set that was looked at before: kept in the cache, by the content of the whole set."""

from __future__ import annotations

from contextlib import suppress

from keensight.core.codec import from_plain, to_plain
from keensight.core.files import read_json, sha256, write_json
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.data.near import Copies, near_copies
from keensight.data.shards import cache_directory
from keensight.data.views import Pixels
from keensight.errors import StoreError

_VERSION = 1
"""Raised where :func:`near_copies` comes to find other pairs."""


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
    """A digest of all images in their order, and of how they were decoded."""
    lines = (f"{sample.digest} {i in pixels.errors}" for i, sample in enumerate(dataset.samples))
    return sha256("\n".join([f"{_VERSION} {pixels.spec.key}", *lines]).encode())[:32]
