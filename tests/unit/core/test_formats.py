"""Formats beyond the usual seven, and those of extras."""

from __future__ import annotations

import base64
import gzip
import io
import struct
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keensight.core.image_files import unpack
from keensight.core.openers import EXTRAS, missing_extras, needs_extra, open_container
from keensight.core.pixels import decode, encode_png, probe
from keensight.core.records import ImageInfo, ImageSpec
from keensight.errors import ImageError

Y, X = np.mgrid[:16, :24]
PHOTO = np.stack([X * 10, Y * 14, (X + Y) * 6], axis=2).clip(0, 255).astype(np.uint8)
SPEC = ImageSpec(16, 24)


def encoded(format: str, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PHOTO).convert(mode).save(stream, format, **options)
    return stream.getvalue()


def reason(data: bytes) -> str:
    with pytest.raises(ImageError) as raised:
        decode(data, SPEC)
    return raised.value.message


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("TGA", {}), ("TGA", {"compression": "tga_rle"}), ("JPEG2000", {"irreversible": False}),
        ("JPEG2000", {"no_jp2": True}), ("ICO", {"sizes": [(24, 16)]}),
        ("ICO", {"sizes": [(24, 16)], "bitmap_format": "bmp", "mode": "RGBA"}),
    ],
)  # fmt: skip
def test_lossless_formats_give_back_the_exact_pixels(format: str, options: dict[str, Any]) -> None:
    raw = encoded(format, **options)
    assert (probe(raw).format, probe(raw).width, probe(raw).height) == (format, 24, 16)
    assert np.array_equal(decode(raw, SPEC), PHOTO)


def test_avif() -> None:
    raw = encoded("AVIF", quality=95, subsampling="4:4:4")
    assert probe(raw) == ImageInfo("AVIF", "RGB", 24, 16)
    assert np.abs(decode(raw, SPEC).astype(int) - PHOTO).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    raw = encoded("AVIF", quality=95, subsampling="4:4:4", exif=exif)
    size = ImageSpec(16, 24) if orientation < 5 else ImageSpec(24, 16)
    want = decode(encode_png(PHOTO, orientation), size)
    assert np.abs(decode(raw, size).astype(int) - want).mean() < 3


def test_an_mpo_is_its_first_picture() -> None:
    other = Image.fromarray(255 - PHOTO)
    raw = encoded("MPO", quality=95, save_all=True, append_images=[other])
    assert probe(raw).format == "JPEG"
    assert np.abs(decode(raw, SPEC).astype(int) - PHOTO).mean() < 6


def test_the_largest_image_of_an_icon_is_used() -> None:
    raw = encoded("ICO", sizes=[(8, 5), (24, 16)])
    assert (probe(raw).width, probe(raw).frames) == (24, 2)


def test_an_icon_whose_directory_lies_about_its_size() -> None:
    raw = bytearray(encoded("ICO", sizes=[(24, 16)], bitmap_format="bmp"))
    raw[22 + 4 : 22 + 8] = struct.pack("<i", 60_000)
    assert "differ in size" in reason(bytes(raw))


@pytest.mark.parametrize("side", [60_000])
def test_headers_of_bombs_are_refused(side: int) -> None:
    tga = bytes((0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0)) + struct.pack("<HH", side, side) + bytes((24, 0)) + bytes(99)
    assert "megapixels" in reason(tga)
    jp2 = bytearray(encoded("JPEG2000", no_jp2=True))
    place = jp2.index(b"\xff\x51") + 6
    jp2[place : place + 8] = struct.pack(">II", side, side)
    assert "megapixels" in reason(bytes(jp2))


@pytest.mark.parametrize("format", ["AVIF", "JPEG2000", "TGA", "ICO"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.8])
def test_files_cut_short(format: str, share: float) -> None:
    raw = encoded(format)
    assert reason(raw[: int(len(raw) * share)])


def tiff_of(bands: int, kind: str, meaning: int = 1, orientation: tuple[int, int] | None = None) -> bytes:
    """An uncompressed TIFF of 4 x 4 px; ``meaning``: 1 gray, 2 RGB; ``orientation``: type and value of its tag."""
    values, bits = np.zeros((4, 4, bands), kind).tobytes(), 8 * np.dtype(kind).itemsize
    fields = [(256, 4), (257, 4), (258, bits), (259, 1), (262, meaning), (273, 200), (277, bands), (278, 4),
              (279, len(values)), (339, 3 if "f" in kind else 1)]  # fmt: skip
    rows = [(tag, 3, value) for tag, value in fields] + ([(274, *orientation)] if orientation else [])
    entries = b"".join(struct.pack("<HHIHH", tag, kind, 1, value, 0) for tag, kind, value in sorted(rows))
    return (b"II*\0" + struct.pack("<IH", 8, len(rows)) + entries + bytes(4)).ljust(200, b"\0") + values


@pytest.mark.parametrize(
    ("kind", "value", "found"), [(3, 6, 6), (4, 6, 6), (3, 1, 1), (3, 8, 8), (3, 0, 1), (3, 9, 1), (5, 6, 1)]
)
def test_the_orientation_of_a_tiff_is_one_of_eight(kind: int, value: int, found: int) -> None:
    assert probe(tiff_of(1, "<u1", orientation=(kind, value))).orientation == found


@pytest.mark.parametrize(
    ("bands", "kind", "meaning", "words"),
    [
        (8, "<u1", 1, "8 bands of 8 bits"),
        (8, "<u1", 2, "8 bands of 8 bits"),
        (3, "<u1", 1, "3 bands of 8 bits"),
        (2, "<u2", 1, "2 bands of 16 bits"),
        (3, "<f4", 2, "3 bands of 32 bits, floating point"),
        (3, "<u4", 2, "3 bands of 32 bits"),
    ],
)
def test_a_tiff_of_many_bands_is_refused_by_their_number(bands: int, kind: str, meaning: int, words: str) -> None:
    assert words in reason(tiff_of(bands, kind, meaning))


@pytest.mark.parametrize(("bands", "kind", "meaning"), [(1, "<u2", 1), (1, "<f4", 1), (3, "<u1", 2), (3, "<u2", 2)])
def test_a_tiff_in_gray_or_color_is_read(bands: int, kind: str, meaning: int) -> None:
    assert decode(tiff_of(bands, kind, meaning), SPEC).shape == (SPEC.height, SPEC.width, 3)


def test_a_nifti_volume_says_how_to_save_its_slices() -> None:
    head = struct.pack("<i", 348) + bytes(340) + b"n+1\0"
    assert len(head) == 348
    for raw in (head + bytes(100), gzip.compress(head + bytes(100))):
        assert reason(raw).startswith("it is a NIfTI volume: save its slices as images (nibabel")


def png_of_16_bit_colors(color: int, channels: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    values = np.full((16, 24, channels), 0x80FF, ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", 24, 16, 16, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_colors_of_16_bits_are_told_apart_and_read_with_their_upper_8() -> None:
    raw = png_of_16_bit_colors(2, 3)
    assert probe(raw).mode == "RGB;16"
    assert np.unique(decode(raw, SPEC)).tolist() == [0x80]
    assert probe(png_of_16_bit_colors(6, 4)).mode == "RGBA;16"
    values = np.full((16, 24, 3), 0x80FF, "<u2").tobytes()
    fields = [(256, 24), (257, 16), (258, 3), (259, 1), (262, 2), (273, 200), (277, 3), (278, 16), (279, len(values))]
    entries = b"".join(
        struct.pack("<HHIHH", tag, 3, 3 if tag == 258 else 1, 180 if tag == 258 else value, 0) for tag, value in fields
    )
    head = (b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)).ljust(180, b"\0")
    tiff = (head + struct.pack("<HHH", 16, 16, 16)).ljust(200, b"\0") + values
    assert probe(tiff).mode == "RGB;16"
    assert np.unique(decode(tiff, SPEC)).tolist() == [0x80]


def test_a_jpeg_xl_that_claims_a_billion_pixels_is_refused_by_its_header() -> None:
    pytest.importorskip("imagecodecs", reason="the extra jxl is not installed")
    size = 2**30 - 1
    bits = [0, 1, 1] + [size >> i & 1 for i in range(30)] + [1, 0, 0]  # not small, 30 bits of height, ratio 1:1
    body = sum(bit << i for i, bit in enumerate(bits)).to_bytes(16, "little")
    assert "megapixels" in reason(b"\xff\x0a" + body)


HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABoAABAAAAAAAAAG0AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAA"
    "AADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkA"
    "AAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAA"
    "AChjbGFwAAAAGAAAAAEAAAAQAAAAAf///9gAAAAC////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAdW"
    "1kYXQAAABpKAGvCchr4B497I7wrgk/9BmiZuYbfc0gyvYVChDPODI5BSdMEf07B/UIzYJp0JiISt8QreWtp/T9w3EiS53mXPPlIyYXsFMVNAAe"
    "6c5Qs5Ji2YAqKpkyujT+HyK/hpoUescUzGavKH+A"
)
"""A photo of 24x16 pixels as HEVC, written by libheif and x265."""


def test_a_photo_of_a_phone() -> None:
    pytest.importorskip("pi_heif", reason="the extra heic is not installed")
    assert probe(HEIC) == ImageInfo("HEIC", "RGB", 24, 16)
    assert np.abs(decode(HEIC, SPEC).astype(int) - PHOTO).mean() < 12
    for place in range(0, len(HEIC), 40):
        assert reason(HEIC[:place]) or place > 500
    for place in range(30, len(HEIC), 7):
        damaged = HEIC[:place] + b"\xff\xff\xff\xff" + HEIC[place + 4 :]
        try:
            decode(damaged, SPEC)
        except ImageError as error:
            assert error.message


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": True, "usecontainer": True}])
def test_jpeg_xl(options: dict[str, Any]) -> None:
    codecs = pytest.importorskip("imagecodecs", reason="the extra jxl is not installed")
    for pixels in (PHOTO, PHOTO[..., 0], np.dstack([PHOTO, np.full((16, 24), 255, np.uint8)])):
        raw = codecs.jpegxl_encode(np.ascontiguousarray(pixels), **options)
        want = pixels[..., :3] if pixels.ndim == 3 else np.repeat(pixels[..., np.newaxis], 3, axis=2)
        assert (probe(raw).format, probe(raw).width, probe(raw).height) == ("JXL", 24, 16)
        assert np.array_equal(decode(raw, SPEC), want)
        assert reason(raw[:20])
        assert reason(raw[:-10])


@pytest.mark.parametrize("size", [(8, 8), (256, 96), (120, 100), (300, 1), (5000, 3), (16, 9), (1600, 900)])
def test_the_header_of_a_jpeg_xl_gives_its_size(size: tuple[int, int]) -> None:
    codecs = pytest.importorskip("imagecodecs", reason="the extra jxl is not installed")
    raw = codecs.jpegxl_encode(np.zeros((size[1], size[0]), np.uint8), effort=1)
    assert (probe(raw).width, probe(raw).height) == size


def test_16_bits_and_numbers_of_a_jpeg_xl_become_8() -> None:
    codecs = pytest.importorskip("imagecodecs", reason="the extra jxl is not installed")
    deep = PHOTO[..., 0].astype(np.uint16) * 256
    for lower in (0, 100, 255):
        data = codecs.jpegxl_encode(deep + np.uint16(lower), lossless=True)
        assert np.array_equal(decode(data, SPEC)[..., 0], PHOTO[..., 0])


def test_floating_point_of_a_jpeg_xl_is_clipped_to_black_and_white() -> None:
    codecs = pytest.importorskip("imagecodecs", reason="the extra jxl is not installed")
    values = np.tile(np.array([-0.5, 0, 0.25, 0.75, 1, 1.5], np.float32), (16, 4))
    found = decode(codecs.jpegxl_encode(values, lossless=True), SPEC)
    assert found[0, :6, 0].tolist() == [0, 0, 64, 191, 255, 255]


def test_loading_a_jpeg_xl_gives_access_to_its_pixels() -> None:
    codecs = pytest.importorskip("imagecodecs", reason="the extra jxl is not installed")
    _, image = open_container(unpack(codecs.jpegxl_encode(PHOTO, lossless=True)))
    pixels = image.load()
    assert pixels is not None
    assert pixels[3, 2] == tuple(PHOTO[2, 3])


def test_a_format_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif.as_plugin", None)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    monkeypatch.delitem(sys.modules, "keensight.core.jpegxl", raising=False)
    assert reason(HEIC) == needs_extra("HEIC").message
    assert reason(b"\xff\x0a" + bytes(50)) == needs_extra("JXL").message
    assert "pip install 'keensight[heic]'" in needs_extra("HEIC").message
    told = missing_extras([needs_extra("HEIC").message] * 3 + [needs_extra("JXL").message, "damaged JPEG"])
    assert [words[:13] for words in told] == ["3 HEIC photos", "1 JPEG XL ima"]
    assert missing_extras(["damaged"]) == []


def test_every_extra_is_one_of_the_project() -> None:
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert {extra for extra, _ in EXTRAS.values()} <= project["optional-dependencies"].keys()
