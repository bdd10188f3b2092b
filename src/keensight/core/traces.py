"""What the program that wrote an image file left in it besides pixels."""

from __future__ import annotations

from dataclasses import dataclass

from keensight.core.containers import jpeg_segments

_DQT, _APP1 = 0xDB, 0xE1
_STANDARD = 3688
"""Sum of the luminance table of ITU-R T.81, annex K, which quality 50 takes as it is."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces of a writer."""

    quality: float | None
    """Of a JPEG, 1 to 100, as libjpeg counts it; None for other formats."""
    exif: bool
    """Whether there is an EXIF block."""


def traces(data: bytes) -> Traces:
    """Read the traces in an encoded image; whatever is damaged counts as absent."""
    if data.startswith(b"\x89PNG"):
        return Traces(None, b"eXIf" in data[:4096])
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Traces(None, data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 8))
    if not data.startswith(b"\xff\xd8\xff"):
        return Traces(None, exif=False)
    quality, exif = None, False
    for marker, start, end in jpeg_segments(data):
        if marker == _DQT and quality is None:
            quality = _quality(data[start + 4 : end])
        exif = exif or (marker == _APP1 and data[start + 4 : start + 10] == b"Exif\0\0")
    return Traces(quality, exif)


def _quality(tables: bytes) -> float | None:
    """Invert libjpeg's ``jpeg_quality_scaling`` for the first table, by its sum."""
    wide = tables[:1] >= b"\x10"
    step = 2 if wide else 1
    values = [int.from_bytes(tables[i : i + step], "big") for i in range(1, 1 + 64 * step, step)]
    scale = 100 * sum(values) / _STANDARD
    if len(tables) < 1 + 64 * step or not scale:
        return None
    return round((200 - scale) / 2 if scale <= 100 else 5000 / scale, 1)
