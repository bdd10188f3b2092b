"""Traces that a writer leaves in a file."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from keensight.core.image_files import traces, unpack
from keensight.core.pixels import encode_png

PICTURE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95])
def test_jpeg_quality_is_read_from_the_tables(quality: int) -> None:
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG", quality=quality)
    assert traces(stream.getvalue()).quality == pytest.approx(quality, abs=1)


@pytest.mark.parametrize(("entries", "known"), [(63, False), (64, True)])
@pytest.mark.parametrize("wide", [False, True])
def test_a_table_that_is_too_short_says_nothing_about_the_quality(wide: bool, entries: int, known: bool) -> None:
    table = bytes([0x10 if wide else 0]) + (b"\0\x20" if wide else b"\x20") * entries
    data = b"\xff\xd8\xff\xdb" + struct.pack(">H", 2 + len(table)) + table + b"\xff\xd9"
    assert (traces(data).quality is not None) is known


def test_restart_markers_and_fill_bytes_are_passed_over() -> None:
    """They have no length: taken for segments, they would hide the tables behind them (T.81, B.1.1.3)."""
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG", quality=80)
    data = stream.getvalue()
    for alone in (b"\xff\x01", b"\xff\xd0", b"\xff\xd7", b"\xff\xff"):
        assert traces(data[:2] + alone + data[2:]).quality == traces(data).quality, alone


def test_exif_is_seen() -> None:
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG", exif=exif)
    assert traces(stream.getvalue()).exif
    assert traces(encode_png(PICTURE, orientation=6)).exif
    assert not traces(encode_png(PICTURE)).exif
    for given in ({"exif": exif}, {}):
        stream = io.BytesIO()
        Image.fromarray(PICTURE).save(stream, "WEBP", **given)
        assert traces(stream.getvalue()).exif is bool(given)


def test_damage_counts_as_absence() -> None:
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG")
    for length in range(0, 700, 7):
        traces(stream.getvalue()[:length])
    assert traces(b"") == traces(b"text")


def gif(everywhere: int | None, own: int | None, frames: int) -> bytes:
    """Frames of a GIF with color tables of 2 to 256 colors; None: no table."""

    def table(bits: int | None) -> bytes:
        return b"" if bits is None else b"\x3b" * (3 << (bits + 1))

    def flags(bits: int | None) -> int:
        return 0 if bits is None else 0x80 | bits

    head = b"GIF89a" + struct.pack("<HHBBB", 4, 4, flags(everywhere), 0, 0) + table(everywhere)
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 4, 4, flags(own)) + table(own) + b"\x02\x02\x4c\x01\x00"
    comment = b"\x21\xfe\x05hello\x03you\x00"
    return head + (comment + frame) * frames + b";"


@pytest.mark.parametrize("everywhere", [None, 0, 3, 7])
@pytest.mark.parametrize("own", [None, 0, 4, 7])
def test_frames_of_a_gif_are_counted_behind_tables_of_any_size(everywhere: int | None, own: int | None) -> None:
    for frames in (1, 3):
        assert unpack(gif(everywhere, own, frames)).frames == frames
    assert unpack(gif(everywhere, own, 3)[:-20]).frames >= 2
