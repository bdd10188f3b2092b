"""Images that are arrays: from memory, from an ``.npz`` file."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core import pixels
from keensight.core.decode_limits import MAX_BYTES
from keensight.core.deprecation import renamed
from keensight.core.files import read_bounded, sha256
from keensight.core.records import PARTS, Dataset, ImageInfo, Part, Sample
from keensight.data.sources.assemble import assemble
from keensight.data.sources.names import clean_label, natural_key
from keensight.errors import DataError, ImageError

Pair = tuple[NDArray[Any], NDArray[Any]]

_SCHEMES: tuple[dict[Part | None, tuple[str, str]], ...] = (
    {"train": ("x_train", "y_train"), "val": ("x_val", "y_val"), "test": ("x_test", "y_test")},
    {"train": ("train_images", "train_labels"), "val": ("val_images", "val_labels"),
     "test": ("test_images", "test_labels")},
    {None: ("images", "labels")},
    {None: ("x", "y")},
    {None: ("X", "y")},
)  # fmt: skip
"""Names of arrays in ``.npz`` files: as Keras' datasets and MedMNIST write them, and without splits."""

_CLASS_NAMES = ("class_names", "label_names", "names", "classes")


@dataclass(frozen=True, slots=True)
class ArrayReader:
    """Loads samples from one array; ``rows`` is path to row number."""

    images: NDArray[np.uint8]
    rows: Mapping[str, int]

    def load(self, sample: Sample) -> NDArray[np.uint8]:
        """The pixels as given, uint8 (H, W) or (H, W, 3).

        Raises:
            ImageError: the sample is not of this set.
        """
        row = self.rows.get(sample.path)
        if row is None:
            raise ImageError("not an image of this set")
        pixels: NDArray[np.uint8] = self.images[row]
        return pixels


@renamed(names="class_names")
def from_arrays(
    images: NDArray[np.uint8],
    labels: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    name: str = "arrays",
    splits: Sequence[Part | None] | None = None,
    kind: str = "arrays",
) -> Dataset:
    """A dataset from pixels in memory.

    Args:
        images: uint8, 0 to 255, shape (n, H, W), (n, H, W, 1) or (n, H, W, 3) in RGB order.
        labels: Integers or class names, shape (n,) or (n, 1).
        class_names: Names of the classes; integer labels count through them. Left out: the labels themselves.
        name: Name of the dataset.
        splits: The predefined split of each image, None without one.
        kind: How it was given, for the record.

    Raises:
        DataError: shape or type of the images do not fit, or the labels do not fit the images or class names.

    Examples:
        >>> images = np.random.default_rng(0).integers(0, 255, (20, 8, 8, 3), np.uint8)
        >>> ks.from_arrays(images, [0, 1] * 10, class_names=["cat", "dog"])
        <Dataset arrays: 20 images, 2 classes>
    """
    pixels = _checked_images(images, name)
    classes, texts = _class_names(_checked_labels(labels, len(pixels), name), class_names, name)
    if splits is not None and len(splits) != len(pixels):
        raise DataError(f"{name} has {len(pixels)} images but {len(splits)} splits", "give one per image")
    samples = _samples(pixels, texts, splits)
    rows = {sample.path: row for row, sample in enumerate(samples)}
    return assemble(name, kind, samples, ArrayReader(pixels, rows), classes=classes)


def from_parts(
    parts: Mapping[Part | None, Pair], *, name: str, kind: str, names: Sequence[str] | None = None
) -> Dataset:
    """A dataset from one pair of images and labels per split (see :func:`from_arrays`).

    Raises:
        DataError: as :func:`from_arrays`, or the shapes of the splits differ.
    """
    checked = {part: _checked_images(images, name) for part, (images, _) in parts.items()}
    shapes = {images.shape[1:] for images in checked.values()}
    if len(shapes) > 1:
        raise DataError(
            f"the splits of {name} have images of different shapes: {sorted(shapes)}", "convert them to one shape"
        )
    labels = [_checked_labels(parts[part][1], len(images), f"{name} ({part})") for part, images in checked.items()]
    splits = [part for part, images in checked.items() for _ in range(len(images))]
    return from_arrays(
        np.concatenate(list(checked.values())),
        np.concatenate(labels),
        class_names=names,
        name=name,
        splits=splits,
        kind=kind,
    )


def _checked_images(images: NDArray[Any], name: str) -> NDArray[np.uint8]:
    array = np.asarray(images)
    shown = f"{array.dtype} {array.shape}"
    if array.dtype != np.uint8:
        raise DataError(f"the images of {name} are {shown}, but uint8 from 0 to 255 is needed", _cast_hint(array))
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3) or 0 in array.shape[1:]:
        raise DataError(
            f"the images of {name} are {shown}, but (n, height, width) or (n, height, width, 3) is needed",
            _shape_hint(array),
        )
    return array


def _cast_hint(array: NDArray[Any]) -> str:
    if array.dtype.kind == "f" and array.size and float(np.nanmax(array)) <= 1.0:
        return "they look scaled to 0-1: pass (images * 255).round().astype('uint8')"
    if array.dtype.kind in "iufb":
        return "scale them to 0-255 and pass images.astype('uint8')"
    return "pass the pixels as a plain array of numbers"


def _shape_hint(array: NDArray[Any]) -> str:
    if array.ndim == 4 and array.shape[3] == 4:
        return "drop the alpha channel: pass images[..., :3]"
    if array.ndim == 4 and array.shape[1] in (1, 3):
        return "channels come first: pass images.transpose(0, 2, 3, 1)"
    if array.ndim == 2:
        return "each image is one row: pass images.reshape(-1, height, width)"
    return "expected an array of images of one size"


def _checked_labels(labels: ArrayLike, n: int, name: str) -> NDArray[Any]:
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        hint = "one-hot labels? pass labels.argmax(axis=1)" if array.ndim == 2 else "give one label per image"
        raise DataError(f"the labels of {name} have shape {array.shape}, but (n,) is needed", hint)
    if len(array) != n:
        raise DataError(f"{name} has {n} images but {len(array)} labels", "give one label per image")
    if array.dtype.kind == "f" and np.all(np.mod(array, 1) == 0):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iubUO":
        raise DataError(f"the labels of {name} are {array.dtype}", "expected whole numbers or class names")
    return array


def _class_names(
    labels: NDArray[Any], names: Sequence[str] | None, name: str
) -> tuple[tuple[str, ...] | None, list[str]]:
    """Return the classes in order (None: those that occur) and each image's class name."""
    if names is None:
        texts = {value: clean_label(str(value)) for value in set(labels.tolist())}
        return None, [texts[value] for value in labels.tolist()]
    classes = tuple(clean_label(str(item)) for item in names)
    if labels.dtype.kind in "UO":
        unknown = sorted(set(map(str, labels.tolist())) - set(classes), key=natural_key)
        if unknown:
            raise DataError(f"{name} has labels that are not in class_names: {', '.join(unknown[:5])}",
                            f"the class names are {', '.join(classes[:20])}")  # fmt: skip
        return classes, [str(value) for value in labels.tolist()]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise DataError(
            f"the labels of {name} run from {labels.min()} to {labels.max()}, but {len(classes)} class names are given",
            "labels start at 0; give one name for each",
        )
    return classes, [classes[value] for value in labels.tolist()]


def _samples(images: NDArray[np.uint8], labels: Sequence[str], splits: Sequence[Part | None] | None) -> list[Sample]:
    shape = images.shape[1:]
    prefix = "x".join(map(str, shape)).encode() + b":"
    info = ImageInfo("array", "L" if len(shape) == 2 else "RGB", shape[1], shape[0])
    size = int(np.prod(shape))
    width = max(5, len(str(len(images) - 1)))
    counters: dict[Part | None, int] = {}
    samples: list[Sample] = []
    for i, image in enumerate(images):
        part = None if splits is None else splits[i]
        number = counters[part] = counters.get(part, -1) + 1
        path = f"{part}/{number:0{width}d}" if part else f"{number:0{width}d}"
        digest = hashlib.sha256(prefix + image.tobytes()).hexdigest()
        samples.append(Sample(path, labels[i], digest, size, split=part, info=info))
    return samples


def open_npz(path: Path) -> Dataset:
    """Read an ``.npz`` file of images and labels.

    Known names of the arrays: ``x_train, y_train, x_test, y_test`` (and ``x_val, y_val``),
    ``train_images, train_labels, ...``, ``images, labels``, ``x, y``; class names in ``class_names``.

    Raises:
        DataError: the file is damaged, holds pickled objects or none of these, or its arrays do not fit.
    """
    try:
        # Opened here, as numpy leaves a damaged file open. TypeError: one bare array, which is no archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            parts = _npz_pairs(archive, path.name)
            names = next((list(map(str, archive[key])) for key in _CLASS_NAMES if key in archive.files), None)
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise DataError(
                f"{path.name} holds pickled Python objects, which can run code when opened, and is refused",
                "save images as a uint8 array and labels as integers or text with numpy.savez",
            ) from error
        raise DataError(f"{path.name} cannot be read as .npz: {error}", "the file is damaged; save it again") from error
    return from_parts(parts, name=path.stem, kind="arrays", names=names)


def _npz_pairs(archive: Any, name: str) -> dict[Part | None, Pair]:
    held = set(archive.files)
    for scheme in _SCHEMES:
        parts = {part: (archive[x], archive[y]) for part, (x, y) in scheme.items() if {x, y} <= held}
        if parts and (None in parts or "train" in parts):
            ordered = (None, *PARTS)
            return {part: parts[part] for part in ordered if part in parts}
    raise DataError(
        f"{name} has no images and labels under a known name; it contains: {', '.join(sorted(held)) or 'nothing'}",
        "call the arrays x_train, y_train, x_test, y_test, or images and labels",
    )


Item = str | Path | bytes | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ItemReader:
    """Loads samples from a list; ``rows`` is the sample's name to its place."""

    items: Sequence[Item]
    rows: Mapping[str, int]

    def load(self, sample: Sample) -> bytes | NDArray[np.uint8]:
        """The file's bytes, or the pixels as given.

        Raises:
            ImageError: the sample is not of this set, or its file cannot be read.
        """
        row = self.rows.get(sample.path)
        if row is None:
            raise ImageError("not an image of this set")
        return _raw(self.items[row])


def from_items(
    items: Sequence[Item], labels: Sequence[str], *, classes: Sequence[str], name: str = "images"
) -> Dataset:
    """A dataset from paths, encoded bytes or uint8 arrays (height, width[, 3]), which may differ in size.

    Args:
        items: The images.
        labels: The class of each.
        classes: The class names in order.
        name: Name of the dataset.

    Raises:
        DataError: the number of labels differs from that of images, or no image can be read.
    """
    if len(items) != len(labels):
        raise DataError(f"{name} has {len(items)} images but {len(labels)} labels", "give one label per image")
    width = max(5, len(str(len(items) - 1)))
    samples = [
        _sample(item, label, f"{i:0{width}d}") for i, (item, label) in enumerate(zip(items, labels, strict=True))
    ]
    rows = {sample.path: row for row, sample in enumerate(samples)}
    return assemble(name, "arrays", samples, ItemReader(items, rows), classes=classes)


def _raw(item: Item) -> bytes | NDArray[np.uint8]:
    return read_bounded(item, MAX_BYTES) if isinstance(item, (str, Path)) else item


def _sample(item: Item, label: str, number: str) -> Sample:
    try:
        raw = _raw(item)
        digest, size = _digest(raw)
        info = _info(raw)
    except ImageError as error:
        return Sample(number, label, "", error=error.message)
    return Sample(number, label, digest, size, info=info)


def _digest(raw: bytes | NDArray[np.uint8]) -> tuple[str, int]:
    if isinstance(raw, bytes):
        return sha256(raw), len(raw)
    head = "x".join(map(str, raw.shape)).encode() + b":"
    return hashlib.sha256(head + raw.tobytes()).hexdigest(), raw.nbytes


def _info(raw: bytes | NDArray[np.uint8]) -> ImageInfo:
    if isinstance(raw, bytes):
        return pixels.probe(raw)
    if raw.dtype != np.uint8 or raw.ndim not in (2, 3):
        raise ImageError(f"an array of {raw.dtype} {raw.shape}, but uint8 (height, width[, 3]) is needed")
    return ImageInfo("array", "L" if raw.ndim == 2 else "RGB", raw.shape[1], raw.shape[0])
