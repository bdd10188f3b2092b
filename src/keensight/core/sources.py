"""Turn what users pass as images into single images, and read them."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keensight.core import pixels
from keensight.core.decode_limits import MAX_BYTES
from keensight.core.files import read_bounded
from keensight.core.image_files import recognize
from keensight.core.records import Dataset, ImageSpec
from keensight.errors import DataError, ImageError

_EXPECTED = (
    "give paths, encoded bytes, open binary files, Pillow images, or uint8 arrays (height, width[, 3]) "
    "or (n, height, width[, 3])"
)
_CHANNELS = (1, 3, 4)
_NARROW = 16
"""Pixels; an array (n, height, width) with a smaller width is a single image with channels, unless it is square."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An image that is known to be unreadable before it is opened."""

    reason: str
    path: str | None = None


Source = str | Path | bytes | NDArray[np.uint8] | Image.Image | Unread
"""One image."""
Images = Any
"""One image or several, see :func:`singles`; the kind is detected at run time."""


def singles(images: Images) -> list[Source]:
    """Split a user's input into single images.

    Args:
        images: A path, encoded bytes, an open binary file (read to its end), a Pillow image, a uint8 array (height,
            width[, 1, 3 or 4]) or (n, height, width[, 1, 3 or 4]), a tensor of such (PyTorch's also with channels
            before height and width), an array or a pandas Series of paths; or a list or an iterator of these.

    Raises:
        DataError: it is something else, or an array does not have dtype uint8.
    """
    if isinstance(images, (str, Path, bytes, Image.Image, Unread)):
        return [images]
    if isinstance(images, (os.PathLike, bytearray, memoryview)) or hasattr(images, "read"):
        return [_plain(images)]
    array = _as_array(images)
    if array is not None:
        return _of_array(array)
    if isinstance(images, (Mapping, Dataset)) or not isinstance(images, Iterable):
        raise _refusal(images)
    found: list[Source] = []
    for place, item in enumerate(images):
        try:
            found += singles(item)
        except DataError as error:
            raise DataError(f"image {place}: {error.message}", error.hint) from error
    return found


def name_of(source: Source, position: int) -> str:
    """The name of an image in results; undecodable bytes of a file name are escaped, because no table can store
    them."""
    path = source.path if isinstance(source, Unread) else source
    if not isinstance(path, (str, Path)):
        return f"image {position}"
    return str(path).encode("utf-8", "backslashreplace").decode()


def read_source(source: Source, spec: ImageSpec | None = None) -> bytes | NDArray[np.uint8]:
    """Read the encoded bytes or pixels of one image; of a file that is not an image, only the first bytes are read.

    Args:
        source: One image.
        spec: How a Pillow image is converted to pixels; None: as for a new model.

    Raises:
        ImageError: it cannot be read, is too large, or is not a regular file.
    """
    if isinstance(source, Unread):
        raise ImageError(source.reason)
    if isinstance(source, (str, Path)):
        return read_bounded(source, MAX_BYTES, recognize)
    return pixels.as_array(source, spec) if isinstance(source, Image.Image) else source


def _plain(given: Any) -> Path | bytes:
    """Return a path or encoded bytes."""
    if isinstance(given, os.PathLike):
        return Path(os.fsdecode(given))
    if isinstance(given, (bytearray, memoryview)):
        return bytes(given)
    data = "" if isinstance(given, io.TextIOBase) else given.read(MAX_BYTES + 1)
    if not isinstance(data, bytes):
        kind = "a file that is opened as text" if isinstance(data, str) else f"a {type(given).__name__}"
        raise DataError(f"{kind} does not return the bytes of an image", 'open it with open(path, "rb")')
    return data


def _as_array(given: Any) -> NDArray[Any] | None:
    """View it as a NumPy array, with channels last; None: it is something else."""
    if isinstance(given, (np.ndarray, np.generic)):
        return np.asarray(given)
    if hasattr(given, "columns"):  # a table is not a batch of pixels
        raise DataError(f"a {type(given).__name__} is not a list of images", "give its column of paths: frame['path']")
    if not hasattr(given, "numpy") and not hasattr(given, "__array__"):
        return None
    tensor = given.detach().cpu() if hasattr(given, "detach") else given
    try:
        array = np.asarray(tensor.numpy() if hasattr(tensor, "numpy") else tensor)
    except Exception as error:  # symbolic, remote, ragged: the library's own message follows
        raise DataError(f"this {type(given).__name__} cannot be read as an array: {error}", _EXPECTED) from error
    return _channels_last(array) if hasattr(given, "detach") else array


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    """PyTorch's (3, height, width) and (n, 3, height, width), with the channels last."""
    first = array.ndim - 3
    if first in (0, 1) and array.shape[first] in _CHANNELS and array.shape[-1] not in _CHANNELS:
        return np.moveaxis(array, first, -1)
    return array


def _of_array(array: NDArray[Any]) -> list[Source]:
    if array.dtype.kind in "OUT" and array.ndim == 1:
        return singles([Unread("the path is missing") if is_missing(item) else item for item in array.tolist()])
    if array.dtype != np.uint8:
        raise DataError(
            f"pixels must be uint8 from 0 to 255, not an array of {array.dtype} of shape {array.shape}",
            "give the original pixels, such as (255 * images).round().astype('uint8'); the model scales them itself",
        )
    shape = array.shape
    if array.ndim == 2 or (array.ndim == 3 and shape[2] in _CHANNELS):
        return [array]
    batch = array.ndim == 3 and (shape[2] >= _NARROW or shape[1] == shape[2])
    if not batch and not (array.ndim == 4 and shape[3] in _CHANNELS):
        raise DataError(
            f"an array of shape {shape} is neither an image nor a batch of images",
            "expected (height, width), (height, width, 1, 3 or 4), (n, height, width) or (n, height, width, 1, 3 or 4)",
        )
    return list(array)


def is_missing(cell: Any) -> bool:
    """Whether a cell of a column is empty: None, or one of NaN, NA and NaT."""
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or type(cell).__name__ in ("NAType", "NaTType")
    )


def _refusal(given: Any) -> DataError:
    hint = "to evaluate a model on a dataset, use ks.evaluate(model, data)" if isinstance(given, Dataset) else _EXPECTED
    what = "None" if given is None else f"{type(given).__name__} {given!r}" if isinstance(given, (int, float)) else ""
    return DataError(f"{what or f'a {type(given).__name__}'} is neither an image nor a list of images", hint)
