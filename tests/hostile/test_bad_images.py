"""Files that are broken, strange or no images at all; each made here by code."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keensight.core.pixels import decode, encode_png, probe
from keensight.core.records import ImageSpec
from keensight.errors import ImageError

SPEC = ImageSpec(24, 32)


def picture(height: int = 120, width: int = 160) -> np.ndarray:
    """Noise over a gradient: a JPEG of it has data in every block."""
    noise = np.random.default_rng(7).integers(0, 60, (height, width, 3))
    return (noise + np.linspace(0, 190, width)[None, :, None]).astype(np.uint8)


def jpeg(**options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "JPEG", **options)
    return stream.getvalue()


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def huge_png(width: int = 60_000, height: int = 60_000) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def huge_bmp() -> bytes:
    return (
        b"BM" + struct.pack("<IHHI", 1078, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, *[0] * 6)
    )


def huge_jpeg() -> bytes:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    return bytes(data)


def huge_gif() -> bytes:
    """The screen is 1×1, but the frame sticks out of it by 60,000 pixels each way."""
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 60_000, 60_000, 0) + b"\x08\x01\x00\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame + b";"


def huge_tiff() -> bytes:
    entries = [(256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 8), (278, 60_000), (279, 10)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4)


def reason(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, SPEC)
    message = caught.value.message
    assert message == message.strip()
    assert "\n" not in message
    assert len(message) < 200
    assert caught.value.hint
    return message


@pytest.mark.parametrize("make", [huge_png, huge_bmp, huge_jpeg, huge_gif, huge_tiff])
def test_a_header_of_60000_by_60000_is_refused_before_memory_is_taken(make: Any) -> None:
    assert "60000×60000 pixels; the limit is" in reason(make())
    with pytest.raises(ImageError, match="60000×60000"):
        probe(make())


def test_large_but_allowed_images_give_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    # Between Pillow's limit for a warning (89 megapixels) and ours.
    assert probe(huge_png(10_000, 10_000)).width == 10_000
    assert not recwarn.list


def test_a_million_pixels_in_a_row_are_averaged_rightly() -> None:
    for fit in ("stretch", "crop", "pad"):
        got = decode(np.full((1, 4_000_000), 200, np.uint8), ImageSpec(1, 1, fit))
        assert abs(int(got[0, 0, 0]) - 200) <= 4  # from 0 without the averaging


def test_zero_bytes() -> None:
    assert reason(b"") == "the file is empty (0 bytes)"
    assert "nothing but zero bytes" in reason(bytes(5000))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"this is a letter, not a picture\n" * 100, "a text file"),
        ("übrigens ein Text\n".encode() * 100, "a text file"),
        (b"label,path\ncat,a.jpg\n", "a text file"),
        (b"8BPS\0\1" + bytes(20), "Photoshop"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(30), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>', "SVG"),
        (b"<!-- drawn by hand -->\n<svg></svg>", "SVG"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypmp42" + bytes(12), "video"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
        (b"\0\0\1\0\1\0\x10\x10" + bytes(14), "ICO"),
        (b"PK\3\4" + bytes(26), "ZIP"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        (bytes(128) + b"DICM" + bytes(20), "DICOM"),
        (np.random.default_rng(0).bytes(3000), "supported format"),
    ],
)
def test_other_things_under_an_image_name_are_called_by_theirs(data: bytes, name: str) -> None:
    assert name in reason(data)


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("spec", [ImageSpec(120, 160), ImageSpec(16, 16)])
def test_truncated_jpeg_bodies(options: dict[str, Any], spec: ImageSpec) -> None:
    whole = jpeg(**options)
    for cut in (40, 200, 2000, len(whole) // 2, len(whole) - 700):
        for tail in (b"", b"\xff\xd9", bytes(5000), b"\xff\xd9 and a comment"):
            with pytest.raises(ImageError, match="truncated JPEG"):
                decode(whole[:-cut] + tail, spec)


def test_a_truncated_progressive_jpeg() -> None:
    whole = jpeg(progressive=True)
    for cut in (2, 200, len(whole) // 2):
        assert "truncated JPEG" in reason(whole[:-cut])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_complete_jpegs_with_something_behind_them_are_read(options: dict[str, Any]) -> None:
    whole = jpeg(**options)
    want = decode(whole, SPEC)
    for tail in (b"\0" * 999, b"trailing bytes \xff\xd9", whole, b"\xff"):
        assert np.array_equal(decode(whole + tail, SPEC), want)


def test_a_complete_jpeg_without_its_end_marker_is_read() -> None:
    whole = jpeg()
    assert whole[-2:] == b"\xff\xd9"
    for tail in (b"", b"\xff", bytes(100)):
        assert np.array_equal(decode(whole[:-2] + tail, SPEC), decode(whole, SPEC))


def test_jpeg_headers_cut_anywhere() -> None:
    whole = jpeg(exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", comment=b"c" * 50)
    assert probe(whole).orientation == 6
    for length in range(1, whole.index(b"\xff\xda")):
        reason(whole[:length])


def test_junk_in_jpeg_segments_that_hold_no_pixels_does_not_matter() -> None:
    plain = jpeg()
    for marker in (0xE1, 0xE2, 0xED, 0xFE):
        for body in (
            b"MPF\0garbage",
            b"ICC_PROFILE\0\x01\x09",
            b"Exif\0\0MM\0*\xff\xff\xff\xff",
            b"Photoshop 3.0\x008BIM",
        ):
            junk = bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body
            assert np.array_equal(decode(plain[:2] + junk + plain[2:], SPEC), decode(plain, SPEC))


def test_truncated_png() -> None:
    whole = encode_png(picture())
    for cut in (60, 1000, len(whole) // 2):
        assert "PNG" in reason(whole[:-cut])
    assert np.array_equal(decode(whole[:-12], SPEC), decode(whole, SPEC)), "without the last, empty chunk"


def test_damaged_png_texts_and_animation_chunks_do_not_matter() -> None:
    whole = encode_png(picture())
    bomb = png_chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(70_000_000), 1))
    animation = png_chunk(b"acTL", b"\0") + png_chunk(b"fcTL", bytes(3))
    odd = whole[:33] + bomb + animation + png_chunk(b"iCCP", b"no profile") + whole[33:]
    assert np.array_equal(decode(odd, SPEC), decode(whole, SPEC))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_other_formats_cut_short(format: str, share: float) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, format)
    data = stream.getvalue()
    assert format in reason(data[: int(len(data) * share)]).upper()


def test_a_tiff_whose_directory_points_nowhere() -> None:
    for place in (7, 10_000, 2**32 - 1):
        assert "TIFF" in reason(b"II*\0" + struct.pack("<I", place) + b"\1\0")
    assert "TIFF" in reason(b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(40))


def test_tiff_tags_with_too_many_values_are_read_as_their_first(recwarn: pytest.WarningsRecorder) -> None:
    entries = [(256, 3, 2, 2 | 9 << 16), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 200), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 2), (305, 2, 900_000, 5)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    data = (b"II*\0" + struct.pack("<I", 8) + directory + bytes(4)).ljust(200, b"\0") + b"\x05\xfa"
    assert decode(data, ImageSpec(1, 2))[0, :, 0].tolist() == [5, 250]
    assert not recwarn.list


def test_every_single_byte_damaged_gives_an_image_or_an_image_error() -> None:
    rng = np.random.default_rng(3)
    small = Image.fromarray(picture(12, 12))
    for format in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM"):
        stream = io.BytesIO()
        small.save(stream, format)
        data = stream.getvalue()
        for position in range(min(len(data), 400)):
            damaged = bytearray(data)
            damaged[position] ^= int(rng.integers(1, 256))
            try:
                assert decode(bytes(damaged), ImageSpec(4, 4)).shape == (4, 4, 3)
            except ImageError as error:
                assert error.message
