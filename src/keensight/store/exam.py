"""A bundle's self-test: a few encoded images, what the trained model predicted for them, and with which contract."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.contract import labels_of
from keensight.core.files import write_bytes
from keensight.errors import StoreError
from keensight.store.archive import UNREADABLE, check_archive

_MEMBERS = ("names", "lengths", "images", "probabilities")
_CONTRACT = "contract"
"""Since schema 4."""
_HINT = "the bundle is damaged: get it again from where it was made"


@dataclass(frozen=True, slots=True, eq=False)
class Exam:
    """Images and predictions that any form of a model must reproduce."""

    names: tuple[str, ...]
    images: tuple[bytes, ...]
    """Encoded image files, as a user would send them."""
    probabilities: NDArray[np.float32]
    """Shape (n, classes)."""
    contract: str = ""
    """Labels, preprocessing and decision rule that the answers were given with (:mod:`keensight.core.contract`); empty
    before schema 4."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the contract, in order; empty where there is none."""
        return labels_of(self.contract)

    def __len__(self) -> int:
        return len(self.names)


def write_exam(path: Path, exam: Exam) -> None:
    """Write a self-test as ``.npz``: plain arrays, no pickle.

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
        contract=np.frombuffer(exam.contract.encode("utf-8", "backslashreplace"), dtype=np.uint8),
    )
    write_bytes(path, sink.getvalue())


def read_exam(path: Path, classes: int) -> Exam:
    """Read a self-test; objects are refused (``allow_pickle=False``), sizes are checked before they are unpacked.

    Args:
        path: The ``.npz``.
        classes: How many columns its probabilities must have.

    Raises:
        StoreError: the file is damaged, hostile, or a self-test for another number of classes.
    """
    members = {member.filename.removesuffix(".npy") for member in check_archive(path)}
    if members - {_CONTRACT} != set(_MEMBERS):
        raise StoreError(f"{path.name} is no self-test: it holds {', '.join(sorted(members)) or 'nothing'}", _HINT)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in members}
    except (*UNREADABLE, KeyError, MemoryError, RuntimeError) as error:
        raise StoreError(f"{path.name} cannot be read: {error}", _HINT) from error
    _check_arrays(path, arrays, classes)
    lengths, images = arrays["lengths"], arrays["images"]
    ends = np.cumsum(lengths)
    encoded = tuple(images[end - length : end].tobytes() for end, length in zip(ends, lengths, strict=True))
    try:
        contract = arrays[_CONTRACT].tobytes().decode() if _CONTRACT in arrays else ""
    except UnicodeDecodeError as error:
        raise StoreError(f"{path.name}: its contract is no text", _HINT) from error
    return Exam(tuple(map(str, arrays["names"])), encoded, arrays["probabilities"], contract)


def _check_arrays(path: Path, arrays: dict[str, NDArray[Any]], classes: int) -> None:
    names, lengths, images, probabilities = (arrays[name] for name in _MEMBERS)
    wrong = names.dtype.kind != "U" or lengths.dtype != np.int64 or probabilities.dtype != np.float32
    if wrong or images.dtype != np.uint8 or arrays.get(_CONTRACT, images).dtype != np.uint8:
        raise StoreError(f"{path.name} holds arrays of other kinds than a self-test's", _HINT)
    n = len(names) if names.ndim == 1 else 0
    if n == 0 or lengths.shape != (n,) or (lengths < 0).any() or images.shape != (int(lengths.sum()),):
        raise StoreError(f"{path.name} does not hold one image for each name", _HINT)
    if probabilities.shape != (n, classes) or not np.isfinite(probabilities).all():
        raise StoreError(
            f"the self-test's predictions have the shape {probabilities.shape}, but the manifest names {classes} "
            f"classes and the self-test {n} images",
            "the manifest was changed, or belongs to another model",
        )
