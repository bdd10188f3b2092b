"""How large the cache may become: what was not used for longest makes room."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from keensight.core.files import read_json, write_json
from keensight.data.cache_entries import entries, evict
from keensight.data.shards import cache_directory
from keensight.errors import StoreError, UsageError

VARIABLE = "KEENSIGHT_CACHE_LIMIT"
INDEX_BYTES = 120
"""What an image takes in the index of its shard and in the list of its set."""
_LEAST, _FRACTION = 20 * 10**9, 0.1
"""The default limit: 20 GB, or a tenth of the disk if that is more."""
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]?i?B)?\s*", re.IGNORECASE)
_NONE = "none"


def limit() -> float:
    """Largest size of the cache in bytes; infinite for ``none``.

    The environment variable KEENSIGHT_CACHE_LIMIT decides, else what :func:`set_limit` stored, else the default: 20 GB,
    or a tenth of the disk if that is more.

    Raises:
        UsageError: the variable is not a size.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return parse_size(given, VARIABLE)
    with suppress(StoreError, KeyError, TypeError, UsageError):  # none is stored, or the file is damaged
        if isinstance(stored := read_json(_stored())["limit"], str):
            return parse_size(stored)
    return max(_LEAST, _FRACTION * _disk()[0])


def set_limit(size: str) -> None:
    """Store a limit in the cache directory, such as ``50 GB`` or ``none``; ``default`` removes it.

    Raises:
        UsageError: it is not a size.
        StoreError: it cannot be written.
    """
    if size.strip().lower() == "default":
        _stored().unlink(missing_ok=True)
        return
    parse_size(size)
    write_json(_stored(), {"limit": size.strip()})


def parse_size(text: str, name: str = "the limit of the cache") -> float:
    """A size in bytes; a number without a unit is in GB.

    Raises:
        UsageError: it is not a size.
    """
    if text.strip().lower() == _NONE:
        return float("inf")
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"{name} is {text!r}, which is not a size", "give for example 50GB, 500MB, 0 or none")
    return float(found[1]) * _UNITS[(found[2] or "GB").upper()]


def make_room(needed: int, margin: int = 0) -> None:
    """Let the cache have room for more, by removing what was not used for longest and is not in use.

    Args:
        needed: Bytes that will be written.
        margin: Bytes of the disk to leave free.

    Raises:
        StoreError: that is not enough.
        UsageError: the limit is not a size.
    """
    most, (_, free) = limit(), _disk()
    held = sum(entry.bytes for entry in entries())
    excess = max(held + needed - most, needed + margin - free)
    if excess <= 0 or evict(int(excess)):
        return
    directory = cache_directory()
    if needed + margin > free:
        raise StoreError(
            f"not enough space in {directory}: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free",
            "free some space, or point KEENSIGHT_CACHE at another disk",
        )
    raise StoreError(
        f"the cache may have {most / 1e9:.1f} GB, which is too little for {needed / 1e9:.1f} GB more",
        f"raise the limit: `keensight cache limit {(held + needed) // 10**9 + 1}GB`, or {VARIABLE}",
    )


def _stored() -> Path:
    return cache_directory() / "limit.json"


def _disk() -> tuple[int, int]:
    """Size of the disk and what is free of it, in bytes."""
    directory = cache_directory()
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    found = shutil.disk_usage(directory)
    return found.total, found.free
