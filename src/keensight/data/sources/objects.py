"""Image sets that are Python objects: pairs of images and labels, pandas tables, and datasets of other libraries.

Those libraries are not imported: a Hugging Face dataset is what has ``features`` and ``column_names``, one of PyTorch
is what has a length and gives pairs of image and label.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from keensight.core import pixels
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Part, Reading
from keensight.core.registry import did_you_mean
from keensight.data.sources.arrays import Item, from_arrays, from_items, from_parts
from keensight.data.sources.containers.array_files import from_named_arrays
from keensight.data.sources.containers.embedded import Wanted, frame_column, from_image_frame, image_bytes
from keensight.data.sources.names import part_of
from keensight.data.sources.table_columns import is_label_name
from keensight.data.sources.table_paths import RELATIVE
from keensight.data.sources.tables import from_frame
from keensight.data.sources.tfdata import LIMIT, Stream, from_streams
from keensight.errors import DataError, ImageError, UsageError


class Indexed(Protocol):
    """A dataset of another library: a length, and items by number."""

    def __len__(self) -> int:
        """Number of its images."""
        ...

    def __getitem__(self, index: Any) -> Any:
        """An item: a pair of image and label, or a mapping of columns to values."""
        ...


def open_object(
    source: Any, wanted: Wanted, class_names: Sequence[str] | None = None, progress: Progress | None = None
) -> Dataset:
    """A dataset from a Python object.

    Args:
        source: A pair of images and labels (arrays, or lists of paths, bytes or Pillow images); two such pairs, for
            training and test, as of ``keras.datasets``; a mapping of names to arrays; a pandas, Polars or Arrow table
            of paths or of encoded images; a ``tf.data.Dataset``; a Hugging Face dataset; a dataset as in torchvision,
            whose items are pairs of image and label; or a mapping of ``train``, ``val`` and ``test`` to such.
        wanted: The columns that the user named.
        class_names: Names of the classes in the order of their numbers.
        progress: Where to report.

    Raises:
        DataError: its images or labels cannot be used.
        UsageError: it is something else.
    """
    if isinstance(source, tuple) and len(source) == 2 and all(_is_pair(item) for item in source):
        source = {"train": source[0], "test": source[1]}
    if isinstance(source, tuple) and len(source) == 2:
        return _of_pair(source, class_names)
    if (frame := _frame(source)) is not None:
        return _of_frame(frame, wanted)
    if isinstance(source, Mapping) and any(isinstance(item, np.ndarray) for item in source.values()):
        arrays = {str(name): np.asarray(item) for name, item in source.items() if hasattr(item, "__array__")}
        return from_named_arrays(arrays, label=wanted.label)
    given: Mapping[Any, Any] = source if _is_mapping(source) else {None: source}
    if any(isinstance(item, Stream) for item in given.values()):
        return from_streams(source, class_names or (), progress or _silent())
    splits = {_split(name): _part(item, wanted) for name, item in given.items()}
    if not splits or any(part is None for part in splits.values()):
        odd = next((item for item in given.values() if _part(item, wanted) is None), source)
        raise UsageError(
            f"images cannot be read from a {type(odd).__name__}",
            "give a path, a pandas table, a pair of arrays (images, labels), a Dataset, a tf.data.Dataset, a Hugging "
            "Face dataset, a dataset as in torchvision, or a mapping of train, val and test to such",
        )
    return _joined({split: part for split, part in splits.items() if part is not None}, class_names)


def _silent() -> Progress:
    from keensight.core.progress import Silent

    return Silent()


@dataclass(frozen=True, slots=True)
class _Part:
    """The images and labels of one split."""

    images: Any
    """An array, or a list of items."""
    labels: Any
    classes: Sequence[str] | None
    layout: str
    notes: tuple[str, ...] = ()
    paths: Sequence[str] = field(default_factory=list)


def _is_mapping(source: Any) -> bool:
    return (isinstance(source, Mapping) and not hasattr(source, "column_names")) or _is_dataset_dict(source)


def _is_dataset_dict(source: Any) -> bool:
    return isinstance(source, Mapping) and all(hasattr(item, "features") for item in source.values())


def _split(name: Any) -> Part | None:
    split = None if name is None else part_of(str(name))
    if name is not None and split is None:
        raise UsageError(f"there is no split {name!r}", "call the datasets train, val and test")
    return split


# Pairs


def _is_pair(item: Any) -> bool:
    return isinstance(item, (tuple, list)) and len(item) == 2 and all(hasattr(one, "__len__") for one in item) and (
        np.ndim(item[0]) >= 3 if hasattr(item[0], "shape") else False
    )  # fmt: skip


def _of_pair(pair: tuple[Any, Any], class_names: Sequence[str] | None) -> Dataset:
    images, labels = pair
    items = _file_items(images)
    if items is None:
        return from_arrays(images, labels, class_names=class_names)
    return from_items(items, labels, classes=class_names, reading=Reading("list of images"))


def _file_items(images: Any) -> list[Item] | None:
    """Paths, bytes and Pillow images as items; None: they are arrays."""
    if isinstance(images, np.ndarray) and images.dtype.kind not in "OU":
        return None
    if not hasattr(images, "__len__") or not hasattr(images, "__iter__"):
        return None
    listed = list(images)
    if not listed or not all(isinstance(one, (str, bytes, os.PathLike)) or hasattr(one, "getbands") for one in listed):
        return None
    return [_item(one) for one in listed]


def _item(image: Any) -> Item:
    """A path, encoded bytes or a uint8 array, from what a library gives as an image."""
    if isinstance(image, (bytes, str, Path)):
        return image
    if isinstance(image, os.PathLike):
        return Path(os.fsdecode(image))
    if hasattr(image, "getbands"):  # a Pillow image
        return pixels.as_array(image)
    tensor = image.detach().cpu() if hasattr(image, "detach") else image
    array = np.asarray(tensor)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = np.moveaxis(array, 0, -1)
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


# Tables


def _frame(source: Any) -> Any:
    """A pandas table, or one of Polars or Arrow as such; None: it is something else."""
    if isinstance(source, getattr(sys.modules.get("pandas"), "DataFrame", ())):
        return source
    if hasattr(source, "to_pandas") and not hasattr(source, "features"):
        return source.to_pandas()
    return None


def _of_frame(frame: Any, wanted: Wanted) -> Dataset:
    column = frame_column(frame, wanted.path)
    if column is not None:
        return from_image_frame(frame, column, wanted, "table")
    try:
        return from_frame(
            frame, Path.cwd(), label=wanted.label, path=wanted.path, group=wanted.group, labels=wanted.labels
        )
    except DataError as error:
        if error.hint != RELATIVE:
            raise
        raise DataError(
            error.message, "its paths start from the working folder; for another one, use ks.from_frame(frame, folder)"
        ) from error


# Datasets of other libraries


def _part(source: Any, wanted: Wanted) -> _Part | None:
    if _is_pair(source):
        return _Part(source[0], source[1], None, "NumPy arrays")
    if hasattr(source, "features") and hasattr(source, "column_names"):
        return _of_hugging_face(source, wanted)
    if isinstance(source, (str, bytes, Mapping, list, tuple, set, np.ndarray)) or not hasattr(source, "__getitem__"):
        return None
    return _of_torch(source) if hasattr(source, "__len__") else None


def _of_hugging_face(source: Any, wanted: Wanted) -> _Part:
    features: Mapping[str, Any] = source.features
    image = wanted.path or next((name for name, kind in features.items() if type(kind).__name__ == "Image"), None)
    label = wanted.label or next((name for name, kind in features.items() if _class_names(kind)), None)
    label = label or next((name for name in features if is_label_name(name)), None)
    for role, name in (("images", image), ("label", label)):
        if name is None or name not in features:
            listed = did_you_mean(name, list(features)) if name else f"its columns are: {', '.join(features)}"
            raise DataError(f"the dataset has no column of {role}{f' {name!r}' if name else ''}", listed)
    assert image is not None and label is not None
    if hasattr(source, "cast_column") and dataclasses.is_dataclass(features[image]):
        source = source.cast_column(image, dataclasses.replace(features[image], decode=False))
    names = _class_names(features[label])
    items: list[Item] = []
    labels: list[Any] = []
    size = 0
    for row in range(len(source)):
        cells = source[row]
        items.append(_cell_item(cells[image]))
        labels.append(None if names and cells[label] == -1 else cells[label])
        size += _bytes_of(items[-1])
        if size > LIMIT:
            raise _too_large("Hugging Face dataset")
    return _Part(items, _several(labels, names), names, "Hugging Face dataset", (f"labels in the column {label}",))


def _bytes_of(item: Any) -> int:
    return item.nbytes if isinstance(item, np.ndarray) else len(item) if isinstance(item, bytes) else 0


def _too_large(layout: str) -> DataError:
    return DataError(
        f"the {layout} holds more than {LIMIT / 2**30:.3g} GiB, too much for memory",
        "open the folder, table or Parquet files that it is made from",
    )


def _class_names(feature: Any) -> list[str] | None:
    """The names of a ClassLabel, or of a list of such."""
    for kind in (feature, getattr(feature, "feature", None)):
        if type(kind).__name__ == "ClassLabel" and getattr(kind, "names", None):
            return [str(name) for name in kind.names]  # type: ignore[union-attr]
    return None


def _several(labels: list[Any], names: Sequence[str] | None) -> Any:
    """Lists of class numbers as rows of 0 and 1; other labels as they are."""
    if names is None or not any(isinstance(label, (list, tuple)) for label in labels):
        return labels
    rows = np.zeros((len(labels), len(names)), np.uint8)
    for row, label in enumerate(labels):
        rows[row, [int(number) for number in label]] = 1
    return rows


def _cell_item(cell: Any) -> Item:
    if isinstance(cell, (Mapping, bytes)):
        path = cell.get("path") if isinstance(cell, Mapping) else None
        try:
            return image_bytes(cell)
        except ImageError:
            return Path(path) if path else b""
    return _item(cell)


def _of_torch(source: Any) -> _Part:
    """A dataset as torchvision has them: arrays in ``data``, else files in ``samples``, else item after item."""
    layout = f"dataset {type(source).__name__}"
    classes = _torch_classes(source)
    labels = next((found for name in ("targets", "labels") if (found := getattr(source, name, None)) is not None), None)
    for name in ("data", "imgs"):
        array: Any = getattr(source, name, None)
        if labels is not None and hasattr(array, "shape") and len(array.shape) >= 3:
            return _Part(np.asarray(array), np.asarray(labels), classes, layout, (f"its arrays {name}",))
    files = next((found for name in ("samples", "imgs") if (found := getattr(source, name, None))), None)
    if files and all(isinstance(one, (tuple, list)) and isinstance(one[0], (str, os.PathLike)) for one in files):
        root = os.path.commonpath([os.path.dirname(os.path.abspath(one[0])) for one in files])  # noqa: PTH100, PTH120
        paths = [Path(os.path.relpath(one[0], root)).as_posix() for one in files]
        items = [Path(one[0]) for one in files]
        return _Part(items, [one[1] for one in files], classes, layout, ("its files, without transforms",), paths)
    return _one_by_one(source, classes, layout)


def _torch_classes(source: Any) -> list[str] | None:
    while source is not None:
        classes = getattr(source, "classes", None) or getattr(source, "class_to_idx", None)
        if isinstance(classes, Mapping):
            classes = sorted(classes, key=classes.__getitem__)
        if isinstance(classes, (list, tuple)):
            return [str(name) for name in classes]
        source = getattr(source, "dataset", None)  # a Subset
    return None


def _one_by_one(source: Any, classes: Sequence[str] | None, layout: str) -> _Part:
    items: list[Any] = []
    labels: list[Any] = []
    size = 0
    for row in range(len(source)):
        item = source[row]
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            raise DataError(f"item {row} of the {layout} is not a pair of image and label", "give (image, label)")
        items.append(_item(item[0]))
        label = item[1]
        labels.append(label.item() if hasattr(label, "item") else label)
        size += _bytes_of(items[-1])
        if size > LIMIT:
            raise _too_large(layout)
    return _Part(items, labels, classes, layout, ("its items, as their transforms give them",))


def _joined(parts: Mapping[Part | None, _Part], class_names: Sequence[str] | None) -> Dataset:
    first = next(iter(parts.values()))
    classes = class_names or first.classes
    if any(list(part.classes or ()) != list(first.classes or ()) for part in parts.values()):
        raise DataError("the splits have different class names", "give all splits the same classes")
    reading = Reading(first.layout, notes=first.notes)
    arrays = {split: _as_array(part.images) for split, part in parts.items()}
    if all(array is not None for array in arrays.values()):
        pairs = {split: (cast(Any, arrays[split]), part.labels) for split, part in parts.items()}
        return from_parts(pairs, name="dataset", kind="arrays", names=classes, reading=reading)
    items = [item for part in parts.values() for item in part.images]
    if any(isinstance(item, np.ndarray) and item.dtype != np.uint8 for item in items):
        raise DataError(
            "the images differ in size and are not uint8",
            "give them before they are scaled (before ToTensor, in torchvision)",
        )
    splits = [split for split, part in parts.items() for _ in part.images]
    return from_items(
        items, _stacked([part.labels for part in parts.values()]), classes=classes, name="dataset", splits=splits,
        paths=_paths(parts), reading=reading,
    )  # fmt: skip


def _as_array(images: Any) -> np.ndarray[Any, Any] | None:
    """One array, if the images are of one shape and type; None: they are files, or differ."""
    if isinstance(images, np.ndarray):
        return images
    kinds = {(item.shape, item.dtype) if isinstance(item, np.ndarray) else None for item in images}
    return np.stack(images) if len(kinds) == 1 and None not in kinds else None


def _stacked(labels: Sequence[Any]) -> Any:
    if all(isinstance(one, np.ndarray) and one.ndim == 2 for one in labels):
        return np.concatenate(labels)
    return np.array([label for one in labels for label in one], dtype=object)


def _paths(parts: Mapping[Part | None, _Part]) -> list[str]:
    """A name for each image: its path, else its number; below the name of its split, where there are splits."""
    named: list[str] = []
    for split, part in parts.items():
        titles = part.paths or [f"{row:05d}" for row in range(len(part.images))]
        named += [f"{split}/{title}" if split else title for title in titles]
    return named
