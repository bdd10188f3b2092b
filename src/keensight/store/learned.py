"""What a bundle's model learned from, as ``learned.npz``: plain arrays of digests, no pickle, no pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import write_bytes
from keensight.core.learned import DIGEST, FREQUENCIES, OFF, PRINT, RADIUS, LearnedFrom
from keensight.errors import StoreError
from keensight.store.archive import UNREADABLE, check_archive

_ROWS = {"files": DIGEST, "pixels": DIGEST, "prints": PRINT}
_KINDS = {**dict.fromkeys(_ROWS, np.uint8), "medians": np.float32, "radius": np.int64}
_SHAPES: dict[str, tuple[int, ...]] = {"medians": (FREQUENCIES,), "radius": ()}
_HINT = "the bundle is damaged: get it again from where it was made"


def write_learned(path: Path, learned: LearnedFrom) -> None:
    """Write ``files`` (n, 16), ``pixels`` (m, 16), ``prints`` (k, 32): uint8; ``medians`` (255,): float32; ``radius``.

    Rows are sorted, so that nothing tells which image stood where.

    Raises:
        StoreError: the file cannot be written.
    """
    sink = io.BytesIO()
    np.savez(
        sink,
        files=np.unique(learned.files, axis=0),
        pixels=np.unique(learned.pixels, axis=0),
        prints=np.unique(learned.prints, axis=0),
        medians=np.asarray(learned.medians, dtype=np.float32),
        radius=np.int64(learned.radius),
    )
    write_bytes(path, sink.getvalue())


def read_learned(path: Path) -> LearnedFrom:
    """Read what :func:`write_learned` wrote; objects are refused, sizes are checked before they are unpacked.

    Raises:
        StoreError: the file is damaged or hostile.
    """
    members = {member.filename for member in check_archive(path)}
    if members != {f"{name}.npy" for name in _KINDS}:
        held = ", ".join(sorted(members)) or "nothing"
        raise StoreError(f"{path.name} does not say what the model learned from: it holds {held}", _HINT)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _KINDS}
    except (*UNREADABLE, KeyError, MemoryError, RuntimeError) as error:
        raise StoreError(f"{path.name} cannot be read: {error}", _HINT) from error
    if problem := _problem(arrays):
        raise StoreError(f"{path.name}: {problem}", _HINT)
    return LearnedFrom(arrays["files"], arrays["pixels"], arrays["prints"], arrays["medians"], int(arrays["radius"]))


def _problem(arrays: dict[str, NDArray[np.generic]]) -> str | None:
    wrong = [name for name, kind in _KINDS.items() if arrays[name].dtype != kind]
    if wrong:
        return f"{', '.join(wrong)} are of another kind than digests"
    wrong = [name for name, width in _ROWS.items() if arrays[name].ndim != 2 or arrays[name].shape[1] != width]
    wrong += [name for name, shape in _SHAPES.items() if arrays[name].shape != shape]
    if wrong:
        return f"{', '.join(wrong)} have another shape than digests"
    if not np.isfinite(arrays["medians"].astype(np.float64)).all():
        return "a median is not finite"
    radius = int(arrays["radius"].astype(np.int64))
    return None if OFF <= radius <= RADIUS else f"its radius is {radius} bits"
