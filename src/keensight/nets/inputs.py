"""What classifiers and detectors ask of the images that they are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from keensight.core import pixels
from keensight.core.records import ImageSpec
from keensight.core.sources import Source, read_source
from keensight.errors import DataError, ImageError, StoreError

if TYPE_CHECKING:
    import keras


T = TypeVar("T")


def check_input(model: keras.Model, spec: ImageSpec) -> None:
    """Refuse a network whose input size differs from ``spec``.

    Raises:
        StoreError: it does.
    """
    takes = tuple(model.input_shape[1:])
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


def good_images(
    names: Sequence[str], read: Sequence[Read], errors: dict[str, str], notes: dict[str, str]
) -> dict[int, NDArray[np.uint8]]:
    """The decoded ones of these images by position; the errors and notes of all are added by name."""
    errors.update({name: one.error for name, one in zip(names, read, strict=True) if one.error is not None})
    notes.update({name: one.note for name, one in zip(names, read, strict=True) if one.note})
    return {i: one.image for i, one in enumerate(read) if one.image is not None}


def chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """``items`` in lists of ``size``."""
    while chunk := list(islice(items, size)):
        yield chunk
