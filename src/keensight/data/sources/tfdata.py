"""Image sets from TensorFlow: a finite ``tf.data.Dataset`` of images and labels, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Progress
from keensight.core.records import Dataset, Part, Reading
from keensight.errors import DataError, UsageError

LIMIT = 4 << 30
"""Maximum bytes of uint8 pixels in memory; for more, use image files in a folder."""
_INFINITE = -1
_PARTS: dict[str | None, Part | None] = {
    None: None, "train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"
}  # fmt: skip


@runtime_checkable
class Stream(Protocol):
    """What is asked of a ``tf.data.Dataset``; whatever else has these methods will do too."""

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Its elements, one after another, as NumPy arrays."""
        ...

    def cardinality(self) -> Any:
        """Number of its elements; -1: infinitely many, -2: not known."""
        ...


Streams = Stream | Mapping[str, Stream]


def from_streams(source: Streams, labels: Sequence[str], progress: Progress) -> Dataset:
    """A dataset from streams of (image, label), single or in batches, held in memory as uint8.

    Args:
        source: Each element is a pair of image and label, or a mapping with ``image`` and ``label``; other members,
            such as weights, are ignored. Images: whole numbers from 0 to 255, or floats from 0 to 255 or 0 to 1, all of
            one size. Labels: class numbers, one-hot rows, or names. A mapping gives ``train``, ``val`` and ``test``.
        labels: Class names in the order of the numbers; empty: the stream's own ``class_names``, else the labels
            themselves.
        progress: Where to say how much memory it takes, and what was done to the pixels.

    Raises:
        DataError: a stream never ends, is empty, too large, or its images or labels are of another kind.
        UsageError: it is not a ``tf.data.Dataset``, or the mapping has a split with another name.
    """
    from keensight.data.sources.arrays import from_parts

    parts = _by_part(source)
    reader = _Reader(LIMIT)
    for part, stream in parts.items():
        reader.read(stream, part, progress)
    names = list(labels) or list(getattr(next(iter(parts.values())), "class_names", ())) or reader.numbers()
    progress.say(f"{reader.count:,} images, {reader.size / 2**20:,.0f} MiB, held in memory{reader.remark}")
    notes = (reader.remark.removeprefix("; "),) if reader.remark else ()
    told = Reading("tf.data.Dataset", notes=notes)
    return from_parts(reader.pairs(), name="tf.data", kind="arrays", names=names, reading=told)


def _by_part(source: Streams) -> dict[Part | None, Stream]:
    given: Mapping[Any, Stream] = source if isinstance(source, Mapping) else {None: source}
    foreign = [stream for stream in given.values() if not isinstance(stream, Stream)]
    if foreign or not given:
        raise UsageError(
            f"images cannot be read from a {type(foreign[0] if foreign else source).__name__}",
            "give a path, a pandas table, a pair of arrays (images, labels), a Dataset or a tf.data.Dataset",
        )
    unknown = [name for name in given if name not in _PARTS]
    if unknown:
        raise UsageError(f"there is no split {unknown[0]!r}", "call the datasets train, val and test")
    return {_PARTS[name]: stream for name, stream in given.items()}


class _Reader:
    """Reads streams to arrays, and knows what it has met: the number of images, their bytes, their range."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._images: dict[Part | None, list[NDArray[np.uint8]]] = {}
        self._labels: dict[Part | None, list[NDArray[Any]]] = {}
        self.count = self.size = 0
        self.scale = 1.0
        """255 while all floats lie between 0 and 1."""
        self.floats = False
        self._classes = 0

    @property
    def remark(self) -> str:
        """What was done to the pixels, in words."""
        if not self.floats:
            return ""
        return "; floats from 0 to 1, times 255" if self.scale > 1 else "; floats from 0 to 255, rounded"

    def numbers(self) -> list[str] | None:
        """Names for one-hot labels that have none; None: there were no such labels."""
        return [str(number) for number in range(self._classes)] or None

    def pairs(self) -> dict[Part | None, tuple[NDArray[np.uint8], NDArray[Any]]]:
        """Images and labels of each split, as arrays."""
        return {part: (np.concatenate(self._images[part]), np.concatenate(self._labels[part])) for part in self._images}

    def read(self, stream: Stream, part: Part | None, progress: Progress) -> None:
        """Read all images and labels of a split."""
        name = part or "the dataset"
        total = int(stream.cardinality())
        if total == _INFINITE:
            raise DataError(f"{name} never ends", "limit it, such as with .take(100), or remove .repeat()")
        images = self._images[part] = []
        labels = self._labels[part] = []
        with progress.task("reading the dataset", max(total, 0), "elements") as task:
            for element in stream.as_numpy_iterator():
                batch, given = _pair(element, name)
                images.append(self._as_pixels(batch, name))
                labels.append(self._as_labels(given, name))
                task.advance()
        if not images:
            raise DataError(f"{name} is empty", "check its source")
        shapes = sorted({batch.shape[1:] for batch in images})
        if len(shapes) > 1:
            raise DataError(
                f"{name} holds images of different sizes, such as {shapes[0]} and {shapes[1]}",
                "resize them with .map(...), or open the folder of image files",
            )

    def _as_pixels(self, batch: NDArray[Any], name: str) -> NDArray[np.uint8]:
        """A batch as uint8."""
        self.count += len(batch)
        self.size += batch.size
        if self.size > self._limit:
            raise DataError(
                f"{name} holds more than {self._limit / 2**30:.3g} GiB of pixels, too much for memory",
                "write the images to a folder per class, or use fewer or smaller images",
            )
        low, high = (float(batch.min()), float(batch.max())) if batch.size else (0.0, 0.0)
        if not 0 <= low <= high <= 255:  # false for NaN too
            raise DataError(
                f"the pixels of {name} run from {low:.4g} to {high:.4g}, but 0 to 255 or 0 to 1 is needed",
                "give the images before normalization",
            )
        if batch.dtype.kind in "iu":
            return batch.astype(np.uint8)
        if batch.dtype.kind != "f":
            raise DataError(f"the images of {name} are {batch.dtype}", "give values from 0 to 255")
        if not self.floats:
            self.floats, self.scale = True, 255.0 if high <= 1 else 1.0
        elif high > 1 and self.scale > 1:  # all before were dark images of levels 0 and 1
            self.scale = 1.0
            for images in self._images.values():
                images[:] = [np.rint(done / 255).astype(np.uint8) for done in images]
        return np.rint(batch * self.scale).astype(np.uint8)

    def _as_labels(self, given: NDArray[Any], name: str) -> NDArray[Any]:
        """Labels of a batch as numbers or names, shape (n,)."""
        if given.dtype.kind in "SO":
            return np.array([item.decode() if isinstance(item, bytes) else str(item) for item in given.reshape(-1)])
        if given.ndim == 2 and given.shape[1] == 1:
            given = given[:, 0]
        if given.ndim == 1:
            return given
        if given.ndim != 2 or not (np.isin(given, (0, 1)).all() and (given.sum(axis=1) == 1).all()):
            raise DataError(
                f"the labels of {name} are neither class numbers nor one-hot rows: shape {given.shape}",
                "for several labels per image, open a table",
            )
        self._classes = given.shape[1]
        return np.asarray(given.argmax(axis=1))


def _pair(element: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images (n, ...) and labels (n, ...) of an element, which is a batch or a single image."""
    if isinstance(element, Mapping):
        found = [element[key] for key in ("image", "label") if key in element]
    else:
        found = list(element) if isinstance(element, tuple) else [element]
    if len(found) < 2:
        raise DataError(f"the elements of {name} are not pairs of image and label", "map them to (image, label)")
    image, label = np.asarray(found[0]), np.asarray(found[1])
    batched = image.ndim == 4 or (
        image.ndim == 3 and image.shape[2] not in (1, 3) and label.ndim > 0 and len(label) == len(image)
    )
    return (image, label) if batched else (image[None], label[None])
