"""Images that are arrays in memory: of one size as one array, or of several sizes as a list."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core import pixels
from keensight.core.decode_limits import MAX_BYTES
from keensight.core.deprecation import renamed
from keensight.core.files import read_bounded, sha256
from keensight.core.records import Dataset, ImageInfo, Part, Reading, Sample, Skipped
from keensight.data.sources.assemble import assemble
from keensight.data.sources.containers.array_values import ArrayLabels, PixelArrays, as_labels, as_pixels
from keensight.errors import DataError, ImageError

Pair = tuple[NDArray[Any], ArrayLike]

NO_LABEL = "no label"
"""Reason under which an image without a label is skipped."""


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
    images: ArrayLike,
    labels: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    name: str = "arrays",
    splits: Sequence[Part | None] | None = None,
    kind: str = "arrays",
) -> Dataset:
    """A dataset from pixels in memory.

    Args:
        images: Shape (n, H, W), (n, H, W, 1) or (n, H, W, 3) in RGB order, or with the channels before height and
            width. Whole numbers or floats from 0 to 255, or floats from 0 to 1 or from -1 to 1, which are scaled to
            uint8.
        labels: Integers or class names, shape (n,) or (n, 1); an image whose label is None, NaN or empty is left out,
            with a warning. Or 0 and 1, shape (n, classes): one-hot, else a multi-label set.
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
    converted = as_pixels({name: _one_array(images, name)})
    (array,) = converted.arrays
    held = as_labels(labels, len(array), class_names, name)
    if splits is not None and len(splits) != len(array):
        raise DataError(f"{name} has {len(array)} images but {len(splits)} splits", "give one per image")
    return _dataset(
        converted, held, splits, Reading("NumPy arrays" if kind == "arrays" else kind), name=name, kind=kind
    )


def from_parts(
    parts: Mapping[Part | None, Pair],
    *,
    name: str,
    kind: str,
    names: Sequence[str] | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """A dataset from one pair of images and labels per split (see :func:`from_arrays`).

    Args:
        parts: Images and labels by split; None: there are no splits.
        name: Name of the dataset.
        kind: How it was given, for the record.
        names: Names of the classes.
        reading: How the arrays were found; what was done to their values is added to it.

    Raises:
        DataError: as :func:`from_arrays`, or shapes, scales or kinds of labels of the splits differ.
    """
    titles = {part: f"{name} ({part})" if part else name for part in parts}
    converted = as_pixels({titles[part]: _one_array(images, titles[part]) for part, (images, _) in parts.items()})
    held = [
        as_labels(labels, len(array), names, titles[part])
        for array, (part, (_, labels)) in zip(converted.arrays, parts.items(), strict=True)
    ]
    splits = [part for part, array in zip(parts, converted.arrays, strict=True) for _ in range(len(array))]
    return _dataset(converted, _joined(held, name), splits, reading or Reading(kind), name=name, kind=kind)


def _one_array(images: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(images)
    except ValueError as error:  # NumPy's text speaks of an inhomogeneous shape
        raise DataError(
            f"the images of {name} differ in shape, so they are not one array",
            "resize them to one size, or write them as files, one folder per class",
        ) from error
    if array.dtype.kind == "O":
        raise DataError(
            f"the images of {name} are Python objects of shape {array.shape}, not an array of numbers",
            "resize them to one size and pass np.stack(images), or write them as files, one folder per class",
        )
    return array


def _joined(held: Sequence[ArrayLabels], name: str) -> ArrayLabels:
    """The labels of all splits as one."""
    if len({one.task for one in held}) > 1 and all(one.columns for one in held):
        held = [one.as_several() for one in held]
    if len({(one.task, one.columns) for one in held}) > 1:
        raise DataError(f"the splits of {name} have labels of different kinds", "give all splits labels of one kind")
    several = None if held[0].several is None else tuple(row for one in held for row in one.several or ())
    texts = tuple(text for one in held for text in one.texts)
    return replace(held[0], texts=texts, several=several)


def _dataset(
    images: PixelArrays,
    labels: ArrayLabels,
    splits: Sequence[Part | None] | None,
    reading: Reading,
    *,
    name: str,
    kind: str,
) -> Dataset:
    array = images.arrays[0] if len(images.arrays) == 1 else np.concatenate(images.arrays)
    samples, rows, skipped = _samples(array, labels, splits)
    told = _told(reading, len(skipped), len(array), (*images.notes, *labels.notes))
    told = replace(told, warnings=(*told.warnings, *images.warnings))
    return assemble(
        name, kind, samples, ArrayReader(array, rows),
        skipped=skipped, classes=labels.classes, task=labels.task, reading=told,
    )  # fmt: skip


def _samples(
    images: NDArray[np.uint8], labels: ArrayLabels, splits: Sequence[Part | None] | None
) -> tuple[list[Sample], dict[str, int], list[Skipped]]:
    shape = images.shape[1:]
    prefix = "x".join(map(str, shape)).encode() + b":"
    info = ImageInfo("array", "L" if len(shape) == 2 else "RGB", shape[1], shape[0])
    size = int(np.prod(shape))
    width = max(5, len(str(len(images) - 1)))
    counters: dict[Part | None, int] = {}
    samples: list[Sample] = []
    skipped: list[Skipped] = []
    rows: dict[str, int] = {}
    for i, image in enumerate(images):
        part = None if splits is None else splits[i]
        number = counters[part] = counters.get(part, -1) + 1
        path = f"{part}/{number:0{width}d}" if part else f"{number:0{width}d}"
        text = labels.texts[i]
        if text is None:
            skipped.append(Skipped(path, NO_LABEL))
            continue
        rows[path] = i
        held = () if labels.several is None else labels.several[i]
        digest = hashlib.sha256(prefix + image.tobytes()).hexdigest()
        samples.append(Sample(path, text, digest, size, split=part, info=info, labels=held))
    return samples, rows, skipped


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


def from_items(  # noqa: PLR0913 - each is a field of the dataset
    items: Sequence[Item],
    labels: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    name: str = "images",
    splits: Sequence[Part | None] | None = None,
    paths: Sequence[str] | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """A dataset from paths, encoded bytes or uint8 arrays (height, width[, 3]), which may differ in size.

    Args:
        items: The images.
        labels: The label of each, as in :func:`from_arrays`.
        classes: The class names in order; default: those that occur.
        name: Name of the dataset.
        splits: The predefined split of each image, None without one.
        paths: A unique name for each image; default: its number.
        reading: How the images were found.

    Raises:
        DataError: labels do not fit, or no image can be read.
    """
    held = as_labels(labels, len(items), classes, name)
    width = max(5, len(str(len(items) - 1)))
    titles = [f"{i:0{width}d}" for i in range(len(items))] if paths is None else paths
    samples: list[Sample] = []
    skipped: list[Skipped] = []
    for i, (item, title, text) in enumerate(zip(items, titles, held.texts, strict=True)):
        if text is None:
            skipped.append(Skipped(title, NO_LABEL))
            continue
        several = () if held.several is None else held.several[i]
        samples.append(replace(_sample(item, text, title), split=None if splits is None else splits[i], labels=several))
    told = _told(reading or Reading("images in memory"), len(skipped), len(items), held.notes)
    reader = ItemReader(items, {title: row for row, title in enumerate(titles)})
    return assemble(
        name, "arrays", samples, reader, skipped=skipped, classes=held.classes, task=held.task, reading=told
    )


def _told(reading: Reading, missing: int, n: int, notes: Sequence[str]) -> Reading:
    """The reading with notes on the values, and with the number of images without a label as a warning."""
    warned = (f"{missing:,} of {n:,} images have no label and are not used",) if missing else ()
    return replace(reading, notes=(*reading.notes, *notes), warnings=(*reading.warnings, *warned))


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
