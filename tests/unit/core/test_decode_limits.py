"""The memory that decoding takes, by the header of an image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from keensight.core.decode_limits import check_size, least_memory, needed_memory
from keensight.core.image_files import unpack
from keensight.core.openers import open_container
from keensight.errors import ImageError

FIXED = 2**22
WIDTH, HEIGHT = 640, 480


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
    ],
)  # fmt: skip
def test_bytes_for_each_pixel(mode: str, format: str, each: int) -> None:
    container, image = open_container(unpack(encoded(mode, format)))
    fixed = FIXED + len(container.body) + container.buffered
    assert needed_memory(container, image) == fixed + WIDTH * HEIGHT * each
    smallest = fixed + WIDTH * HEIGHT * each // 64 if format == "JPEG" else fixed + WIDTH * HEIGHT * each
    assert least_memory(container, image) == smallest


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
        ("TIFF", (89_000, 1001), False),
    ],
)  # fmt: skip
def test_sizes_that_are_none_or_too_large_are_refused(format: str, size: tuple[int, int], fits: bool) -> None:
    if fits:
        check_size(format, size)
        return
    with pytest.raises(ImageError, match="pixels"):
        check_size(format, size)
