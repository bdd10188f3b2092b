"""Images one by one: paths, encoded bytes and arrays in one list, each with its label."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keensight.core import pixels
from keensight.core.files import read_bounded, sha256
from keensight.core.records import Dataset, ImageInfo, Sample
from keensight.data.assemble import assemble
from keensight.errors import DataError, ImageError

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
        name: What to call the dataset.

    Raises:
        DataError: there is not one label for each image, or none can be read.
    """
    if len(items) != len(labels):
        raise DataError(f"{name} has {len(items)} images but {len(labels)} labels", "give one label for each image")
    width = max(5, len(str(len(items) - 1)))
    samples = [
        _sample(item, label, f"{i:0{width}d}") for i, (item, label) in enumerate(zip(items, labels, strict=True))
    ]
    rows = {sample.path: row for row, sample in enumerate(samples)}
    return assemble(name, "arrays", samples, ItemReader(items, rows), classes=classes)


def _raw(item: Item) -> bytes | NDArray[np.uint8]:
    return read_bounded(item, pixels.MAX_BYTES) if isinstance(item, (str, Path)) else item


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
