"""Where a bundle's training embeddings lie, as ``subspace.npz``: plain arrays, no pickle."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import write_bytes
from keensight.core.ood import LARGEST, Subspace
from keensight.errors import StoreError
from keensight.store.archive import UNREADABLE, check_archive

_ARRAYS = ("scale", "mean", "axes", "known")
_SCALARS = ("threshold", "refused")
_ORTHONORMAL = 1e-3
_HINT = "the bundle is damaged: get it again from where it was made"


def write_subspace(path: Path, subspace: Subspace) -> None:
    """Write ``scale`` (d,), ``mean`` (d,), ``axes`` (k, d), ``known`` (n,), all float32, and two float64 scalars.

    Raises:
        StoreError: the file cannot be written.
    """
    sink = io.BytesIO()
    np.savez(
        sink,
        scale=np.asarray(subspace.scale, dtype=np.float32),
        mean=np.asarray(subspace.mean, dtype=np.float32),
        axes=np.asarray(subspace.axes, dtype=np.float32),
        known=np.asarray(subspace.known, dtype=np.float32),
        threshold=np.float64(subspace.threshold),
        refused=np.float64(subspace.refused),
    )
    write_bytes(path, sink.getvalue())


def read_subspace(path: Path) -> Subspace:
    """Read a subspace; objects are refused (``allow_pickle=False``), sizes are checked before they are unpacked.

    Raises:
        StoreError: the file is damaged or hostile.
    """
    members = {member.filename for member in check_archive(path)}
    if members != {f"{name}.npy" for name in (*_ARRAYS, *_SCALARS)}:
        raise StoreError(f"{path.name} holds no subspace: it holds {', '.join(sorted(members)) or 'nothing'}", _HINT)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in (*_ARRAYS, *_SCALARS)}
    except (*UNREADABLE, KeyError, MemoryError, RuntimeError) as error:
        raise StoreError(f"{path.name} cannot be read: {error}", _HINT) from error
    if problem := _kinds(arrays) or _shapes(arrays) or _values(arrays):
        raise StoreError(f"{path.name}: {problem}", _HINT)
    return Subspace(*(arrays[name] for name in _ARRAYS), *(float(arrays[name]) for name in _SCALARS))


def _kinds(arrays: dict[str, NDArray[np.generic]]) -> str | None:
    wanted = dict.fromkeys(_ARRAYS, np.float32) | dict.fromkeys(_SCALARS, np.float64)
    wrong = [name for name, kind in wanted.items() if arrays[name].dtype != kind]
    return f"{', '.join(wrong)} are of another kind than a subspace's" if wrong else None


def _shapes(arrays: dict[str, NDArray[np.generic]]) -> str | None:
    axes = arrays["axes"].shape
    if len(axes) != 2 or axes[1] < 1 or axes[0] > axes[1]:
        return f"its axes have the shape {axes}"
    if arrays["known"].ndim != 1:
        return f"its known scores have the shape {arrays['known'].shape}"
    wanted = {"scale": axes[1:], "mean": axes[1:]} | dict.fromkeys(_SCALARS, ())
    wrong = [name for name, shape in wanted.items() if arrays[name].shape != shape]
    return f"{', '.join(wrong)} do not have the shape that the axes ask for" if wrong else None


def _values(arrays: dict[str, NDArray[np.generic]]) -> str | None:
    values = {name: array.astype(np.float64) for name, array in arrays.items()}
    if not all(np.isfinite(array).all() for array in values.values()):
        return "a number is not finite"
    if values["scale"].min() <= 0:
        return "a feature's scale is not above 0"
    axes, known = values["axes"], values["known"]
    if not np.allclose(axes @ axes.T, np.eye(len(axes)), atol=_ORTHONORMAL):
        return "its axes are not orthonormal"
    if len(known) and not (known[0] >= 0 and known[-1] <= LARGEST and (np.diff(known) >= 0).all()):
        return "its known scores do not rise from 0 to 2"
    threshold, refused = (float(values[name]) for name in _SCALARS)
    if not (0 <= threshold <= LARGEST and 0 <= refused <= 1):
        return f"threshold {threshold} or share refused {refused} cannot be"
    return None
