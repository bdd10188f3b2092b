"""Images that are already in memory, and passes over the decoded images of a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core.decoded import Pixels
from keensight.core.parallel import ordered, processors
from keensight.core.progress import Progress, Silent
from keensight.core.records import Dataset, ImageSpec
from keensight.errors import DataError, ImageError

_ARRAY_BYTES = 500 * 2**20


class Surveyed:
    """Pixels that are their own survey pixels, unless :meth:`keep_survey` sets others."""

    _survey: Pixels | None = None

    @property
    def survey(self) -> Pixels:
        """See :attr:`Pixels.survey`."""
        return cast("Pixels", self) if self._survey is None else self._survey

    def keep_survey(self, survey: Pixels) -> None:
        """Set :attr:`survey` to these pixels of the same images."""
        self._survey = survey


def checked_indices(indices: ArrayLike, errors: Mapping[int, str], dataset: Dataset) -> NDArray[np.int64]:
    """Validate indices: none is out of range or without pixels."""
    wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
    if wanted.size and (wanted.min() < 0 or wanted.max() >= len(dataset)):
        raise DataError(f"there is no sample {wanted.min()} to {wanted.max()}", f"indices run to {len(dataset) - 1}")
    if errors:
        bad = next((index for index in wanted.tolist() if index in errors), None)
        if bad is not None:
            raise DataError(f"{dataset.samples[bad].path} has no pixels: {errors[bad]}", "remove its index")
    return wanted


class ArrayPixels(Surveyed):
    """Pixels of images that are arrays of the right size in memory.

    Args:
        rows: uint8, shape (n, H, W, 1) or (n, H, W, 3); rows with errors are zero.
        errors: Index to reason.
        dataset: The dataset of the arrays.
        spec: Their size.
    """

    decoded = 0

    def __init__(self, rows: NDArray[np.uint8], errors: Mapping[int, str], dataset: Dataset, spec: ImageSpec) -> None:
        self.spec = spec
        self.shape = spec.shape
        self.errors = errors
        self._rows = rows
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Images in the given order (see :class:`Pixels`)."""
        wanted = checked_indices(indices, self.errors, self._dataset)
        taken = self._rows[wanted]
        return taken if taken.shape[3] == 3 else np.repeat(taken, 3, axis=3)


def array_pixels(dataset: Dataset, spec: ImageSpec) -> ArrayPixels | None:
    """The dataset in memory, if it holds small arrays of the right size; else None."""
    first = _first_array(dataset)
    if first is None or first.shape[:2] != (spec.height, spec.width):
        return None
    channels = 1 if first.ndim == 2 else 3
    if len(dataset) * spec.height * spec.width * channels > _ARRAY_BYTES:
        return None
    rows = np.zeros((len(dataset), spec.height, spec.width, channels), np.uint8)
    errors: dict[int, str] = {}
    for index, sample in enumerate(dataset.samples):
        if sample.error is not None:
            errors[index] = sample.error
            continue
        try:
            raw = dataset.load(index)
            if isinstance(raw, bytes) or raw.shape != first.shape or raw.dtype != np.uint8:
                return None
            rows[index] = raw[:, :, np.newaxis] if raw.ndim == 2 else raw
        except ImageError as error:
            errors[index] = error.message
    return ArrayPixels(rows, errors, dataset, spec)


def _first_array(dataset: Dataset) -> NDArray[np.uint8] | None:
    """The first image, if it is an array of one gray or three color channels."""
    for index, sample in enumerate(dataset.samples):
        if sample.error is None:
            try:
                raw = dataset.load(index)
            except ImageError:
                continue
            if isinstance(raw, np.ndarray) and (raw.ndim == 2 or raw.shape[2:] == (3,)):
                return raw
            return None
    return None


Measure = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""A function from uint8 images (n, height, width, 3) to one row per image, (n, ...)."""

_CHUNK_BYTES = 4 * 2**20


def scan(
    pixels: Pixels,
    rows: NDArray[np.int64],
    measures: Sequence[Measure],
    *,
    purpose: str = "reading decoded images",
    progress: Progress | None = None,
) -> list[NDArray[Any]]:
    """Compute measures of images; each image is read once, and only a few are in memory at a time.

    Args:
        pixels: Decoded images by dataset index.
        rows: Dataset indices, shape (n,), n at least 1.
        measures: Functions of a batch of images, called in several threads.
        purpose: Label of the progress line.
        progress: Where to report.

    Returns:
        The rows (n, ...) of each measure, in the order of ``rows``.
    """
    size = max(1, _CHUNK_BYTES // prod(pixels.shape))
    chunks = [rows[begin : begin + size] for begin in range(0, len(rows), size)]

    def look(chunk: NDArray[np.int64]) -> list[NDArray[Any]]:
        images = pixels.take(chunk)
        return [measure(images) for measure in measures]

    found: list[NDArray[Any]] = []
    done = 0
    with (progress or Silent()).task(purpose, len(rows)) as task:
        for taken in ordered(look, chunks, processors()):
            # Filled in, not joined at the end: that would take the memory twice.
            found = found or [np.empty((len(rows), *some.shape[1:]), some.dtype) for some in taken]
            for whole, some in zip(found, taken, strict=True):
                whole[done : done + len(some)] = some
            done += len(taken[0])
            task.advance(len(taken[0]))
    return found
