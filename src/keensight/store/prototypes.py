"""A bundle's class means, as ``prototypes.npz``: plain arrays, no pickle."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import write_bytes
from keensight.core.records import Prototypes
from keensight.errors import StoreError
from keensight.store.archive import UNREADABLE, check_archive

_ARRAYS = {"centre": np.float32, "means": np.float32, "counts": np.int64}
_SCALARS = ("threshold", "kept", "temperature")
_HINT = "the bundle is damaged: get it again from where it was made"


def write_prototypes(path: Path, prototypes: Prototypes) -> None:
    """Write class means: ``centre`` (d,), ``means`` (classes, d), ``counts`` (classes,) and three float64 scalars.

    Raises:
        StoreError: the file cannot be written.
    """
    sink = io.BytesIO()
    np.savez(
        sink,
        centre=np.asarray(prototypes.centre, dtype=np.float32),
        means=np.asarray(prototypes.means, dtype=np.float32),
        counts=np.asarray(prototypes.counts, dtype=np.int64),
        threshold=np.float64(prototypes.threshold),
        kept=np.float64(prototypes.kept),
        temperature=np.float64(prototypes.temperature),
    )
    write_bytes(path, sink.getvalue())


def read_prototypes(path: Path, classes: int) -> Prototypes:
    """Read class means; objects are refused (``allow_pickle=False``), sizes are checked before they are unpacked.

    Args:
        path: The ``.npz``.
        classes: How many means it must hold.

    Raises:
        StoreError: the file is damaged, hostile, or of another number of classes.
    """
    members = {member.filename for member in check_archive(path)}
    if members != {f"{name}.npy" for name in (*_ARRAYS, *_SCALARS)}:
        raise StoreError(f"{path.name} holds no class means: it holds {', '.join(sorted(members)) or 'nothing'}", _HINT)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in (*_ARRAYS, *_SCALARS)}
    except (*UNREADABLE, KeyError, MemoryError, RuntimeError) as error:
        raise StoreError(f"{path.name} cannot be read: {error}", _HINT) from error
    if problem := _kinds(arrays) or _shapes(arrays, classes) or _values(arrays):
        raise StoreError(f"{path.name}: {problem}", _HINT)
    return Prototypes(arrays["centre"], arrays["means"], arrays["counts"], *(float(arrays[name]) for name in _SCALARS))


def _kinds(arrays: dict[str, NDArray[np.generic]]) -> str | None:
    wanted = _ARRAYS | dict.fromkeys(_SCALARS, np.float64)
    wrong = [name for name, kind in wanted.items() if arrays[name].dtype != kind]
    return f"{', '.join(wrong)} are of another kind than class means" if wrong else None


def _shapes(arrays: dict[str, NDArray[np.generic]], classes: int) -> str | None:
    means = arrays["means"].shape
    if len(means) != 2 or means[0] != classes or means[1] < 1:
        return f"its means have the shape {means}, but the manifest names {classes} classes"
    wanted = {"centre": means[1:], "counts": means[:1]} | dict.fromkeys(_SCALARS, ())
    wrong = [name for name, shape in wanted.items() if arrays[name].shape != shape]
    return f"{', '.join(wrong)} do not have the shape that the means ask for" if wrong else None


def _values(arrays: dict[str, NDArray[np.generic]]) -> str | None:
    if not all(np.isfinite(array.astype(np.float64)).all() for array in arrays.values()):
        return "a number is not finite"
    if int(arrays["counts"].astype(np.int64).min()) < 1:
        return "a mean is of no image"
    threshold, kept, temperature = (float(arrays[name].astype(np.float64)) for name in _SCALARS)
    if not (-1.001 <= threshold <= 1.001 and 0 <= kept <= 1 and temperature > 0):
        return f"threshold {threshold}, share kept {kept} or temperature {temperature} cannot be"
    return None
