"""TFRecord files of ``tf.train.Example``, read without TensorFlow.

Formats: https://www.tensorflow.org/tutorials/load_data/tfrecord (length, its checksum, data, its checksum) and
https://protobuf.dev/programming-guides/encoding (an Example is a map from names to lists of bytes, floats or integers).
"""

from __future__ import annotations

import mmap
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.data.sources.containers.archives import Archive, Member, decompressed, is_compressed
from keensight.data.sources.containers.record_files import Entry, Shard, open_shards
from keensight.data.sources.names import clean_label
from keensight.errors import DataError

_NAME = re.compile(r".*(\.tfrec(ord)?s?(\.gz)?(-[0-9]+-of-[0-9]+)?|-[0-9]{5}-of-[0-9]{5})", re.IGNORECASE)
_IMAGES = ("image/encoded", "image", "image_raw", "img", "jpeg", "png", "encoded", "image_bytes", "picture", "x")
_LABELS = (
    "image/class/text", "class_name", "label_name", "image/class/label", "label", "class", "target", "category",
    "class_id", "label_id", "y",
)  # fmt: skip
"""Names of features, the best first: names of classes before their numbers."""
_FILES = ("image/filename", "filename", "file_name", "image/id", "image_name", "id")
_HEAD = struct.Struct("<QI")

Value = tuple[int, int] | int | float
"""Of a list of bytes: offset and size in the file; else the number."""


def is_record_name(name: str) -> bool:
    """Whether a file has a usual name of TFRecords."""
    return _NAME.fullmatch(name) is not None


def is_tfrecord(path: Path) -> bool:
    """Whether a file has a usual name of TFRecords and begins like one."""
    if not is_record_name(path.name) or not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(_HEAD.size)
    return path.suffix.lower().startswith(".tfrec") or is_compressed(path) or (
        len(head) == _HEAD.size and _masked(head[:8]) == _HEAD.unpack(head)[1]
    )  # fmt: skip


def open_tfrecord(
    source: Path, files: Sequence[Path], label: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Read TFRecord files whose Examples hold an encoded image and its label.

    Args:
        source: What the user opened.
        files: The files, in order.
        label: The feature with the label; default: found by its name.
        progress: Where to report while images are read.

    Raises:
        DataError: a file is damaged or holds something else, or the features of image or label are not found.
    """
    image_key = label_key = ""
    shards: list[Shard] = []
    for path in files:
        plain, claim = decompressed(path, progress) if is_compressed(path) else (path, None)
        if not plain.stat().st_size:
            raise _damaged(path.name, 0)
        members: dict[str, Member] = {}
        entries: list[Entry] = []
        with plain.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for number, example in enumerate(_examples(data, path.name)):
                if not image_key:
                    image_key, label_key = _keys(example, label, path.name)
                offset, size = _span(example, image_key)
                name = f"{number:06d}"
                members[name] = Member(offset, size, size, error=None if size else "the record has no image")
                entries.append(Entry(name, _labels(data, example, label_key)))
        shards.append(Shard(Archive(path, plain, members, claim=claim), entries))
    return open_shards(source, shards, "TFRecord", f"the feature {label_key}", progress)


def _keys(example: dict[str, _Feature], label: str | None, name: str) -> tuple[str, str]:
    listed = f"its features are: {', '.join(sorted(example)) or 'none'}"
    image = next((key for key in _IMAGES if key in example and example[key].kind == 1), None)
    if image is None:
        raise DataError(f"{name} has no feature with encoded images under a usual name", listed)
    wanted = next((key for key in ((label,) if label else _LABELS) if key in example), None)
    if wanted is None:
        hint = f"set it with --label NAME (label= in Python); {listed}"
        raise DataError(f"{name} has no feature {label or 'with a label under a usual name'}", hint)
    return image, wanted


def _span(example: dict[str, _Feature], key: str) -> tuple[int, int]:
    values = example[key].values if key in example else ()
    first = values[0] if values else (0, 0)
    return first if isinstance(first, tuple) else (0, 0)


def _labels(data: mmap.mmap, example: dict[str, _Feature], key: str) -> tuple[str, ...] | None:
    if key not in example:
        return None
    found = tuple(sys.intern(clean_label(_text(data, value))) for value in example[key].values)
    return None if found == ("",) else found


def _text(data: mmap.mmap, value: Value) -> str:
    if not isinstance(value, tuple):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return data[value[0] : sum(value)].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Feature:
    kind: int
    """1: bytes, 2: floats, 3: integers."""
    values: tuple[Value, ...]


def _examples(data: mmap.mmap, name: str) -> Iterator[dict[str, _Feature]]:
    """The Examples of a file, one after another; of bytes only where they are."""
    at = 0
    while at < len(data):
        if at + 12 > len(data):
            raise _damaged(name, at)
        length, check = _HEAD.unpack_from(data, at)
        if _masked(data[at : at + 8]) != check or at + 16 + length > len(data):
            raise _damaged(name, at)
        try:
            yield dict(_features(data, at + 12, at + 12 + length))
        except (IndexError, ValueError, struct.error) as error:
            raise DataError(
                f"{name} does not contain tf.train.Example records (byte {at})", "open the set as a tf.data.Dataset"
            ) from error
        at += 16 + length


def _damaged(name: str, at: int) -> DataError:
    return DataError(f"{name} is damaged or ends early at byte {at}", "copy or download it again")


def _features(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[str, _Feature]]:
    for example_field, start, stop in _fields(data, at, end):
        if example_field != 1:
            continue
        for _, entry, entry_end in _fields(data, start, stop):
            key, feature = "", _Feature(0, ())
            for part, begin, finish in _fields(data, entry, entry_end):
                if part == 1:
                    key = data[begin:finish].decode("utf-8")
                elif part == 2:
                    feature = _feature(data, begin, finish)
            yield key, feature


def _feature(data: mmap.mmap, at: int, end: int) -> _Feature:
    for kind, start, stop in _fields(data, at, end):
        if kind == 1:
            return _Feature(1, tuple((begin, finish - begin) for _, begin, finish in _fields(data, start, stop)))
        if kind == 2:
            return _Feature(2, tuple(n for _, a, b in _fields(data, start, stop) for n in _floats(data, a, b)))
        if kind == 3:
            return _Feature(3, tuple(n for _, a, b in _fields(data, start, stop) for n in _integers(data, a, b)))
    return _Feature(0, ())


def _floats(data: mmap.mmap, at: int, end: int) -> tuple[float, ...]:
    return struct.unpack(f"<{(end - at) // 4}f", data[at : at + (end - at) // 4 * 4])


def _integers(data: mmap.mmap, at: int, end: int) -> Iterator[int]:
    while at < end:
        number, at = _varint(data, at)
        yield number - (1 << 64) if number >> 63 else number


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number and extent of each field of a protobuf message."""
    while at < end:
        tag, at = _varint(data, at)
        start, kind = at, tag & 7
        if kind == 0:
            stop = _varint(data, at)[1]
        elif kind == 2:
            length, start = _varint(data, at)
            stop = start + length
        elif kind in (1, 5):
            stop = at + (8 if kind == 1 else 4)
        else:
            raise ValueError(f"wire type {kind}")
        if stop > end:
            raise ValueError("a field is longer than its message")
        yield tag >> 3, start, stop
        at = stop


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _crc_table()


def _masked(data: bytes) -> int:
    """CRC-32C (Castagnoli), masked as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
