"""Decoded pixels in detail, against Pillow's own steps and numbers computed by hand."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from icc_builders import P3, profile
from keensight.core.decode_limits import MAX_BYTES
from keensight.core.intensity import Levels
from keensight.core.pixels import (
    as_array,
    block_means,
    cutout,
    decode,
    decode_each,
    encode_png,
    levels,
    probe,
    thumbnails,
)
from keensight.core.records import Fit, ImageSpec
from keensight.errors import ImageError


def encoded(pixels: np.ndarray, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options)
    return stream.getvalue()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def error_of(raw: bytes | np.ndarray) -> tuple[str, str | None]:
    with pytest.raises(ImageError) as raised:
        decode(raw, ImageSpec(4, 4))
    return raised.value.message, raised.value.hint


def drafted(raw: bytes, scale: int, width: int, height: int) -> np.ndarray:
    """Pillow's pixels of a JPEG that is decoded at 1 / scale, then resized without what its last blocks lack."""
    image = Image.open(io.BytesIO(raw))
    full = image.size
    image.draft("RGB", (full[0] // scale, full[1] // scale))
    assert image.size == (-(-full[0] // scale), -(-full[1] // scale))
    box = (0.0, 0.0, full[0] / scale, full[1] / scale)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box))


@pytest.mark.parametrize(
    ("stored", "wanted", "scale"),
    [
        ((256, 256), (102, 102), 2), ((256, 256), (104, 104), 1), ((256, 256), (51, 51), 4), ((256, 256), (52, 52), 2),
        ((256, 256), (50, 104), 1), ((256, 256), (104, 50), 1), ((8, 8), (1, 1), 8), ((267, 203), (40, 40), 4),
    ],
)  # fmt: skip
def test_a_jpeg_is_decoded_smaller_where_that_is_still_a_quarter_larger_than_wanted(
    stored: tuple[int, int], wanted: tuple[int, int], scale: int
) -> None:
    raw = encoded(noise(*stored), "JPEG", quality=90)
    assert np.array_equal(decode(raw, ImageSpec(*wanted)), drafted(raw, scale, wanted[1], wanted[0]))


def test_the_side_that_fits_decides_how_much_smaller_a_jpeg_is_decoded_for_a_frame() -> None:
    wide = encoded(noise(256, 512), "JPEG", quality=90)
    got = decode(wide, ImageSpec(100, 100, "pad"))
    assert np.array_equal(got[25:75], drafted(wide, 4, 100, 50))
    assert got[:25].max() == got[75:].max() == 0
    high = encoded(noise(512, 256), "JPEG", quality=90)
    got = decode(high, ImageSpec(100, 100, "pad"))
    assert np.array_equal(got[:, 25:75], drafted(high, 4, 50, 100))
    assert got[:, :25].max() == got[:, 75:].max() == 0


@pytest.mark.parametrize(("height", "width"), [(1, 600), (600, 1)])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_line_is_a_line_in_a_frame(format: str, height: int, width: int) -> None:
    got = decode(encoded(np.full((height, width, 3), 255, np.uint8), format), ImageSpec(8, 8, "pad"))[..., 0]
    line = got if height == 1 else got.T
    assert np.flatnonzero(line[:, 0]).tolist() == [3]
    assert line[3].min() >= 250


@pytest.mark.parametrize(("height", "width", "box"), [(30, 50, (10, 0, 40, 30)), (50, 30, (0, 10, 30, 40))])
def test_a_crop_is_the_middle_square(height: int, width: int, box: tuple[int, int, int, int]) -> None:
    pixels = noise(height, width)
    left, top, right, bottom = box
    want = pixels[top:bottom, left:right]
    assert np.array_equal(decode(encode_png(pixels), ImageSpec(30, 30, "crop")), want)
    smaller = Image.fromarray(pixels).resize((13, 13), Image.Resampling.BILINEAR, box)
    assert np.array_equal(decode(encode_png(pixels), ImageSpec(13, 13, "crop")), np.asarray(smaller))


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_images_of_the_same_header_have_one_record(fit: Fit) -> None:
    assert probe(encode_png(noise(5, 7))) is probe(encode_png(noise(5, 7)[::-1]))


# Gray values of more than 8 bits


@pytest.mark.parametrize(("height", "width"), [(300, 700), (2, 140_000)])
def test_a_large_image_of_16_bits_is_scaled_like_a_small_one(height: int, width: int) -> None:
    values = np.arange(height * width, dtype=np.uint32).reshape(height, width) * 7 % 65536
    got = decode(encoded(values.astype(np.uint16), "PNG"), ImageSpec(height, width))
    assert np.array_equal(got[..., 0], np.floor(values * (255 / 65535) + 0.5))


def test_of_ten_thousand_pixels_a_thousandth_at_each_end_is_left_out() -> None:
    values = np.full(10_000, 500, np.uint16)
    values[:9], values[-9:] = 3, 60_000
    found = levels(encoded(values.reshape(100, 100), "PNG"))
    assert found == Levels(3, 60_000, False, inner=(500, 500))
    values[:13], values[-13:] = 3, 60_000
    assert levels(encoded(values.reshape(100, 100), "PNG")) == Levels(3, 60_000, False, inner=(3, 60_000))


def test_of_nine_times_as_many_pixels_every_third_is_looked_at_on_each_axis() -> None:
    values = np.zeros((300, 300), np.uint16)
    values[1::3, 1::3] = 500
    assert levels(encoded(values, "PNG")) == Levels(0, 500, False, inner=(500, 500))
    assert levels(encoded(values.astype(np.float32), "TIFF")) == Levels(500, 500, True)


def test_an_image_of_no_numbers_has_the_range_of_zero() -> None:
    assert levels(encoded(np.full((3, 3), np.nan, np.float32), "TIFF")) == Levels(0, 0, True)


def tiff_of_12_bits(values: tuple[int, int]) -> bytes:
    """Two pixels, packed into three bytes."""
    packed = (values[0] << 12 | values[1]).to_bytes(3, "big")
    rows = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 200), (277, 1), (278, 1), (279, 3)]
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in rows)
    return (b"II*\0" + struct.pack("<IH", 8, len(rows)) + entries + bytes(4)).ljust(200, b"\0") + packed


def test_a_tiff_of_12_bits_declares_its_white() -> None:
    raw = tiff_of_12_bits((273, 819))
    found = levels(raw)
    assert found is not None
    assert (found.low, found.high, found.floating, found.declared) == (273, 819, False, 4095)
    assert decode(raw, ImageSpec(1, 2))[0, :, 0].tolist() == [17, 51]


def test_what_is_strange_is_noted_once_for_each_image_and_not_without_a_list() -> None:
    raw = encoded(np.full((4, 4), 60_000, np.uint16), "PNG")
    spec = ImageSpec(4, 4, intensity=4095.0)
    notes: list[str] = []
    assert np.array_equal(
        decode_each(raw, [spec, ImageSpec(9, 5, "crop", intensity=4095.0)], notes)[0], decode(raw, spec)
    )
    assert notes == ["100% of its gray values are outside 0 to 4,095, the range of the training images"]
    decode_each(encoded(np.full((4, 4), 4000, np.uint16), "PNG"), [spec], notes)
    decode_each(encode_png(noise(4, 4)), [spec], notes)
    assert len(notes) == 1


def test_a_transparent_gray_of_16_bits_becomes_the_ground_of_the_set() -> None:
    raw = encoded(np.array([[0, 1000, 65535]], np.uint16), "PNG", transparency=1000)
    assert decode(raw, ImageSpec(1, 3, background="gray"))[0, :, 0].tolist() == [0, 128, 255]


# Transparency


@pytest.mark.parametrize(("height", "width", "shape"), [(20, 40, (5, 10)), (40, 20, (10, 5)), (6, 8, (6, 8))])
def test_a_cutout_is_small_and_keeps_its_transparency(height: int, width: int, shape: tuple[int, int]) -> None:
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[:, : width // 2] = (200, 100, 50, 255)
    found = cutout(encoded(pixels, "PNG"), 10)
    assert found is not None
    assert (found.shape, found.dtype) == ((*shape, 4), np.uint8)
    assert found[2, 0].tolist() == [200, 100, 50, 255]
    assert found[2, -1, 3] == 0


def test_only_an_image_of_8_bits_with_transparency_has_a_cutout() -> None:
    assert cutout(encode_png(noise(4, 4)), 10) is None
    assert cutout(encoded(np.full((4, 4), 1000, np.uint16), "PNG", transparency=1000), 10) is None
    gray = cutout(encoded(np.array([[7, 9]], np.uint8), "PNG", transparency=7), 10)
    assert gray is not None
    assert gray.tolist() == [[[7, 7, 7, 0], [9, 9, 9, 255]]]


def test_the_colors_of_a_cutout_are_those_of_its_profile() -> None:
    pixels = np.full((2, 2, 4), (30, 200, 90, 255), np.uint8)
    found = cutout(encoded(pixels, "PNG", icc_profile=profile(P3)), 10)
    assert found is not None
    assert np.array_equal(
        found[0, 0, :3], decode(encoded(pixels, "PNG", icc_profile=profile(P3)), ImageSpec(1, 1))[0, 0]
    )
    assert found[0, 0, :3].tolist() != [30, 200, 90]


def test_a_profile_of_other_colors_than_the_images_is_ignored() -> None:
    pixels = Image.fromarray(noise(16, 16)).convert("CMYK")
    raw, plain = io.BytesIO(), io.BytesIO()
    pixels.save(raw, "TIFF", icc_profile=profile(P3))
    pixels.save(plain, "TIFF")
    assert np.array_equal(decode(raw.getvalue(), ImageSpec(16, 16)), decode(plain.getvalue(), ImageSpec(16, 16)))


def test_the_colors_of_a_palette_are_those_of_its_profile() -> None:
    image = Image.new("P", (1, 1))
    image.putpalette([30, 200, 90])
    stream = io.BytesIO()
    image.save(stream, "PNG", icc_profile=profile(P3))
    want = decode(encoded(np.full((1, 1, 3), (30, 200, 90), np.uint8), "PNG", icc_profile=profile(P3)), ImageSpec(1, 1))
    assert np.array_equal(decode(stream.getvalue(), ImageSpec(1, 1)), want)


# Arrays


@pytest.mark.parametrize(
    ("array", "message", "hint"),
    [
        (np.zeros((4, 4), np.float32), "the array has dtype float32, not uint8", "scale it to 0-255"),
        (np.zeros((4, 4, 2), np.uint8), "the array has shape (4, 4, 2)", "expected (H, W), (H, W, 1), (H, W, 3)"),
        (np.zeros((4, 4, 5), np.uint8), "the array has shape (4, 4, 5)", "expected (H, W)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "the array has shape (1, 4, 4, 3)", "expected (H, W)"),
        (np.zeros(4, np.uint8), "the array has shape (4,)", "expected (H, W)"),
        (np.zeros((0, 7), np.uint8), "damaged array: its header says 7×0 pixels", "copy or download it again"),
        (np.broadcast_to(np.uint8(0), (30_000, 20_000)), "its header says 20000×30000 pixels; the limit is 512", ""),
    ],
)
def test_another_array_is_refused_by_what_it_is(array: np.ndarray, message: str, hint: str) -> None:
    told, help = error_of(array)
    assert told.startswith(message)
    assert help is not None and help.startswith(hint)


@pytest.mark.parametrize("shape", [(9, 5), (9, 5, 1), (9, 5, 3), (9, 5, 4)])
def test_an_array_is_resized_like_its_picture(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if shape[-1] == 4:
        array[..., 3] = 255
    colors = array[..., :3] if len(shape) == 3 else array[..., None]
    image = Image.fromarray(np.broadcast_to(colors, (9, 5, 3)).copy())
    want = np.asarray(image.resize((4, 3), Image.Resampling.BILINEAR))
    assert np.abs(decode(array, ImageSpec(3, 4)).astype(int) - want).max() <= 1  # the copy with alpha rounds twice


def test_a_pillow_image_is_turned_and_checked() -> None:
    pixels = noise(4, 6)
    image = Image.open(io.BytesIO(encode_png(pixels, orientation=6)))
    assert np.array_equal(as_array(image), pixels[::-1].transpose(1, 0, 2))
    assert np.array_equal(as_array(Image.fromarray(pixels[..., 0])), pixels[..., 0])
    deep = Image.fromarray(np.array([[0, 819, 4095]], np.uint16))
    assert as_array(deep).tolist() == [[0, 51, 255]]
    assert as_array(deep, ImageSpec(9, 9, intensity=8190.0)).tolist() == [[0, 26, 128]]
    with pytest.raises(ImageError, match="damaged image: its header says 0×3 pixels"):
        as_array(Image.new("L", (0, 3)))


# Limits


def test_a_file_of_as_many_bytes_as_the_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = encode_png(noise(4, 4))
    assert MAX_BYTES == 256 * 2**20
    monkeypatch.setattr("keensight.core.pixels.MAX_BYTES", len(raw))
    assert np.array_equal(decode(raw, ImageSpec(4, 4)), noise(4, 4))
    monkeypatch.setattr("keensight.core.pixels.MAX_BYTES", 3 * 2**20)
    told = ("the file has 7 MiB; the limit is 3", "save a smaller file, for example as JPEG")
    assert error_of(bytes(7 * 2**20)) == told
    monkeypatch.setattr("keensight.core.pixels.MAX_BYTES", len(raw) - 1)
    assert error_of(raw)[0].startswith("the file has")


def header_of(width: int, height: int, color: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_header_of_more_memory_than_there_may_be_is_refused() -> None:
    assert probe(header_of(16_000, 16_000, 0)).width == 16_000
    with pytest.raises(ImageError, match=r"decoding this PNG of 16000×16000 pixels takes 1\.9 GiB of memory"):
        probe(header_of(16_000, 16_000, 6))


@pytest.mark.parametrize(("side", "tile"), [(4, 60_000), (60_000, 16)])
def test_a_tiled_image_is_refused_by_its_size_and_by_that_of_its_tiles(side: int, tile: int) -> None:
    rows = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (277, 1), (322, tile), (323, tile), (324, 200)]
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in [*rows, (325, 16)])
    raw = (b"II*\0" + struct.pack("<IH", 8, len(rows) + 1) + entries + bytes(4)).ljust(200, b"\0") + bytes(16)
    with pytest.raises(ImageError, match="its header says 60000×60000 pixels"):
        probe(raw)


def test_pillows_messages_have_a_handler_that_keeps_them_off_the_terminal() -> None:
    decode(encode_png(noise(4, 4)), ImageSpec(4, 4))
    assert any(isinstance(one, logging.NullHandler) for one in logging.getLogger("PIL").handlers)


# Averages of blocks


def test_blocks_of_an_axis_that_cannot_be_divided_differ_by_one() -> None:
    column = np.arange(7, dtype=np.uint8).reshape(1, 7, 1)
    assert block_means(column, 3).ravel().tolist() == [0.5, 2.5, 5.0]
    row = column.reshape(1, 1, 7)
    assert block_means(row, 1, 3).ravel().tolist() == [0.5, 2.5, 5.0]
    assert block_means(row, 9, 2).tolist() == [[[1.0, 4.5]]]


def test_blocks_are_averaged_for_each_image_and_channel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3), np.uint8)
    want = images.astype(float).reshape(2, 2, 3, 4, 2, 3).mean(axis=(2, 4))
    found = block_means(images, 2, 4)
    assert (found.shape, found.dtype) == ((2, 2, 4, 3), np.float32)
    np.testing.assert_allclose(found, want, rtol=1e-5)
    assert block_means(images, 2).shape == (2, 2, 2, 3)


def test_thumbnails_are_rounded_and_32_pixels_a_side_at_most() -> None:
    images = np.zeros((1, 64, 66, 3), np.uint8)
    images[:, ::2] = 3
    found = thumbnails(images)
    assert (found.shape, found.dtype, np.unique(found).tolist()) == ((1, 32, 32, 3), np.uint8, [2])
    assert thumbnails(images[:, :5, :40]).shape == (1, 5, 32, 3)
