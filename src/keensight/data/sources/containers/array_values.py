"""What the values of arrays mean: pixels become uint8 with channels last, labels become class names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core.records import SEPARATOR
from keensight.core.sources import is_missing
from keensight.core.task import Task
from keensight.data.sources.names import clean_label, natural_key
from keensight.errors import DataError

_CHUNK = 1 << 24
"""Values that are converted at once, so that floats are never held twice as a whole."""

_DARK = 32
"""A set whose pixels are all below this of 255 is probably scaled to something else."""

_SCALES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "values from 0 to 255": lambda values: values,
    "floats from 0 to 255, rounded": np.rint,
    "floats from 0 to 1, times 255": lambda values: np.rint(values * 255.0),
    "floats from -1 to 1, scaled to 0 to 255": lambda values: np.rint((values + 1.0) * 127.5),
    "true and false as 255 and 0": lambda values: values * 255,
}


_INTEGERS = {"values from 0 to 255": (0, 255)}
_FLOATS = {
    "floats from 0 to 1, times 255": (0, 1),
    "floats from -1 to 1, scaled to 0 to 255": (-1, 1),
    "floats from 0 to 255, rounded": (0, 255),
}
"""Ranges that pixels are known to have, the narrowest first."""


@dataclass(frozen=True, slots=True)
class PixelArrays:
    """Arrays as uint8, (n, height, width) or (n, height, width, 3), with what was done to them and what looks wrong."""

    arrays: tuple[NDArray[np.uint8], ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def as_pixels(given: Mapping[str, NDArray[Any]]) -> PixelArrays:
    """Convert arrays of one image set, all in the same way.

    Args:
        given: By name: integers or floats from 0 to 255, floats from 0 to 1 or from -1 to 1, or truth values, of shape
            (n, height, width) or (n, height, width, 1 or 3), or with the channels before height and width.

    Raises:
        DataError: shape or type do not fit, or the arrays have different shapes or scales.
    """
    shaped = {name: _channels_last(array, name) for name, array in given.items()}
    shapes = {array.shape[1:] for array, _ in shaped.values()}
    if len(shapes) > 1:
        raise DataError(f"{' and '.join(given)} have images of different shapes: {sorted(shapes)}",
                        "convert them to one shape")  # fmt: skip
    scales = {name: _scale(array, name) for name, (array, _) in shaped.items()}
    if len(set(scales.values())) > 1:
        listed = "; ".join(f"{name}: {scale}" for name, scale in scales.items())
        raise DataError(f"the splits are scaled differently ({listed})", "scale all of them in the same way")
    (scale,) = set(scales.values())
    notes = ["channels moved last"] if any(moved for _, moved in shaped.values()) else []
    notes += [scale] if scale != "values from 0 to 255" else []
    arrays = tuple(_converted(array, _SCALES[scale]) for array, _ in shaped.values())
    return PixelArrays(arrays, tuple(notes), _almost_black(arrays))


def _channels_last(array: NDArray[Any], name: str) -> tuple[NDArray[Any], bool]:
    """Shape (n, height, width) or (n, height, width, 3), and whether channels came first."""
    if array.dtype.kind not in "uifb":
        raise DataError(
            f"the images of {name} are {array.dtype} {array.shape}, but numbers from 0 to 255 are needed",
            "pass the pixels as a plain array of numbers",
        )
    both = array.ndim == 4 and array.shape[1] == array.shape[3] in (1, 3)
    moved = array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3)
    if both:
        raise DataError(
            f"the images of {name} have shape {array.shape}: the channels may come first or last",
            "pass images.transpose(0, 2, 3, 1) if they come first, else enlarge the images",
        )
    if moved:
        array = np.moveaxis(array, 1, -1)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3) or 0 in array.shape[1:]:
        raise DataError(
            f"the images of {name} are {array.dtype} {array.shape}, "
            "but (n, height, width) or (n, height, width, 3) is needed",
            _shape_hint(array),
        )
    return array, moved


def _shape_hint(array: NDArray[Any]) -> str:
    if array.ndim == 4 and 4 in (array.shape[1], array.shape[3]):
        return "drop the alpha channel: pass images[..., :3]"
    if array.ndim == 4 and array.shape[2] in (1, 3):
        return "the images are counted by the last axis: pass images.transpose(3, 0, 1, 2)"
    if array.ndim == 2:
        return "each image is one row: pass images.reshape(-1, height, width)"
    return "expected an array of images of one size"


def _scale(array: NDArray[Any], name: str) -> str:
    """One of ``_SCALES``, by the range of all values."""
    kind = array.dtype.kind
    if kind == "b":
        return "true and false as 255 and 0"
    if array.dtype == np.uint8 or not array.size:
        return "values from 0 to 255"
    low, high = float(array.min()), float(array.max())
    if not low <= high:
        raise DataError(f"the pixels of {name} contain NaN", "replace or remove these images")
    for scale, (least, most) in (_INTEGERS if kind in "iu" else _FLOATS).items():
        if least <= low and high <= most:
            return scale
    raise DataError(
        f"the pixels of {name} ({array.dtype}) run from {low:.6g} to {high:.6g}, "
        f"but {'0 to 255' if kind in 'iu' else '0 to 255, 0 to 1 or -1 to 1'} is needed",
        "give the pixels before normalization, or rescale all splits alike: "
        f"(images - {low:.6g}) * (255 / {high - low:.6g}), rounded to uint8",
    )


def _converted(array: NDArray[Any], scale: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    made = np.empty(array.shape, np.uint8)
    step = max(1, _CHUNK // max(1, int(np.prod(array.shape[1:]))))
    for start in range(0, len(array), step):
        made[start : start + step] = scale(array[start : start + step])
    return made


def _almost_black(arrays: Sequence[NDArray[np.uint8]]) -> tuple[str, ...]:
    most = max((int(array.max()) for array in arrays if array.size), default=255)
    if most >= _DARK:
        return ()
    return (f"no pixel is above {most} of 255, so the images are almost black: if {most} means white, rescale them",)


@dataclass(frozen=True, slots=True)
class ArrayLabels:
    """The label of each image as text, None where it is missing; of a multi-label set all labels of each."""

    texts: tuple[str | None, ...]
    classes: tuple[str, ...] | None
    """The classes in order; None: those that occur."""
    several: tuple[tuple[str, ...], ...] | None = None
    columns: tuple[str, ...] | None = None
    """The names of the columns, where each class had its own."""
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        """One class for each image, or any number of labels."""
        return Task.MULTICLASS if self.several is None else Task.MULTILABEL

    def as_several(self) -> ArrayLabels:
        """One-hot labels as those of a multi-label set."""
        return self if self.several else replace(self, several=tuple((text,) for text in self.texts if text))


def as_labels(given: ArrayLike, n: int, names: Sequence[str] | None, source: str) -> ArrayLabels:
    """Labels as class names.

    Args:
        given: Whole numbers or texts, shape (n,) or (n, 1), where ``None``, NaN and an empty text are missing; or 0 and
            1, shape (n, classes): classes where each row has one 1, else a multi-label set.
        n: Number of images.
        names: Names of the classes; numbers and columns count through them.
        source: The name of the set, for messages.

    Raises:
        DataError: shape, type or values do not fit, or a label has no name.
    """
    array = _label_array(given, source)
    if len(array) != n:
        raise DataError(f"{source} has {n} images but {len(array)} labels", "give one label per image")
    classes = None if names is None else tuple(clean_label(str(item)) for item in names)
    if array.dtype.kind == "b" and classes is not None:
        array = array.astype(np.int64)
    if array.ndim == 1:
        values = [_plain(value, row, source) for row, value in enumerate(array.tolist())]
        return ArrayLabels(_named(values, classes, source), classes)
    rows = _indicators(array, source)
    columns = classes if classes is not None else tuple(str(number) for number in range(rows.shape[1]))
    if len(columns) != rows.shape[1]:
        raise DataError(
            f"the labels of {source} have {rows.shape[1]} columns, but {len(columns)} class names are given",
            "give one name for each column",
        )
    if (rows.sum(axis=1) == 1).all():
        return ArrayLabels(tuple(columns[i] for i in rows.argmax(axis=1)), columns, None, columns, ("one-hot labels",))
    several = tuple(tuple(columns[i] for i in np.flatnonzero(row)) for row in rows)
    return ArrayLabels(
        tuple(SEPARATOR.join(row) for row in several), columns, several, columns, ("0/1 labels, any number each",)
    )


def _label_array(given: ArrayLike, source: str) -> NDArray[Any]:
    try:
        array = np.asarray(given)
    except ValueError as error:  # lists of different lengths
        raise DataError(
            f"the labels of {source} differ in length", "give one label per image, as a flat list"
        ) from error
    if array.dtype.kind in "US" and isinstance(given, (list, tuple)):
        array = np.array(given, dtype=object)  # NumPy turns None and NaN beside texts into texts
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.dtype.kind not in "uifb"):
        raise DataError(
            f"the labels of {source} have shape {array.shape}, but (n,) is needed", "give one label per image"
        )
    if array.dtype.kind not in "iufbUSO":
        raise DataError(f"the labels of {source} are {array.dtype}", "expected whole numbers or class names")
    return array


def _plain(value: Any, row: int, source: str) -> int | str | None:
    """A label as a number or a text; None: it is missing."""
    value = value.item() if isinstance(value, np.generic) else value
    if is_missing(value):
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return clean_label(value) or None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise DataError(
        f"label {row} of {source} is {str(value)[:40]!r} ({type(value).__name__})",
        "expected whole numbers or class names",
    )


def _named(values: Sequence[int | str | None], classes: Sequence[str] | None, source: str) -> tuple[str | None, ...]:
    if classes is None:
        return tuple(None if value is None else str(value) for value in values)
    numbers = [value for value in values if isinstance(value, int)]
    if numbers and not 0 <= min(numbers) <= max(numbers) < len(classes):
        raise DataError(
            f"the labels of {source} run from {min(numbers)} to {max(numbers)}, "
            f"but {len(classes)} class names are given",
            "labels start at 0; give one name for each",
        )
    unknown = sorted({value for value in values if isinstance(value, str)} - set(classes), key=natural_key)
    if unknown:
        raise DataError(f"{source} has labels that are not in class_names: {', '.join(unknown[:5])}",
                        f"the class names are {', '.join(classes[:20])}")  # fmt: skip
    return tuple(classes[value] if isinstance(value, int) else value for value in values)


def _indicators(array: NDArray[Any], source: str) -> NDArray[np.uint8]:
    if not np.isin(array, (0, 1)).all():
        raise DataError(
            f"the labels of {source} have shape {array.shape}, but (n,) or 0 and 1 in one column per class are needed",
            "of probabilities, pass labels.argmax(axis=1)",
        )
    return array.astype(np.uint8)
