"""What classifiers and detectors ask of the images that they are given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

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


def read_image(source: Source, spec: ImageSpec) -> NDArray[np.uint8] | str:
    """A decoded image, or an error message."""
    try:
        return pixels.decode(read_source(source, spec), spec)
    except ImageError as error:
        return error.message


def chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """``items`` in lists of ``size``."""
    while chunk := list(islice(items, size)):
        yield chunk
