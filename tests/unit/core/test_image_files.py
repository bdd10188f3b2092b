"""Traces that a writer leaves in a file."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from keensight.core.image_files import Traces, traces, unpack
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


def table(values: list[int], wide: bool = False, number: int = 0) -> bytes:
    """A quantization table (T.81, B.2.4.1) of bytes, or of 16-bit numbers."""
    return bytes((16 * wide + number,)) + struct.pack(f">{len(values)}{'H' if wide else 'B'}", *values)


def with_tables(*tables: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(b"\xff\xdb" + struct.pack(">H", 2 + len(one)) + one for one in tables) + b"\xff\xd9"


@pytest.mark.parametrize(
    ("values", "quality"),
    [
        # libjpeg scales a table with a sum of 3,688 by (200 - 2 * quality)%, below 50 by 5000 / quality %.
        ([32] * 64, (200 - 100 * 2048 / 3688) / 2),
        ([20] * 64, (200 - 100 * 1280 / 3688) / 2),
        ([57] * 63 + [3688 - 63 * 57], 50.0),
        ([57] * 63 + [3692 - 63 * 57], 5000 / (100 * 3692 / 3688)),
        ([100] * 64, 5000 / (100 * 6400 / 3688)),
        ([0] * 64, None),
        ([0] * 63 + [1], (200 - 100 / 3688) / 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wide", [False, True])
def test_the_quality_is_that_of_the_first_table_to_a_tenth(
    values: list[int], quality: float | None, wide: bool
) -> None:
    want = None if quality is None else round(quality, 1)
    first, second = table(values, wide), table([9] * 64, wide, number=1)
    for tables in ([first], [first + second], [first + table([9] * 64, number=1)]):
        assert traces(with_tables(*tables)).quality == want
    assert traces(with_tables(first, second)).quality == (traces(with_tables(second)).quality if want is None else want)
    assert traces(with_tables(first[:-1], second)).quality == traces(with_tables(second)).quality


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


def test_a_jpeg_has_an_exif_block_only_in_its_own_segment() -> None:
    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body

    for marker, body, exif in (
        (0xE1, b"Exif\0\0II*\0", True), (0xE1, b"Exif\0\0", True), (0xE1, b"http://ns.adobe.com/xap/1.0/", False),
        (0xE2, b"Exif\0\0II*\0", False),
    ):  # fmt: skip
        for others in (b"", segment(0xE0, b"JFIF\0")):
            data = b"\xff\xd8" + others + segment(marker, body) + others + b"\xff\xd9"
            assert traces(data).exif is exif, (marker, body)
            assert traces(data).quality is None


def test_a_webp_says_in_the_flags_of_its_first_chunk_whether_it_has_exif() -> None:
    """The fourth lowest bit; its neighbors mean animation, XMP, transparency and a profile (RFC 9649, 2.7.1)."""

    def webp(name: bytes, flags: int, form: bytes = b"WEBP") -> bytes:
        return b"RIFF" + struct.pack("<I", 22) + form + name + struct.pack("<IB", 10, flags)

    assert traces(webp(b"VP8X", 0x08)).exif is True
    assert traces(webp(b"VP8X", 0xFF)).exif is True
    assert traces(webp(b"VP8X", 0xF7)).exif is False
    assert traces(webp(b"VP8L", 0x08)).exif is False
    assert traces(webp(b"VP8X", 0x08, form=b"WAVE")) == Traces(None, exif=False)
    for length in range(12, 21):
        assert traces(webp(b"VP8X", 0x08)[:length]).exif is False


def test_damage_counts_as_absence() -> None:
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG")
    for length in range(0, 700, 7):
        traces(stream.getvalue()[:length])
    assert traces(b"") == traces(b"text") == Traces(None, exif=False)


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
