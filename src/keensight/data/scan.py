"""One pass over decoded images that takes several measures of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.parallel import ordered, processors
from keensight.core.progress import Progress, Silent
from keensight.data.views import Pixels

Measure = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""From uint8 images (n, height, width, 3) to one row an image, (n, ...)."""

_CHUNK_BYTES = 4 * 2**20


def scan(
    pixels: Pixels, rows: NDArray[np.int64], measures: Sequence[Measure], *, progress: Progress | None = None
) -> list[NDArray[Any]]:
    """Take measures of some images; each image is read once, and only a few are in memory at a time.

    Args:
        pixels: Decoded images by dataset index.
        rows: Dataset indices, shape (n,), n at least 1.
        measures: Functions of a batch of images; they are called in several threads.
        progress: Where to report.

    Returns:
        For each measure its rows (n, ...), in the order of ``rows``.
    """
    size = max(1, _CHUNK_BYTES // prod(pixels.shape))
    chunks = [rows[begin : begin + size] for begin in range(0, len(rows), size)]

    def look(chunk: NDArray[np.int64]) -> list[NDArray[Any]]:
        images = pixels.take(chunk)
        return [measure(images) for measure in measures]

    found: list[list[NDArray[Any]]] = []
    with (progress or Silent()).task("looking at the images", len(rows)) as task:
        for chunk, taken in zip(chunks, ordered(look, chunks, processors()), strict=True):
            found.append(taken)
            task.advance(len(chunk))
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]
