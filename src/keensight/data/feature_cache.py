"""Features of images on disk, computed once for each network and image: shards of float32 rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from keensight.data.cache_entries import Claim
from keensight.data.cache_limit import INDEX_BYTES, make_room
from keensight.data.shards import ShardWriter, cache_directory, find_shards, locate, remove_stale
from keensight.errors import StoreError


class FeatureCache:
    """Feature vectors of one network, by image digest.

    Args:
        network: Digest of the network.
        values: Length of a vector.
    """

    def __init__(self, network: str, values: int) -> None:
        self._folder = cache_directory() / "features" / network[:32]
        self._values = values
        self._claim = Claim()

    def find(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The cached vectors, float32 (values,) each."""
        shards = find_shards(self._folder, 4 * self._values)
        places, _ = locate(shards, set(digests))
        rows: dict[int, NDArray[np.float32]] = {}
        used = {shard for shard, _ in places.values()}
        self._claim.add(sorted(shards[number].name for number in used))
        for number in used:
            with suppress(OSError, ValueError):  # removed by another process before that: computed again
                rows[number] = np.memmap(shards[number].rows, np.float32, "r").reshape(-1, self._values)
        return {digest: rows[shard][row] for digest, (shard, row) in places.items() if shard in rows}

    def read(self, digests: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The vectors of distinct images, (n, values), and which of them are cached, (n,)."""
        place = {digest: row for row, digest in enumerate(digests)}
        rows, known = np.zeros((len(place), self._values), np.float32), np.zeros(len(place), np.bool_)
        for shard in find_shards(self._folder, 4 * self._values):
            to = np.array([place.get(digest, -1) for digest in shard.digests], np.int64)
            wanted = np.flatnonzero(to >= 0)
            if not len(wanted):
                continue
            self._claim.add([shard.name])
            with suppress(OSError, ValueError):  # removed by another process before that: computed again
                held = np.memmap(shard.rows, np.float32, "r").reshape(-1, self._values)
                rows[to[wanted]], known[to[wanted]] = held[wanted], True
        return rows, known

    def add(self, digests: Sequence[str], rows: NDArray[np.float32]) -> None:
        """Save vectors, shape (n, values); if the disk or the cache is full, they are computed again next
        time."""
        with suppress(StoreError):
            remove_stale(self._folder)
            make_room(rows.nbytes + (len(rows) + 1) * INDEX_BYTES)
            writer = ShardWriter(self._folder)
            self._claim.add([writer.name])
            try:
                for digest, row in zip(digests, np.ascontiguousarray(rows), strict=True):
                    writer.add(digest, row)
                writer.finish()
            except BaseException:
                writer.abort()
                raise
