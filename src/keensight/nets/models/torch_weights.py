"""State dicts of PyTorch, read without PyTorch and without running pickled code.

A ``.pth`` file is a pickle. Here it may only refer to what a state dict needs, each replaced by an inert substitute;
anything else is refused before it is looked up. Two layouts are supported: the legacy one (five pickles in a row, then
each storage as its length and its bytes) and the zip of PyTorch 1.6 and later.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import sha256
from keensight.errors import StoreError

LIMIT = 2 << 30
"""Largest file in bytes."""
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_HINT = "the file is damaged, malicious or of another kind: get it again from its source"
_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
_DAMAGE = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError, TypeError, ValueError,
    OverflowError, MemoryError, RuntimeError, struct.error, zipfile.BadZipFile, OSError,
)  # fmt: skip
"""Exceptions of Python's pickle and zip readers for a damaged file; RuntimeError: encrypted, or nested too deep."""

Find = Callable[[str, str, int], memoryview | bytes]
"""Bytes of the storage with this key, dtype and number of elements."""


class _Storage(NamedTuple):
    dtype: str
    key: str
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Rebuild:
    """Replaces ``torch._utils._rebuild_tensor_v2`` and records its arguments. It has no state to tamper with."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Tensor:
        return _Tensor(storage, offset, tuple(size), tuple(stride))


class _Unpickler(pickle.Unpickler):
    """Allows only dictionaries, tensors and storages."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Rebuild()
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise StoreError(f"the file requests {module}.{name}, which a state dict does not need", _HINT)

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count = pid[:5]
        view = pid[5] if len(pid) > 5 else None
        if kind != "storage" or view is not None or dtype not in _TYPES.values() or type(count) is not int:
            raise ValueError("an unknown storage type")
        return _Storage(dtype, str(key), count)


def read_state(path: Path, digest: str | None = None) -> dict[str, NDArray[Any]]:
    """Read a state dict.

    Args:
        path: A ``.pth`` or ``.pt`` file, legacy or zip.
        digest: SHA-256 that its content must have; None: any.

    Returns:
        Parameter names to read-only arrays, in PyTorch's own layout of dimensions.

    Raises:
        StoreError: the file is missing, too large, damaged, has another digest, or contains anything but dictionaries
            and tensors.
    """
    data = _content(path)
    if digest is not None and sha256(data) != digest:
        raise StoreError(
            f"checksum mismatch in {path.name}: the file is damaged or was changed",
            "reinstall the package with the file",
        )
    try:
        return _zipped(data) if data[:4] == b"PK\x03\x04" else _legacy(data)
    except StoreError as error:
        raise StoreError(f"{path.name} is refused: {error.message}", error.hint) from error
    except _DAMAGE as error:
        raise StoreError(f"{path.name} is not a readable PyTorch state dict: {error}", _HINT) from error


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LIMIT:
            raise StoreError(f"{path.name} is larger than {LIMIT:,} bytes", "give the weights of one network")
        return path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror or error}", "check the path of the weights"
        ) from error


def _legacy(data: bytes) -> dict[str, NDArray[Any]]:
    stream = io.BytesIO(data)
    magic, protocol, system, state, keys = (_Unpickler(stream).load() for _ in range(5))
    if magic != _MAGIC or protocol != _PROTOCOL or not system["little_endian"]:
        raise ValueError("not the legacy format, or from a big-endian machine")
    starts: dict[str, tuple[int, int]] = {}
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in _tensors(state).values()}
    position = stream.tell()
    for key in keys:
        (count,) = struct.unpack_from("<q", data, position)
        end = position + 8 + count * np.dtype(dtypes.get(key, "<f4")).itemsize
        if count < 0 or end > len(data):
            raise ValueError(f"storage {key} extends past the end of the file")
        starts[key] = position + 8, count
        position = end

    def find(key: str, dtype: str, count: int) -> memoryview:
        start, stored = starts[key]
        if (dtype, count) != (dtypes[key], stored):
            raise ValueError(f"storage {key} has two sizes or types")
        return memoryview(data)[start : start + count * np.dtype(dtype).itemsize]

    return _arrays(state, find)


def _zipped(data: bytes) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {member.filename: member for member in archive.infolist()}
        root = next((name[: -len("data.pkl")] for name in members if name.endswith("/data.pkl")), None)
        if root is None or any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise ValueError("a zip file that PyTorch did not write")  # PyTorch stores without packing: no bombs
        if archive.read(members[f"{root}byteorder"]) != b"little" if f"{root}byteorder" in members else False:
            raise ValueError("written on a big-endian machine")
        state = _Unpickler(io.BytesIO(archive.read(members[f"{root}data.pkl"]))).load()
        return _arrays(state, lambda key, dtype, count: archive.read(members[f"{root}data/{key}"]))


def _tensors(state: Any) -> dict[str, _Tensor]:
    """A state dict's tensors; a checkpoint that wraps one under ``state_dict`` is unwrapped."""
    inner = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(inner, Mapping):
        raise StoreError("it contains no state dict", _HINT)
    for name, value in inner.items():
        if not (isinstance(name, str) and isinstance(value, _Tensor) and isinstance(value.storage, _Storage)):
            raise StoreError(f"{str(name)[:80]!r} is not a tensor", "save model.state_dict() alone")
    return {str(name): value for name, value in inner.items()}


def _arrays(state: Any, find: Find) -> dict[str, NDArray[Any]]:
    return {name: _array(tensor, find) for name, tensor in _tensors(state).items()}


def _array(tensor: _Tensor, find: Find) -> NDArray[Any]:
    (dtype, key, count), offset, size, stride = tensor
    if not all(type(number) is int and 0 <= number < sys.maxsize for number in (offset, *size, *stride)):
        raise ValueError("a tensor's shape is not a list of numbers")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    # More elements than the storage has (a stride of 0) would unpack a small file to any size.
    if 0 in size or last >= count or math.prod(size) > count:
        raise ValueError("a tensor extends past its storage")
    flat = np.frombuffer(find(key, dtype, count), dtype=dtype, count=count)[offset:]
    steps = tuple(step * flat.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(flat, size, steps, writeable=False)
