"""Files of named arrays: ``.npz``, folders of ``.npy`` files, HDF5."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.records import Dataset, Reading
from keensight.data.sources.arrays import from_parts
from keensight.data.sources.containers.archives import refuse_bomb
from keensight.data.sources.containers.array_names import ArrayShape, Pairing, pair_arrays
from keensight.errors import DataError

HDF5_SUFFIXES = frozenset({".h5", ".hdf5", ".hdf"})

_FALLBACK_MEMORY = 8 << 30

_DAMAGE = (
    ValueError, OSError, EOFError, KeyError, TypeError, RuntimeError, MemoryError, SyntaxError, TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What readers raise for a damaged file. TypeError: a bare array, which is no archive; SyntaxError: a header of NumPy,
which is Python."""

Load = Callable[[str], NDArray[Any]]


def open_npz(path: Path, *, label: str | None = None) -> Dataset:
    """Read an ``.npz`` file of images and labels; :func:`.array_names.pair_arrays` lists the names it knows.

    Args:
        path: The file.
        label: The array of labels, where there are several.

    Raises:
        DataError: the file is damaged, contains pickled objects or no images and labels, or its arrays do not fit.
    """
    with _reading(path), path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        shapes = {key: _header(archive, key) for key in archive.files}
        refuse_bomb(path, sum(array.size for array in shapes.values()))
        return _from_named(shapes, archive.__getitem__, path.stem, ".npz arrays", label)


def _header(archive: Any, key: str) -> ArrayShape:
    """Shape and type of an array of an ``.npz``, without its values."""
    member = f"{key}.npy" if f"{key}.npy" in archive.zip.namelist() else key
    with archive.zip.open(member) as stream:
        return _npy_header(stream)


def _npy_header(stream: IO[bytes]) -> ArrayShape:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return ArrayShape(shape, "O" if dtype.hasobject else dtype.kind, dtype.itemsize)


def holds_npy(folder: Path) -> bool:
    """Whether a folder has ``.npy`` files of images and labels directly in it."""
    return len(list(folder.glob("*.npy"))) > 1


def open_npy(folder: Path, *, label: str | None = None) -> Dataset:
    """Read a folder of ``.npy`` files: ``X_train.npy``, ``y_train.npy``; ``images.npy``, ``labels.npy``.

    Raises:
        DataError: as :func:`open_npz`.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.npy"))}
    shapes: dict[str, ArrayShape] = {}
    for key, path in files.items():
        with _reading(path), path.open("rb") as stream:
            shapes[key] = _npy_header(stream)

    def load(key: str) -> NDArray[Any]:
        with _reading(files[key]):
            array: NDArray[Any] = np.load(files[key], allow_pickle=False, mmap_mode="r")
            return array

    return _from_named(shapes, load, folder.resolve().name or "arrays", ".npy arrays", label)


def open_hdf5(path: Path, *, label: str | None = None) -> Dataset:
    """Read an HDF5 file whose datasets are images and labels, named as in an ``.npz``, also within groups.

    Raises:
        DataError: as :func:`open_npz`, or it is a model that Keras saved.
    """
    import h5py

    with _reading(path), h5py.File(path, "r") as file:
        if "model_config" in file.attrs or "model_weights" in file:
            raise DataError(f"{path.name} is a model that Keras saved, not images", "load it with keensight adopt")
        found: dict[str, Any] = {}
        file.visititems(lambda key, item: found.update({key: item}) if isinstance(item, h5py.Dataset) else None)
        shapes = {key: _hdf5_shape(item, path.name) for key, item in found.items()}
        refuse_bomb(path, sum(array.size for array in shapes.values()))
        return _from_named(shapes, lambda key: _hdf5_values(found[key]), path.stem, "HDF5 arrays", label)


def _hdf5_shape(item: Any, name: str) -> ArrayShape:
    if item.external or item.is_virtual:
        raise DataError(
            f"{name} takes {item.name} from another file, which is refused", "copy the data into one file (h5repack)"
        )
    return ArrayShape(item.shape or (), _hdf5_kind(item), item.dtype.itemsize)


def _hdf5_kind(item: Any) -> str:
    import h5py

    return "U" if h5py.check_string_dtype(item.dtype) else str(item.dtype.kind)


def _hdf5_values(item: Any) -> NDArray[Any]:
    return np.asarray(item.asstr()[()] if _hdf5_kind(item) == "U" else item[()])


def from_named_arrays(arrays: Mapping[str, NDArray[Any]], *, label: str | None = None) -> Dataset:
    """A dataset from a mapping of names to arrays, as :func:`open_npz` reads them.

    Raises:
        DataError: as :func:`open_npz`.
    """
    kinds = {key: "U" if array.dtype.kind == "O" else array.dtype.kind for key, array in arrays.items()}
    shapes = {key: ArrayShape(array.shape, kinds[key]) for key, array in arrays.items()}
    return _from_named(shapes, arrays.__getitem__, "arrays", "NumPy arrays", label)


def _from_named(shapes: Mapping[str, ArrayShape], load: Load, name: str, layout: str, label: str | None) -> Dataset:
    plain = {key: array for key, array in shapes.items() if array.kind != "O"}
    try:
        pairing = pair_arrays(plain, name, label)
    except DataError as error:
        if len(plain) == len(shapes):
            raise
        raise _pickled(name) from error
    needed = sum(math.prod(plain[images].shape) * (plain[images].itemsize + 1) for images, _ in pairing.pairs.values())
    if needed > _memory() // 2:
        raise DataError(
            f"the images of {name} take {needed / 2**30:,.0f} GiB, too much for memory",
            "write them as image files, one folder per class",
        )
    names = None if pairing.class_names is None else [str(item) for item in load(pairing.class_names).tolist()]
    parts = {part: (load(images), load(labels)) for part, (images, labels) in pairing.pairs.items()}
    return from_parts(parts, name=name, kind="arrays", names=names, reading=_told(pairing, layout))


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return _FALLBACK_MEMORY


def _pickled(name: str) -> DataError:
    return DataError(
        f"{name} holds pickled Python objects, which can run code when opened, and is refused",
        "save images as a uint8 array and labels as integers or text with numpy.savez",
    )


def _told(pairing: Pairing, layout: str) -> Reading:
    listed = ", ".join(f"{images} with {labels}" for images, labels in pairing.pairs.values())
    unused = f"arrays not used: {', '.join(pairing.unused[:8])}{', ...' if len(pairing.unused) > 8 else ''}"
    return Reading(layout, f"{listed}, {pairing.cue}", notes=(unused,) if pairing.unused else ())


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what NumPy, zipfile and h5py raise for a damaged file into a DataError."""
    try:
        yield
    except DataError:
        raise
    except _DAMAGE as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise _pickled(path.name) from error
        raise DataError(
            f"{path.name} cannot be read as {path.suffix.lower()}: {error}", "the file is damaged; save it again"
        ) from error
