"""JPEG XL (ISO/IEC 18181) as one of Pillow's image files, decoded by libjxl in ``imagecodecs``, an extra."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image, ImageFile

from keensight.errors import ImageError

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_LENGTHS = (9, 13, 18, 30)


class JxlImageFile(ImageFile.ImageFile):
    """A JPEG XL image: its first frame, in 8 bits."""

    format = "JXL"
    format_description = "JPEG XL image"

    def _open(self) -> None:
        assert self.fp is not None
        self._encoded = self.fp.read()
        self._size = oriented_size(codestream(self._encoded))
        self._mode = "RGB"
        self.tile = []

    def load(self) -> Any:
        """Decode the pixels, once."""
        if self._encoded:
            values = imagecodecs.jpegxl_decode(self._encoded, index=0, numthreads=1)
            self._encoded = b""
            if values.dtype.kind == "f":
                values = np.rint(255 * np.clip(np.nan_to_num(values), 0, 1))
            elif values.dtype.itemsize > 1:  # libjxl scales to the whole range, whatever the number of bits
                values = values >> 8
            decoded = Image.fromarray(np.ascontiguousarray(values.astype(np.uint8)))
            if decoded.size != self.size:
                raise ImageError("damaged JPEG XL: its header gives another size", "copy or download it again")
            self._mode, self.im = decoded.mode, decoded.im
        return super().load()


def codestream(data: bytes) -> bytes:
    """The beginning of the codestream, which may be in boxes.

    Raises:
        ImageError: there is none.
    """
    if data.startswith(b"\xff\x0a"):
        return data[:64]
    position = 0
    while position < len(data):
        size, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        if name in (b"jxlc", b"jxlp"):
            start = position + head + (4 if name == b"jxlp" else 0)
            return data[start : start + 64]
        if size < head:
            break
        position += size
    raise ImageError("truncated JPEG XL: it has no image data", "copy or download it again")


def oriented_size(stream: bytes) -> tuple[int, int]:
    """Width and height after rotation, from the first bytes of a codestream.

    Raises:
        ImageError: it ends early.
    """
    bits = _bits(stream[2:])
    try:
        width, height = _stored_size(bits)
        if _number(bits, 1) or not _number(bits, 1):  # all defaults, or none of the fields with the orientation
            return width, height
        return (height, width) if _number(bits, 3) >= 4 else (width, height)
    except StopIteration:
        raise ImageError("truncated JPEG XL: its header ends early", "copy or download it again") from None


def _stored_size(bits: Iterator[int]) -> tuple[int, int]:
    small = _number(bits, 1)
    height = _side(bits, small)
    ratio = _number(bits, 3)
    if not ratio:
        return _side(bits, small), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _side(bits: Iterator[int], small: int) -> int:
    return 8 * (_number(bits, 5) + 1) if small else _number(bits, _LENGTHS[_number(bits, 2)]) + 1


def _bits(data: bytes) -> Iterator[int]:
    return (byte >> place & 1 for byte in data for place in range(8))


def _number(bits: Iterator[int], length: int) -> int:
    # A list: a generator would turn StopIteration into RuntimeError.
    return sum([next(bits) << place for place in range(length)])
