"""TIFF 6.0, and the EXIF blocks of other formats, which are TIFF too: directories of tagged entries."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from keensight.errors import ImageError

_ORIENTATION = 0x0112
_BITS, _MEANING, _BANDS, _KIND, _ICC = 258, 262, 277, 339, 34675
_FLOATS = 3
_MOST_BANDS = 1024
"""Of an instrument; a number above it is damage."""
MAX_FRAMES = 100_000
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Size, bits, compression, color, strips, tiles, layout, fax options, predictor, palette, alpha, JPEG, YCbCr.
_SINGLE = frozenset((256, 257, 259, 262, 266, 277, 278, 284, 292, 293, 317, 322, 323))
_PIXEL_TAGS = _SINGLE | frozenset((258, 273, 279, 320, 324, 325, 338, 339, 347, *range(512, 522), 529, 530, 532))


@dataclass(frozen=True, slots=True)
class _Entry:
    tag: int
    type: int
    count: int
    value: bytes
    """The value itself if it fits, else its offset in the file."""


class _Tiff:
    """The layout of one TIFF file: byte order, and 32- or 64-bit offsets (BigTIFF)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = data[2:4] == b"+\0"
        self.place = "Q" if self.big else "I"
        self.inline = 8 if self.big else 4
        self.header = self.order + ("HHQ8s" if self.big else "HHI4s")

    def number(self, code: str, position: int) -> int:
        if position > len(self.data):
            raise ImageError("truncated TIFF: an offset points past the end of the file", "copy or download it again")
        return int(struct.unpack_from(self.order + code, self.data, position)[0])

    def first(self) -> int:
        return self.number(self.place, 8 if self.big else 4)

    def directory(self, position: int) -> tuple[list[_Entry], int]:
        """The entries of one directory, and the position of the next one's offset."""
        code = "Q" if self.big else "H"
        start = position + struct.calcsize(code)
        size = struct.calcsize(self.header)
        end = start + self.number(code, position) * size
        if end > len(self.data):
            raise ImageError("truncated TIFF: its directory ends early", "copy or download it again")
        entries = struct.iter_unpack(self.header, self.data[start:end])
        return [_Entry(*entry) for entry in entries], end

    def value(self, entry: _Entry) -> bytes:
        size = _TYPE_SIZES[entry.type] * entry.count
        if size <= self.inline:
            return entry.value[:size]
        place = int(struct.unpack(self.order + self.place, entry.value)[0])
        if place + size > len(self.data):
            raise ImageError("truncated TIFF: a tag points past the end of the file", "copy or download it again")
        return self.data[place : place + size]

    def shorts(self, entries: list[_Entry], tag: int) -> tuple[int, ...]:
        """The 16-bit numbers of a tag, as far as they are in the file."""
        for entry in entries:
            if entry.tag == tag and entry.type == 3 and entry.count:
                value = self.value(entry)
                return struct.unpack(f"{self.order}{len(value) // 2}H", value)
        return ()

    def orientation(self, entries: list[_Entry]) -> int:
        for entry in entries:
            if entry.tag == _ORIENTATION and entry.type in (3, 4) and entry.count == 1:
                code = "H" if entry.type == 3 else "I"
                value = int(struct.unpack_from(self.order + code, entry.value)[0])
                return value if 1 <= value <= 8 else 1
        return 1

    def frames(self, position: int) -> int:
        seen: set[int] = set()
        while position and position not in seen and len(seen) < MAX_FRAMES:
            seen.add(position)
            try:
                _, end = self.directory(position)
                position = self.number(self.place, end)
            except (ImageError, struct.error):
                break
        return max(1, len(seen))


def exif_orientation(block: bytes) -> int:
    """Orientation in an EXIF block; 1 if it has none or is damaged."""
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    try:
        tiff = _Tiff(block)
        return tiff.orientation(tiff.directory(tiff.first())[0])
    except (ImageError, struct.error):
        return 1


@dataclass(frozen=True, slots=True)
class CutDown:
    """A file with no other tags than its pixels need, and what the others say."""

    body: bytes
    orientation: int
    frames: int
    profile: bytes
    deep_color: bool
    """Whether it has three channels or more of 16 bits."""


def cut_down(data: bytes) -> CutDown:
    """Read the tags of a file, and leave only those that its pixels need.

    Raises:
        ImageError: it is damaged, or has bands that no picture has.
    """
    tiff = _Tiff(data)
    try:
        position = tiff.first()
        entries, _ = tiff.directory(position)
        _refuse_bands(tiff, entries)
        body = _only_pixel_tags(tiff, position, entries)
    except struct.error as error:
        raise ImageError("truncated TIFF: its directory is missing", "copy or download it again") from error
    bands, bits = (tiff.shorts(entries, tag) or (1,) for tag in (_BANDS, _BITS))
    deep_color = bands[0] >= 3 and bits[0] == 16
    return CutDown(body, tiff.orientation(entries), tiff.frames(position), _profile(tiff, entries), deep_color)


def _profile(tiff: _Tiff, entries: list[_Entry]) -> bytes:
    """The color profile; empty if there is none, or it is damaged."""
    for entry in entries:
        if entry.tag == _ICC and entry.type in (1, 7):
            try:
                return tiff.value(entry)
            except (ImageError, struct.error):
                return b""
    return b""


def _refuse_bands(tiff: _Tiff, entries: list[_Entry]) -> None:
    """Refuse more than the four channels of a picture, and several channels of numbers that are no colors."""
    bands, bits, kind, meaning = ((tiff.shorts(entries, tag) or (1,))[0] for tag in (_BANDS, _BITS, _KIND, _MEANING))
    gray = bands > 2 and meaning <= 1
    numbers = bands > 1 and (kind == _FLOATS or bits == 32 or (bands == 2 and bits > 8))
    if bands <= _MOST_BANDS and (bands > 4 or gray or numbers):
        depth = f"{bits} bits" + (", floating point" if kind == _FLOATS else "")
        raise ImageError(f"it is a TIFF of {bands} bands of {depth}: export three as an RGB image, or one in gray")


def _only_pixel_tags(tiff: _Tiff, position: int, entries: list[_Entry]) -> bytes:
    """The file with its first directory rewritten in place: pixel tags only, and no next one."""
    kept: dict[int, _Entry] = {}
    total = 0
    for entry in entries:
        if entry.tag not in _PIXEL_TAGS or entry.tag in kept or entry.type not in _TYPE_SIZES or not entry.count:
            continue
        value = tiff.value(entry)
        total += len(value)
        if entry.tag in _SINGLE and entry.count > 1:
            one = value[: _TYPE_SIZES[entry.type]]
            entry = _Entry(entry.tag, entry.type, 1, one[: tiff.inline].ljust(tiff.inline, b"\0"))
        kept[entry.tag] = entry
    if total > len(tiff.data):
        raise ImageError("damaged TIFF: its tags overlap", "copy or download it again")
    packed = [struct.pack(tiff.header, e.tag, e.type, e.count, e.value) for e in kept.values()]
    count = struct.pack(tiff.order + ("Q" if tiff.big else "H"), len(packed))
    directory = count + b"".join(packed) + bytes(tiff.inline)
    return tiff.data[:position] + directory + tiff.data[position + len(directory) :]
