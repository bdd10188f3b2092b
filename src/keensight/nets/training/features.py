"""Features of images, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Phase, Progress, Silent
from keensight.nets.litert import FrozenNet
from keensight.nets.training.batches import Pixels

_CHUNK_PIXELS = 16 * 224 * 224
_SAVE_EVERY = 2048


class Known(Protocol):
    """Rows by image digest that were computed before (``data.feature_cache``)."""

    def find(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Those that are known."""
        ...

    def add(self, digests: Sequence[str], rows: NDArray[np.float32]) -> None:
        """Keep some."""
        ...


class Remembered(dict[str, NDArray[np.float32]]):
    """Rows that are known for as long as this object lives."""

    def find(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Those that are known."""
        return {digest: self[digest] for digest in digests if digest in self}

    def add(self, digests: Sequence[str], rows: NDArray[np.float32]) -> None:
        """Keep some."""
        self.update(zip(digests, rows, strict=True))


def extract(
    make: Callable[[], FrozenNet],
    pixels: Pixels,
    rows: NDArray[np.int64],
    digests: Sequence[str],
    known: Known | None = None,
    *,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Features of some images; each distinct image is computed once, and not at all if it is known.

    Args:
        make: Gives the network from uint8 images to features (n, d); called only if there is something to compute.
        pixels: Decoded images by dataset index.
        rows: Dataset indices, shape (n,).
        digests: Digest of each of them, in the same order.
        known: Rows computed before; what is computed here is added. None: compute all.
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


def run(net: FrozenNet, pixels: Pixels, rows: NDArray[np.int64], task: Phase, dtype: type = np.float32) -> NDArray[Any]:
    """Outputs of a frozen network for some images, (n, *shape), computed on all processors."""
    out: NDArray[Any] = np.empty((len(rows), *net.shape), dtype)
    size = max(1, _CHUNK_PIXELS // (pixels.shape[0] * pixels.shape[1]))
    chunks = [rows[begin : begin + size] for begin in range(0, len(rows), size)]
    place = 0
    for some in net.stream(partial(pixels.take, chunk) for chunk in chunks):
        out[place : place + len(some)] = some
        place += len(some)
        task.advance(len(some))
    return out
