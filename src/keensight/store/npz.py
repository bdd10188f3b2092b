"""The arrays beside a bundle's model, as ``.npz`` without pickle: self-test, class means, subspace, and so on.

One table per file defines its arrays with dtype and shape; one reader checks sizes before anything is
unpacked, then members, dtypes, shapes and finite numbers. Checks that are specific to one file are next to its table.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.drift import NUMBERS, Measured
from keensight.core.files import write_bytes
from keensight.core.fingerprints import DIGEST, FREQUENCIES, OFF, PRINT, RADIUS, LearnedFrom
from keensight.core.ood import LARGEST, Subspace
from keensight.core.prototypes import Prototypes
from keensight.core.verification import labels_of
from keensight.errors import StoreError
from keensight.store.safety import UNREADABLE, check_archive

_HINT = "the bundle is damaged: get it again from its source"
_ORTHONORMAL = 1e-3

Arrays = dict[str, NDArray[Any]]
Shape = tuple[str | int, ...]
"""Sizes of the axes; a letter is one size, the same in all arrays of a file."""


@dataclass(frozen=True, slots=True)
class Table:
    """The contents of a file: a name for messages, and dtype and shape of each array."""

    subject: str
    arrays: Mapping[str, tuple[Any, Shape]]
    optional: frozenset[str] = frozenset()
    """Arrays that older bundles lack."""


_SELF_TEST = Table(
    "self-test",
    {
        "names": (np.str_, ("n",)),
        "lengths": (np.int64, ("n",)),
        "images": (np.uint8, ("bytes",)),
        "probabilities": (np.float32, ("n", "classes")),
        "contract": (np.uint8, ("text",)),
    },
    optional=frozenset({"contract"}),  # since schema 4
)
_PROTOTYPES = Table(
    "set of class means",
    {
        "means": (np.float32, ("classes", "d")),
        "centre": (np.float32, ("d",)),
        "counts": (np.int64, ("classes",)),
        "threshold": (np.float64, ()),
        "kept": (np.float64, ()),
        "temperature": (np.float64, ()),
    },
)
_SUBSPACE = Table(
    "subspace",
    {
        "axes": (np.float32, ("k", "d")),
        "scale": (np.float32, ("d",)),
        "mean": (np.float32, ("d",)),
        "known": (np.float32, ("n",)),
        "threshold": (np.float64, ()),
        "refused": (np.float64, ()),
    },
)
_LEARNED = Table(
    "set of fingerprints",
    {
        "files": (np.uint8, ("n", DIGEST)),
        "pixels": (np.uint8, ("m", DIGEST)),
        "prints": (np.uint8, ("k", PRINT)),
        "medians": (np.float32, (FREQUENCIES,)),
        "radius": (np.int64, ()),
    },
)
_REFERENCE = Table(
    "set of reference measurements",
    {
        "properties": (np.str_, ("k",)),
        "values": (np.float32, ("n", "k")),
        "classes": (np.int64, ("n",)),
    },
)
_UNKNOWN = -1.0
"""What stands for an unknown value of a property: no property is negative, and no number may be NaN."""


def _write(path: Path, table: Table, arrays: Mapping[str, Any]) -> None:
    sink = io.BytesIO()
    stored: dict[str, Any] = {name: np.asarray(arrays[name], dtype) for name, (dtype, _) in table.arrays.items()}
    np.savez(sink, **stored)
    write_bytes(path, sink.getvalue())


def _read(path: Path, table: Table, classes: int | None = None) -> Arrays:
    """The arrays of a file; objects are refused, and sizes are checked before they are unpacked."""
    members = {member.filename for member in check_archive(path)}
    known = {f"{name}.npy": name for name in table.arrays}
    if {known.get(member) for member in members} | table.optional != set(table.arrays):
        found = ", ".join(sorted(members)) or "nothing"
        raise StoreError(f"{path.name} contains {found}, not the arrays of a {table.subject}", _HINT)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for member, name in known.items() if member in members}
    except (*UNREADABLE, KeyError, MemoryError, RuntimeError) as error:
        raise StoreError(f"{path.name} cannot be read: {error}", _HINT) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy gives the bytes of a member that is not an array
            raise StoreError(f"{path.name} cannot be read: {name} is not an array", _HINT)
    sizes = {} if classes is None else {"classes": classes}
    for name, array in arrays.items():
        if problem := _problem(array, *table.arrays[name], sizes):
            raise StoreError(f"{path.name}: {name} {problem}, which a {table.subject} does not allow", _HINT)
    return arrays


def _problem(array: NDArray[Any], dtype: Any, shape: Shape, sizes: dict[str, int]) -> str | None:
    """Describe an invalid array; new sizes are added to ``sizes``."""
    if array.dtype.kind != "U" if dtype is np.str_ else array.dtype != dtype:
        return f"has dtype {array.dtype}"
    if array.ndim == len(shape):
        for size, found in zip(shape, array.shape, strict=True):
            if isinstance(size, str):
                sizes.setdefault(size, found)
    wanted = tuple(size if isinstance(size, int) else sizes.get(size, size) for size in shape)
    if array.shape != wanted:
        return f"has shape {array.shape} instead of ({', '.join(map(str, wanted))})"
    if array.ndim == 2 and not array.shape[1]:
        return f"has the shape {array.shape}: rows without numbers"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return "contains a number that is not finite"
    return None


def _refuse(path: Path, problem: str | None) -> None:
    if problem:
        raise StoreError(f"{path.name}: {problem}", _HINT)


@dataclass(frozen=True, slots=True, eq=False)
class SelfTest:
    """Images and predictions that every format of a model must reproduce."""

    names: tuple[str, ...]
    images: tuple[bytes, ...]
    """Encoded image files, as a user would send them."""
    probabilities: NDArray[np.float32]
    """Shape (n, classes)."""
    contract: str = ""
    """Labels, preprocessing and decision rule of these predictions (:mod:`keensight.core.verification`); empty before
    schema 4."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the contract, in order; empty if there is none."""
        return labels_of(self.contract)

    def __len__(self) -> int:
        return len(self.names)


def write_self_test(path: Path, test: SelfTest) -> None:
    """Write a self-test.

    Raises:
        StoreError: the file cannot be written.
    """
    _write(
        path,
        _SELF_TEST,
        {
            "names": np.array(test.names, dtype=np.str_),
            "lengths": [len(image) for image in test.images],
            "images": np.frombuffer(b"".join(test.images), dtype=np.uint8),
            "probabilities": test.probabilities,
            "contract": np.frombuffer(test.contract.encode("utf-8", "backslashreplace"), dtype=np.uint8),
        },
    )


def read_self_test(path: Path, classes: int) -> SelfTest:
    """Read a self-test.

    Args:
        path: The ``.npz``.
        classes: Required number of probability columns.

    Raises:
        StoreError: the file is damaged, malicious, or has another number of classes.
    """
    arrays = _read(path, _SELF_TEST)
    lengths, images, probabilities = arrays["lengths"], arrays["images"], arrays["probabilities"]
    if not len(lengths) or (lengths < 0).any() or len(images) != int(lengths.sum()):
        raise StoreError(f"{path.name} does not contain one image per name", _HINT)
    if probabilities.shape[1] != classes:
        raise StoreError(
            f"the self-test's predictions have the shape {probabilities.shape}, but the manifest names {classes} "
            f"classes and the self-test {len(lengths)} images",
            "the manifest was changed, or belongs to another model",
        )
    ends = np.cumsum(lengths)
    encoded = tuple(images[end - length : end].tobytes() for end, length in zip(ends, lengths, strict=True))
    try:
        contract = arrays["contract"].tobytes().decode() if "contract" in arrays else ""
    except UnicodeDecodeError as error:
        raise StoreError(f"{path.name}: its contract is not text", _HINT) from error
    return SelfTest(tuple(map(str, arrays["names"])), encoded, probabilities, contract)


def write_prototypes(path: Path, prototypes: Prototypes) -> None:
    """Write class means.

    Raises:
        StoreError: the file cannot be written.
    """
    _write(path, _PROTOTYPES, {name: getattr(prototypes, name) for name in _PROTOTYPES.arrays})


def read_prototypes(path: Path, classes: int) -> Prototypes:
    """Read class means.

    Args:
        path: The ``.npz``.
        classes: Required number of means.

    Raises:
        StoreError: the file is damaged, malicious, or has another number of classes.
    """
    arrays = _read(path, _PROTOTYPES, classes)
    if int(arrays["counts"].min()) < 1:
        _refuse(path, "a class mean has no images")
    threshold, kept, temperature = (float(arrays[name]) for name in ("threshold", "kept", "temperature"))
    if not (-1.001 <= threshold <= 1.001 and 0 <= kept <= 1 and temperature > 0):
        _refuse(path, f"threshold {threshold}, fraction kept {kept} or temperature {temperature} is out of range")
    return Prototypes(arrays["centre"], arrays["means"], arrays["counts"], threshold, kept, temperature)


def write_subspace(path: Path, subspace: Subspace) -> None:
    """Write the subspace of training embeddings.

    Raises:
        StoreError: the file cannot be written.
    """
    _write(path, _SUBSPACE, {name: getattr(subspace, name) for name in _SUBSPACE.arrays})


def read_subspace(path: Path) -> Subspace:
    """Read a subspace.

    Raises:
        StoreError: the file is damaged or malicious.
    """
    arrays = _read(path, _SUBSPACE)
    _refuse(path, _wrong_subspace(arrays))
    threshold, refused = float(arrays["threshold"]), float(arrays["refused"])
    return Subspace(arrays["scale"], arrays["mean"], arrays["axes"], arrays["known"], threshold, refused)


def _wrong_subspace(arrays: Arrays) -> str | None:
    axes, known = arrays["axes"].astype(np.float64), arrays["known"].astype(np.float64)
    if axes.shape[0] > axes.shape[1]:
        return f"its axes have the shape {axes.shape}"
    if arrays["scale"].min() <= 0:
        return "a feature's scale is not positive"
    if not np.allclose(axes @ axes.T, np.eye(len(axes)), atol=_ORTHONORMAL):
        return "its axes are not orthonormal"
    if len(known) and not (known[0] >= 0 and known[-1] <= LARGEST and (np.diff(known) >= 0).all()):
        return "its scores are not ascending from 0 to 2"
    threshold, refused = float(arrays["threshold"]), float(arrays["refused"])
    if not (0 <= threshold <= LARGEST and 0 <= refused <= 1):
        return f"threshold {threshold} or rejected fraction {refused} is out of range"
    return None


def write_learned(path: Path, learned: LearnedFrom) -> None:
    """Write the fingerprints of the training images; rows are sorted, to hide their order.

    Raises:
        StoreError: the file cannot be written.
    """
    rows = {name: np.unique(getattr(learned, name), axis=0) for name in ("files", "pixels", "prints")}
    _write(path, _LEARNED, {**rows, "medians": learned.medians, "radius": learned.radius})


def read_learned(path: Path) -> LearnedFrom:
    """Read what :func:`write_learned` wrote.

    Raises:
        StoreError: the file is damaged or malicious.
    """
    arrays = _read(path, _LEARNED)
    radius = int(arrays["radius"])
    if not OFF <= radius <= RADIUS:
        _refuse(path, f"its radius is {radius} bits")
    return LearnedFrom(arrays["files"], arrays["pixels"], arrays["prints"], arrays["medians"], radius)


def write_reference(path: Path, measured: Measured) -> None:
    """Write the measurements of test images.

    Raises:
        StoreError: the file cannot be written.
    """
    values = np.where(np.isnan(measured.values), _UNKNOWN, measured.values)
    _write(path, _REFERENCE, {"properties": np.array(NUMBERS), "values": values, "classes": measured.classes})


def read_reference(path: Path, classes: int) -> Measured:
    """Read what :func:`write_reference` wrote; properties that this version does not know are ignored.

    Args:
        path: The ``.npz``.
        classes: Number of classes of the model.

    Raises:
        StoreError: the file is damaged or malicious.
    """
    arrays = _read(path, _REFERENCE)
    stored = {str(name): column for name, column in zip(arrays["properties"], arrays["values"].T, strict=True)}
    count = len(arrays["classes"])
    values = np.full((count, len(NUMBERS)), np.nan, np.float32)
    for place, name in enumerate(NUMBERS):
        if name in stored:
            values[:, place] = np.where(stored[name] == _UNKNOWN, np.nan, stored[name])
    if count and not (arrays["classes"].min() >= -1 and arrays["classes"].max() < classes):
        _refuse(path, "it has predictions of classes that the model does not have")
    if (values < 0).any():
        _refuse(path, "it has a negative measurement")
    return Measured(values, arrays["classes"])
