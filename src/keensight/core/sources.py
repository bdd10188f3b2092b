"""What a user gives as images: told apart by what it is, to single images, and each of these read."""

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
from keensight.core.records import Dataset
from keensight.errors import DataError, ImageError

_EXPECTED = (
    "give paths, encoded bytes, open binary files, Pillow images, or uint8 arrays (height, width[, 3]) "
    "or (n, height, width[, 3])"
)
_CHANNELS = (1, 3, 4)
_NARROW = 16
"""Pixels; narrower "images" of a batch (n, height, width), unless square, are the channels of one image instead."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An image of which is known, before it is opened, that it cannot be read."""

    reason: str
    path: str | None = None


Source = str | Path | bytes | NDArray[np.uint8] | Image.Image | Unread
"""One image."""
Images = Any
"""One image or several, see :func:`singles`; what it may be is told at run time, not by its type."""


def singles(images: Images) -> list[Source]:
    """Single images of what a user gives.

    Args:
        images: A path, encoded bytes, an open binary file (read to its end), a Pillow image, a uint8 array (height,
            width[, 1, 3 or 4]) or (n, height, width[, 1, 3 or 4]), a tensor of such (PyTorch's also with channels
            before height and width), an array or a pandas Series of paths; or a list or an iterator of these.

    Raises:
        DataError: it is something else, or the pixels of an array are not of uint8.
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
    """What an image is called in answers; stray bytes of a file name are escaped, as no table can hold them."""
    path = source.path if isinstance(source, Unread) else source
    if not isinstance(path, (str, Path)):
        return f"image {position}"
    return str(path).encode("utf-8", "backslashreplace").decode()


def read_source(source: Source) -> bytes | NDArray[np.uint8]:
    """Encoded bytes or pixels of one image; of a file that is no image, the first bytes alone are read.

    Raises:
        ImageError: it cannot be read, is too large, or is no regular file.
    """
    if isinstance(source, Unread):
        raise ImageError(source.reason)
    if isinstance(source, (str, Path)):
        return read_bounded(source, MAX_BYTES, recognize)
    return pixels.as_array(source) if isinstance(source, Image.Image) else source


def _plain(given: Any) -> Path | bytes:
    """A path or encoded bytes, of what stands for one of them."""
    if isinstance(given, os.PathLike):
        return Path(os.fsdecode(given))
    if isinstance(given, (bytearray, memoryview)):
        return bytes(given)
    data = "" if isinstance(given, io.TextIOBase) else given.read(MAX_BYTES + 1)
    if not isinstance(data, bytes):
        kind = "a file that is opened as text" if isinstance(data, str) else f"a {type(given).__name__}"
        raise DataError(f"{kind} gives no bytes of an image", 'open it with open(path, "rb")')
    return data


def _as_array(given: Any) -> NDArray[Any] | None:
    """What can be seen as a NumPy array, with channels last; None: it is something else."""
    if isinstance(given, (np.ndarray, np.generic)):
        return np.asarray(given)
    if hasattr(given, "columns"):  # a table is no batch of pixels
        raise DataError(f"a {type(given).__name__} is no list of images", "give its column of paths: frame['path']")
    if not hasattr(given, "numpy") and not hasattr(given, "__array__"):
        return None
    tensor = given.detach().cpu() if hasattr(given, "detach") else given
    try:
        array = np.asarray(tensor.numpy() if hasattr(tensor, "numpy") else tensor)
    except Exception as error:  # symbolic, on another machine, ragged: whatever the library says
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
        return singles([Unread("there is no path") if _is_missing(item) else item for item in array.tolist()])
    if array.dtype != np.uint8:
        raise DataError(
            f"pixels must be uint8 from 0 to 255, not an array of {array.dtype} of the shape {array.shape}",
            "give the pixels as they were decoded, (255 * images).round().astype('uint8') for instance; the model "
            "scales them itself",
        )
    shape = array.shape
    if array.ndim == 2 or (array.ndim == 3 and shape[2] in _CHANNELS):
        return [array]
    batch = array.ndim == 3 and (shape[2] >= _NARROW or shape[1] == shape[2])
    if not batch and not (array.ndim == 4 and shape[3] in _CHANNELS):
        raise DataError(
            f"an array of the shape {shape} is neither an image nor a batch of images",
            "expected (height, width), (height, width, 1, 3 or 4), (n, height, width) or (n, height, width, 1, 3 or 4)",
        )
    return list(array)


def _is_missing(cell: Any) -> bool:
    """Whether a cell of a column is empty: None, or one of NaN, NA and NaT."""
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or type(cell).__name__ in ("NAType", "NaTType")
    )


def _refusal(given: Any) -> DataError:
    hint = "to measure a model on a dataset, use ks.evaluate(model, data)" if isinstance(given, Dataset) else _EXPECTED
    what = "None" if given is None else f"{type(given).__name__} {given!r}" if isinstance(given, (int, float)) else ""
    return DataError(f"{what or f'a {type(given).__name__}'} is no image and no list of images", hint)
