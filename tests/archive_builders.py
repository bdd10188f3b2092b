"""Small image sets in archives and record files, for tests."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keensight.core.pixels import encode_png
from keensight.data.sources.containers.tfrecord import _masked

_RNG = np.random.default_rng(0)
PNG = tuple(encode_png(_RNG.integers(0, 255, (6, 5, 3), np.uint8)) for _ in range(12))
CLASSES = ("cat", "dog")
SPLITS = {"train": 8, "test": 4}


def class_folders(top: str = "photos/") -> dict[str, bytes]:
    """Twelve images of two classes by path."""
    return {f"{top}{CLASSES[i % 2]}/{i}.png": png for i, png in enumerate(PNG)}


def write_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def web_samples(kind: str = "cls") -> dict[str, bytes]:
    """The same images, each with its class number beside it."""
    files: dict[str, bytes] = {}
    for i, png in enumerate(PNG):
        files[f"{i:04d}.png"] = png
        files[f"{i:04d}.{kind}"] = (
            str(i % 2).encode() if kind == "cls" else json.dumps({"label": CLASSES[i % 2]}).encode()
        )
    return files


def write_records(path: Path, examples: list[dict[str, list[bytes] | list[int] | list[float]]]) -> Path:
    with path.open("wb") as stream:
        for example in examples:
            data = _message(1, b"".join(_message(1, _message(1, key.encode()) + _message(2, _feature(values)))
                                        for key, values in example.items()))  # fmt: skip
            head = struct.pack("<Q", len(data))
            stream.write(head + struct.pack("<I", _masked(head)) + data + struct.pack("<I", _masked(data)))
    return path


def image_examples(start: int = 0, stop: int = 12) -> list[dict[str, list[bytes] | list[int] | list[float]]]:
    return [
        {"image/encoded": [PNG[i]], "image/class/label": [i % 2], "image/class/text": [CLASSES[i % 2].encode()],
         "area": [0.5]}
        for i in range(start, stop)
    ]  # fmt: skip


def _feature(values: list[bytes] | list[int] | list[float]) -> bytes:
    if isinstance(values[0], bytes):
        return _message(1, b"".join(_message(1, value) for value in values if isinstance(value, bytes)))
    if isinstance(values[0], int):
        return _message(3, _message(1, b"".join(_varint(int(value)) for value in values)))
    return _message(2, _message(1, struct.pack(f"<{len(values)}f", *values)))


def _message(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    pieces = bytearray()
    while number > 127:
        pieces.append(number & 127 | 128)
        number >>= 7
    return bytes([*pieces, number])
