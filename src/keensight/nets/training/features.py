"""Features of images, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keensight.core.decoded import IndexedImages
from keensight.core.progress import Phase, Progress, Silent
from keensight.nets.engines import Engine, Frozen

if TYPE_CHECKING:
    import keras

_SAVE_EVERY = 2048


class Known(Protocol):
    """Cached rows by image digest (``data.feature_cache``)."""

    def find(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The cached rows."""
        ...

    def add(self, digests: Sequence[str], rows: NDArray[np.float32]) -> None:
        """Save rows."""
        ...


class Remembered(dict[str, NDArray[np.float32]]):
    """Rows cached in memory."""

    def find(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The cached rows."""
        return {digest: self[digest] for digest in digests if digest in self}

    def add(self, digests: Sequence[str], rows: NDArray[np.float32]) -> None:
        """Save rows."""
        self.update(zip(digests, rows, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Features of images that somebody wants, and their keys in the cache."""

    network: keras.Model
    """From uint8 images to their features."""
    engine: Engine
    rows: NDArray[np.int64]
    """Dataset indices, (n,)."""
    digests: Sequence[str]
    """Digest of each of them."""
    key: str
    """Of the network's features in the cache."""
    values: int
    """Length of a vector."""


def extract(
    make: Callable[[], Frozen],
    pixels: IndexedImages,
    rows: NDArray[np.int64],
    digests: Sequence[str],
    known: Known | None = None,
    *,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Compute features of images; each distinct image is computed once, or not at all if it is cached.

    Args:
        make: Returns the network from uint8 images to features (n, d); called only if needed.
        pixels: Decoded images by dataset index.
        rows: Dataset indices, shape (n,).
        digests: Digest of each of them, in the same order.
        known: Cached rows, to which new ones are added. None: compute all.
        progress: Where to report.

    Returns:
        float32 (n, d), in the order of ``rows``.
    """
    place = {digest: int(row) for digest, row in zip(digests, rows, strict=True)}
    found = known.find(list(place)) if known else {}
    missing = [digest for digest in place if digest not in found]
    if missing:
        net = make()
        with (progress or Silent()).task("computing features", len(missing)) as task:
            for begin in range(0, len(missing), _SAVE_EVERY):
                some = missing[begin : begin + _SAVE_EVERY]
                new = run(net, pixels, np.array([place[digest] for digest in some]), task)
                found.update(zip(some, new, strict=True))
                if known:
                    known.add(some, new)
    return np.stack([found[digest] for digest in digests])


def run(
    net: Frozen, pixels: IndexedImages, rows: NDArray[np.int64], task: Phase, dtype: type = np.float32
) -> NDArray[Any]:
    """Outputs of a frozen network for some images, (n, *shape), computed on all CPUs or a GPU."""
    out: NDArray[Any] = np.empty((len(rows), *net.shape), dtype)
    size = net.chunk(pixels.shape)
    chunks = [rows[begin : begin + size] for begin in range(0, len(rows), size)]
    place = 0
    for some in net.stream(partial(pixels.take, chunk) for chunk in chunks):
        out[place : place + len(some)] = some
        place += len(some)
        task.advance(len(some))
    return out
