"""The memory that decoding takes, by the header of an image."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from keensight.core.decode_limits import (
    affordable,
    check_size,
    has_alpha,
    is_plain,
    least_memory,
    needed_memory,
    reasons,
    tile_size,
)
from keensight.core.image_files import unpack
from keensight.core.openers import open_container
from keensight.core.pixels import probe
from keensight.errors import ImageError

FIXED = 2**22
WIDTH, HEIGHT = 160, 120


def encoded(mode: str, format: str, **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    image = Image.fromarray(pixels, "RGBA").convert("RGB").convert(mode) if mode != "RGBA" else Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16))
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("mode", "format", "each"),
    [
        ("RGB", "PNG", 4), ("L", "PNG", 1), ("RGBA", "PNG", 4 + 4), ("P", "PNG", 1 + 4), ("1", "PNG", 1 + 1),
        ("I;16", "PNG", 2 + 1), ("RGB", "WEBP", 4 + 12), ("RGBA", "WEBP", 4 + 4 + 12), ("RGB", "BMP", 4),
        ("CMYK", "JPEG", 4 + 4), ("RGB", "JPEG2000", 4 + 5 * 3), ("L", "JPEG2000", 1 + 5), ("RGB", "PPM", 4),
        ("LA", "PNG", 4 + 4 + 4), ("L", "JPEG", 1), ("RGB", "AVIF", 4 + 6), ("RGBA", "AVIF", 4 + 4 + 6),
    ],
)  # fmt: skip
def test_bytes_for_each_pixel(mode: str, format: str, each: int) -> None:
    container, image = open_container(unpack(encoded(mode, format)))
    fixed = FIXED + len(container.body) + container.buffered
    assert needed_memory(container, image) == fixed + WIDTH * HEIGHT * each
    smallest = fixed + WIDTH * HEIGHT * each // 64 if format == "JPEG" else fixed + WIDTH * HEIGHT * each
    assert least_memory(container, image) == smallest


RLE_BITMAP = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 1078, 0, 0, 1078, 40, WIDTH, HEIGHT, 1, 8, 1, 0, 0, 0, 256, 0)


@pytest.mark.parametrize(
    ("data", "mode", "each"),
    [
        (b"P5 160 120 4095\n", "I", 4 + 1 + 4), (b"P6 160 120 65535\n", "RGB", 4 + 4),
        (b"P2 160 120 255\n", "L", 1 + 4), (b"P3 160 120 255\n", "RGB", 4 + 4),
        (b"Pf\n160 120\n-1.0\n", "F", 4 + 1), (RLE_BITMAP + bytes(1024), "P", 1 + 4 + 4),
    ],
)  # fmt: skip
def test_decoders_written_in_python_need_buffers(data: bytes, mode: str, each: int) -> None:
    container, image = open_container(unpack(data))
    assert image.mode == mode
    assert needed_memory(container, image) == FIXED + len(data) + WIDTH * HEIGHT * each


@pytest.mark.parametrize(("format", "each"), [("HEIC", 6), ("JXL", 12), ("DICOM", 24), ("AVIF", 6), ("WEBP", 12)])
def test_decoders_of_video_and_of_extras_need_planes_and_canvases(format: str, each: int) -> None:
    container, image = open_container(unpack(encoded("RGB", "PNG")))
    plain = needed_memory(container, image)
    assert needed_memory(replace(container, format=format), image) == plain + WIDTH * HEIGHT * each


@pytest.mark.parametrize(("mode", "each"), [("RGB", 4), ("RGBA", 8)])
def test_colors_of_a_profile_are_converted_into_another_image(mode: str, each: int) -> None:
    container, image = open_container(unpack(encoded(mode, "PNG")))
    plain = needed_memory(container, image)
    assert needed_memory(replace(container, profile=b"a profile"), image) == plain + WIDTH * HEIGHT * each


@pytest.mark.parametrize(("mode", "each"), [("L", 1 + 4 + 4), ("I;16", 2 + 1 + 4)])
def test_one_transparent_value_makes_a_copy_with_transparency(mode: str, each: int) -> None:
    container, image = open_container(unpack(encoded(mode, "PNG", transparency=7)))
    assert needed_memory(container, image) == FIXED + len(container.body) + WIDTH * HEIGHT * each


def test_the_coefficients_of_a_progressive_jpeg_are_needed_at_any_size() -> None:
    container, image = open_container(unpack(encoded("RGB", "JPEG", progressive=True, subsampling=0)))
    fixed = FIXED + len(container.body) + 2 * 3 * WIDTH * HEIGHT
    assert needed_memory(container, image) == fixed + 4 * WIDTH * HEIGHT
    assert least_memory(container, image) == fixed + 4 * WIDTH * HEIGHT // 64  # at an eighth of its sides


def tiff(width: int, height: int, **tags: int) -> bytes:
    """A TIFF of some tags, each ``t`` and its number, without pixels."""
    found = {256: width, 257: height, 259: 1, 262: 1} | {int(name[1:]): value for name, value in tags.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(found.items()))
    return (b"II*\0" + struct.pack("<IH", 8, len(found)) + entries + bytes(4)).ljust(400, b"\0")


@pytest.mark.parametrize(
    ("tags", "size", "stored", "strip"),
    [
        ({"t322": 64, "t323": 32, "t324": 400, "t325": 2048, "t258": 8}, (64, 32), 1, 64 * 32),
        ({"t322": 64, "t323": 32, "t324": 400, "t325": 2048, "t258": 16}, (64, 32), 2 + 1, 64 * 32 * 2),
        ({"t273": 400, "t278": 7, "t279": 280, "t258": 8}, (40, 50), 1, 40 * 7),
        ({"t273": 400, "t278": 99, "t279": 280, "t258": 8}, (40, 50), 1, 40 * 50),
        ({"t273": 400, "t279": 280, "t258": 8}, (40, 50), 1, 40 * 50),
        ({"t273": 400, "t279": 280, "t278": 7}, (40, 50), 1 + 1, 40 * 7),  # by default one bit, unpacked to a byte
    ],
)
def test_one_tile_or_strip_of_a_tiff_is_decoded_at_once(
    tags: dict[str, int], size: tuple[int, int], stored: int, strip: int
) -> None:
    container, image = open_container(unpack(tiff(40, 50, **tags)))
    assert tile_size(image) == size
    assert needed_memory(container, image) == FIXED + len(container.body) + 40 * 50 * stored + strip


def test_gray_of_16_bits_takes_two_bytes_in_either_order() -> None:
    stream = io.BytesIO()
    Image.frombytes("I;16B", (40, 50), bytes(4000)).save(stream, "TIFF")
    container, image = open_container(unpack(stream.getvalue()))
    assert image.mode == "I;16B"
    assert needed_memory(container, image) == FIXED + len(container.body) + 40 * 50 * (2 + 1) + 4000


def test_an_image_without_tiles_is_one() -> None:
    assert tile_size(open_container(unpack(encoded("L", "PNG")))[1]) == (WIDTH, HEIGHT)


def test_a_strip_of_a_tiff_is_decoded_at_once() -> None:
    container, image = open_container(unpack(encoded("RGB", "TIFF", tiffinfo={278: 16})))
    rows = int(image.tag_v2[278])  # type: ignore[attr-defined]
    fixed = FIXED + len(container.body) + container.buffered
    assert needed_memory(container, image) == fixed + WIDTH * HEIGHT * 4 + WIDTH * min(rows, HEIGHT) * 3


@pytest.mark.parametrize(
    ("format", "size", "fits"),
    [
        ("PNG", (1, 1), True), ("PNG", (0, 5), False), ("PNG", (5, 0), False), ("PNG", (512_000, 1000), True),
        ("PNG", (512_000, 1001), False), ("GIF", (89_000, 1000), True), ("GIF", (89_000, 1001), False),
        ("TIFF", (89_000, 1001), False), ("PNG", (512_000_001, 1), False), ("GIF", (89_000_001, 1), False),
        ("TIFF", (89_000_001, 1), False), ("TIFF", (1, 89_000_000), True), ("PNG", (-5, -5), False),
    ],
)  # fmt: skip
def test_sizes_that_are_none_or_too_large_are_refused(format: str, size: tuple[int, int], fits: bool) -> None:
    if fits:
        check_size(format, size)
        return
    with pytest.raises(ImageError, match="pixels"):
        check_size(format, size)


SMALLER = "resize it, or remove it"


@pytest.mark.parametrize(
    ("format", "size", "words", "hint"),
    [
        ("BMP", (0, 5), "damaged BMP: its header says 0×5 pixels", "copy or download it again"),
        ("PNG", (2, 10**9), "its header says 2×1000000000 pixels; the limit is 512 megapixels", SMALLER),
        ("GIF", (10**5, 900), "its header says 100000×900 pixels; the limit is 89 megapixels", SMALLER),
    ],
)  # fmt: skip
def test_a_refused_size_is_told_with_its_limit(format: str, size: tuple[int, int], words: str, hint: str) -> None:
    with pytest.raises(ImageError) as caught:
        check_size(format, size)
    assert (caught.value.message, caught.value.hint) == (words, hint)


def test_an_image_may_need_one_gib_and_no_more() -> None:
    container, image = open_container(unpack(encoded("L", "PNG")))
    assert affordable(container, image, 2**30) == 2**30
    with pytest.raises(ImageError) as caught:
        affordable(container, image, 2**30 + 1)
    assert caught.value.message == ("decoding this PNG of 160×120 pixels takes 1.0 GiB of memory; the limit is 1 GiB")
    assert caught.value.hint == SMALLER


@pytest.mark.parametrize(
    ("length", "words"),
    [(256 * 2**20, "nothing but zero bytes"), (256 * 2**20 + 1, "the file has 256 MiB; the limit is 256")],
)
def test_a_file_may_have_256_mib(length: int, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        probe(bytes(length))  # pages of zeros that are never touched take no memory


@pytest.mark.parametrize(
    ("mode", "alpha", "plain"),
    [
        ("L", False, True), ("RGB", False, True), ("RGBA", True, True), ("LA", True, False), ("La", True, False),
        ("PA", True, False), ("RGBa", True, False), ("P", False, False), ("CMYK", False, False), ("1", False, False),
    ],
)  # fmt: skip
def test_which_modes_are_transparent_and_which_are_resized_as_they_are(mode: str, alpha: bool, plain: bool) -> None:
    image = Image.new(mode, (1, 1))
    assert (has_alpha(image), is_plain(image)) == (alpha, plain)
    image.info["transparency"] = 0
    assert (has_alpha(image), is_plain(image)) == (True, False)


AGAIN = "copy or download it again, or remove it"


@pytest.mark.parametrize(
    ("error", "words", "hint"),
    [
        (OSError("image file is truncated (3 bytes not processed)"), "truncated TGA: its image data ends early", AGAIN),
        (OSError("Truncated File Read"), "truncated TGA: its image data ends early", AGAIN),
        (ValueError("not enough\n image data"), "truncated TGA: its image data ends early", AGAIN),
        (struct.error("unpack requires a buffer of 4 bytes"), "damaged TGA: it cannot be decoded", AGAIN),
        (NotImplementedError("17 colors"), "unsupported TGA: 17 colors", AGAIN),
        (NotImplementedError(), "unsupported TGA: a rare variant", AGAIN),
        (ValueError("a bad\n  byte"), "damaged TGA: it cannot be decoded (a bad byte)", AGAIN),
        (ValueError("x" * 101), f"damaged TGA: it cannot be decoded ({'x' * 100})", AGAIN),
        (ValueError(), "damaged TGA: it cannot be decoded", AGAIN),
        (KeyError("a name in Pillow"), "damaged TGA: it cannot be decoded", AGAIN),
        (MemoryError(), "there is not enough memory to decode it", "scale the image down"),
        (Image.DecompressionBombError("a bomb"), "the TGA claims more pixels than can be decoded", "remove it"),
        (ImageError("it is a drawing", "paint it"), "it is a drawing", "paint it"),
    ],
)
def test_whatever_a_reader_raises_becomes_a_reason_of_one_line(error: Exception, words: str, hint: str) -> None:
    with pytest.raises(ImageError) as caught, reasons("TGA"):
        raise error
    assert (caught.value.message, caught.value.hint) == (words, hint)
