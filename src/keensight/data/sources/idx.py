"""IDX files, the format of MNIST and Fashion-MNIST, plain or compressed with gzip.

Layout after LeCun, Cortes and Burges, "The MNIST database of handwritten digits": two zero bytes, the type
(8: unsigned byte), the number of dimensions, each dimension as a big-endian 32-bit integer, then the data.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from keensight.core.records import PARTS, Dataset, Part, Reading
from keensight.data.sources.arrays import Pair, from_parts
from keensight.data.sources.containers.archives import refuse_bomb
from keensight.errors import DataError

_IMAGES = re.compile(r"(?P<stem>.*)images?[.-]idx(?P<dims>[34])-ubyte(\.gz)?", re.IGNORECASE)
_UNSIGNED_BYTE = 8
_CLASS_FILES = ("labels.txt", "classes.txt")


def holds_idx(folder: Path) -> bool:
    """Whether a folder holds IDX image files under their usual names."""
    try:
        return any(_IMAGES.fullmatch(path.name) for path in folder.iterdir())
    except OSError:
        return False


def open_idx(folder: Path) -> Dataset:
    """Read a folder of IDX pairs: ``train-images-idx3-ubyte[.gz]``, ``train-labels-idx1-ubyte[.gz]``, ``t10k-...``.

    A ``labels.txt`` or ``classes.txt`` next to them contains the class names, one per line in the order of the labels.

    Raises:
        DataError: a file is damaged or not IDX, labels are missing, or the splits cannot be identified by the names.
    """
    pairs: dict[Part | None, Pair] = {}
    stems = _stems(folder)
    for stem, images in stems.items():
        part = _part(stem) if len(stems) > 1 else None
        if part in pairs or (len(stems) > 1 and part is None):
            listed = ", ".join(sorted(path.name for path in stems.values()))
            raise DataError(
                f"{folder.name} holds several sets of IDX files: {listed}",
                "keep one set per folder: train-images-idx3-ubyte and t10k-images-idx3-ubyte, each with its labels",
            )
        pairs[part] = (_read(images), _read(_labels_of(images)))
    ordered = {part: pairs[part] for part in (None, *PARTS) if part in pairs}
    name = folder.resolve().name or "idx"
    return from_parts(ordered, name=name, kind="idx", names=_names(folder), reading=Reading("IDX files"))


def _stems(folder: Path) -> dict[str, Path]:
    """The prefix before ``images`` in a name, and its file; a plain file takes precedence over its .gz."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), reverse=True):
        if match := _IMAGES.fullmatch(path.name):
            found[match["stem"].lower()] = path
    return found


def _part(stem: str) -> Part | None:
    for word, part in (("train", "train"), ("t10k", "test"), ("test", "test"), ("val", "val")):
        if word in stem:
            return cast(Part, part)
    return None


def _labels_of(images: Path) -> Path:
    name = images.name.removesuffix(".gz")
    wanted = re.sub(r"images?([.-])idx[34]", r"labels\1idx1", name, flags=re.IGNORECASE)
    for candidate in (images.with_name(wanted), images.with_name(f"{wanted}.gz")):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{images.name} has no matching labels file", f"expected {wanted} or {wanted}.gz in the same folder"
    )


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        with _open(path) as stream:
            return _parse(stream, path)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"{path.name} cannot be read: {error}", "the file is damaged: download it again") from error


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _parse(stream: IO[bytes], path: Path) -> NDArray[np.uint8]:
    name = path.name
    zero, kind, dimensions = struct.unpack(">HBB", stream.read(4))
    expected = (3, 4) if _IMAGES.fullmatch(name) else (1,)
    if zero != 0 or kind != _UNSIGNED_BYTE or dimensions not in expected:
        raise DataError(
            f"{name} is not an IDX file of {'images' if 3 in expected else 'labels'} "
            f"(magic number {zero << 16 | kind << 8 | dimensions:#010x})",
            "expected unsigned bytes: 0x00000803 for images, 0x00000801 for labels",
        )
    shape = struct.unpack(f">{dimensions}I", stream.read(4 * dimensions))
    count = math.prod(shape)
    if path.suffix == ".gz":
        refuse_bomb(path, count)
    data = _read_exactly(stream, count)
    if len(data) != count or stream.read(1):
        raise DataError(
            f"{name} is {'longer' if len(data) == count else 'shorter'} than its header says "
            f"({'x'.join(map(str, shape))})",
            "the file is truncated or damaged: download it again",
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _read_exactly(stream: IO[bytes], count: int) -> bytearray:
    # In pieces: a header that lies about its size must not reserve the memory it claims.
    data = bytearray()
    while len(data) < count and (piece := stream.read(min(count - len(data), 1 << 24))):
        data += piece
    return data


def _names(folder: Path) -> list[str] | None:
    path = next((folder / name for name in _CLASS_FILES if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read: {error}", "expected one class name per line, in UTF-8") from error
