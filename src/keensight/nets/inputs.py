"""What classifiers and detectors ask of the images that they are given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from keensight.core import pixels
from keensight.core.records import ImageSpec
from keensight.core.sources import Source, read_source
from keensight.errors import DataError, ImageError, StoreError

T = TypeVar("T")


def check_input(takes: tuple[int | None, ...], spec: ImageSpec) -> None:
    """Refuse a network whose input shape without the batch, ``takes``, differs from ``spec``.

    Raises:
        StoreError: it does.
    """
    if len(takes) != 3 or any(size not in (None, wanted) for size, wanted in zip(takes, spec.shape, strict=True)):
        raise StoreError(
            f"the network takes images of shape {takes}, not {spec.shape}", "use the size that it was trained with"
        )


def check_images(images: NDArray[np.uint8], spec: ImageSpec) -> None:
    """Refuse anything but uint8 (n, height, width, 3) of the model's size."""
    if images.dtype != np.uint8:
        raise DataError(
            f"images must be uint8 from 0 to 255, not {images.dtype}",
            "give the original pixels; the model scales them itself",
        )
    if images.ndim != 4 or images.shape[1:] != spec.shape:
        raise DataError(
            f"images must have shape (n, {', '.join(map(str, spec.shape))}), not {images.shape}",
            "use predict(), which decodes and resizes",
        )


class Read(NamedTuple):
    """A decoded image, or an error message, and what is strange about the image (empty: nothing)."""

    image: NDArray[np.uint8] | None
    error: str | None
    note: str


def read_image(source: Source, spec: ImageSpec) -> Read:
    """Read and decode one image."""
    notes: list[str] = []
    try:
        return Read(pixels.decode_each(read_source(source, spec), [spec], notes)[0], None, "; ".join(notes))
    except ImageError as error:
        return Read(None, error.message, "")


def chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """``items`` in lists of ``size``."""
    while chunk := list(islice(items, size)):
        yield chunk


def evaluation_batch(shape: tuple[int, int, int]) -> int:
    """Images in a forward batch: about 8 MB of pixels, 16 at least and 512 at most."""
    return int(np.clip(8_000_000 // int(np.prod(shape)), 16, 512))
