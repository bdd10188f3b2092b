"""A bundle's exam: a few encoded images and the probabilities that the trained model gave them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import write_bytes
from keensight.errors import StoreError
from keensight.store.archive import UNREADABLE, check_archive

_MEMBERS = ("names", "lengths", "images", "probabilities")
_HINT = "the bundle is damaged: get it again from where it was made"


@dataclass(frozen=True, slots=True, eq=False)
class Exam:
    """Questions and answers that any form of a model must reproduce."""

    names: tuple[str, ...]
    images: tuple[bytes, ...]
    """Encoded image files, as a user would send them."""
    probabilities: NDArray[np.float32]
    """Shape (n, classes)."""

    def __len__(self) -> int:
        return len(self.names)


def write_exam(path: Path, exam: Exam) -> None:
    """Write an exam as ``.npz``: plain arrays, no pickle.

    Raises:
        StoreError: the file cannot be written.
    """
    sink = io.BytesIO()
    np.savez(
        sink,
        names=np.array(exam.names, dtype=np.str_),
        lengths=np.array([len(image) for image in exam.images], dtype=np.int64),
        images=np.frombuffer(b"".join(exam.images), dtype=np.uint8),
        probabilities=np.asarray(exam.probabilities, dtype=np.float32),
    )
    write_bytes(path, sink.getvalue())


def read_exam(path: Path, classes: int) -> Exam:
    """Read an exam; objects are refused (``allow_pickle=False``), sizes are checked before they are unpacked.

    Args:
        path: The ``.npz``.
        classes: How many columns its probabilities must have.

    Raises:
        StoreError: the file is damaged, hostile, or an exam for another number of classes.
    """
    members = {member.filename for member in check_archive(path)}
    if members != {f"{name}.npy" for name in _MEMBERS}:
        raise StoreError(f"{path.name} is no exam: it holds {', '.join(sorted(members)) or 'nothing'}", _HINT)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, lengths, images, probabilities = (arrays[name] for name in _MEMBERS)
    except (*UNREADABLE, KeyError, MemoryError, RuntimeError) as error:
        raise StoreError(f"{path.name} cannot be read: {error}", _HINT) from error
    kinds = (names.dtype.kind, lengths.dtype, images.dtype, probabilities.dtype)
    if kinds != ("U", np.int64, np.uint8, np.float32):
        raise StoreError(f"{path.name} holds arrays of other kinds than an exam's", _HINT)
    n = len(names) if names.ndim == 1 else 0
    if n == 0 or lengths.shape != (n,) or (lengths < 0).any() or images.shape != (int(lengths.sum()),):
        raise StoreError(f"{path.name} does not hold one image for each name", _HINT)
    if probabilities.shape != (n, classes) or not np.isfinite(probabilities).all():
        raise StoreError(
            f"the exam's answers have the shape {probabilities.shape}, but the manifest names {classes} classes "
            f"and the exam {n} images",
            "the manifest was changed, or belongs to another model",
        )
    ends = np.cumsum(lengths)
    encoded = tuple(images[end - length : end].tobytes() for end, length in zip(ends, lengths, strict=True))
    return Exam(tuple(map(str, names)), encoded, probabilities)
