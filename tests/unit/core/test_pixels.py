from __future__ import annotations

import io
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keensight.core.intensity import Levels, Scale, scale_of_one, scale_of_set
from keensight.core.pixels import MAX_BYTES, decode, decode_each, encode_png, levels, probe
from keensight.core.records import Fit, ImageInfo, ImageSpec
from keensight.errors import ImageError


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def photo(height: int = 60, width: int = 80, seed: int = 0) -> np.ndarray:
    """A smooth color picture that JPEG hardly changes."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin((x * (k + 1) + y * (3 - k) + seed) / 17) for k in range(3)]
    return np.stack([(w + 1) * 127 for w in waves], axis=2).astype(np.uint8)


def size_of(array: np.ndarray, fit: Fit = "stretch") -> ImageSpec:
    return ImageSpec(array.shape[0], array.shape[1], fit)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_give_back_the_exact_pixels(format: str) -> None:
    pixels = photo()
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(Image.fromarray(pixels), format, **options)
    assert np.array_equal(decode(data, size_of(pixels)), pixels)
    assert probe(data).format == format


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_compressed_tiff(compression: str) -> None:
    pixels = photo()
    got = decode(encoded(Image.fromarray(pixels), "TIFF", compression=compression), size_of(pixels))
    assert np.abs(got.astype(int) - pixels).mean() < (3 if compression == "jpeg" else 1e-9)


def test_big_endian_tiff_and_bigtiff() -> None:
    pixels = photo()
    big = encoded(Image.fromarray(pixels), "TIFF", big_tiff=True)
    assert big[:4] == b"II+\0"
    assert np.array_equal(decode(big, size_of(pixels)), pixels)
    grey = (pixels[:, :, 0].astype(np.uint16) * 257).astype(">u2")
    motorola = encoded(Image.frombytes("I;16B", (80, 60), grey.tobytes()), "TIFF")
    assert motorola[:2] == b"MM"
    assert np.array_equal(decode(motorola, size_of(pixels))[:, :, 0], pixels[:, :, 0])


def test_result_is_contiguous_writable_uint8_rgb() -> None:
    for raw in (encoded(Image.fromarray(photo()), "JPEG"), photo(), photo()[:, :, 0], photo()[::2, ::2]):
        got = decode(raw, ImageSpec(30, 40))
        assert got.shape == (30, 40, 3)
        assert got.dtype == np.uint8
        assert got.flags.c_contiguous
        assert got.flags.writeable


def test_one_pixel_image_fills_the_frame() -> None:
    data = encoded(Image.new("RGB", (1, 1), (10, 200, 30)), "PNG")
    assert np.array_equal(decode(data, ImageSpec(5, 7)), np.full((5, 7, 3), (10, 200, 30), np.uint8))


# Color


def test_16_bit_grey_is_divided_by_257_and_not_saturated() -> None:
    values = np.array([[0, 128, 129, 256, 257, 32767, 32896, 65406, 65407, 65535]], np.uint16)
    data = encoded(Image.fromarray(values), "PNG")
    assert probe(data).mode == "I;16"
    want = [0, 0, 1, 1, 1, 127, 128, 254, 255, 255]
    assert decode(data, ImageSpec(1, 10))[0, :, 0].tolist() == want
    assert np.array_equal(decode(encoded(Image.fromarray(values), "TIFF"), ImageSpec(1, 10))[0, :, 2], want)


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
def test_fewer_bits_in_a_16_bit_file_keep_their_grey_levels(white: int) -> None:
    values = np.linspace(0, white, 256).astype(np.uint16)[np.newaxis]
    for format in ("PNG", "TIFF"):
        row = decode(encoded(Image.fromarray(values), format), ImageSpec(1, 256))[0, :, 0]
        assert np.array_equal(row, np.floor(values[0] * (255 / white) + 0.5))
        assert len(np.unique(row)) == 256


def test_a_decided_scale_holds_for_every_file_and_not_for_8_bits() -> None:
    spec = ImageSpec(1, 3, intensity=4095)
    dark, bright = ([[0, 200, 400]], [[0, 4095, 60000]])
    assert decode(encoded(Image.fromarray(np.array(dark, np.uint16)), "PNG"), spec)[0, :, 0].tolist() == [0, 12, 25]
    assert decode(encoded(Image.fromarray(np.array(bright, np.uint16)), "TIFF"), spec)[0, :, 0].tolist() == [
        0,
        255,
        255,
    ]
    plain = np.array([[0, 100, 255]], np.uint8)
    assert decode(encoded(Image.fromarray(plain), "PNG"), spec)[0, :, 0].tolist() == [0, 100, 255]
    floats = np.array([[-1, 0.5, 2.0]], np.float32)
    spec = ImageSpec(1, 3, intensity=2.0, black=-1.0)
    assert decode(encoded(Image.fromarray(floats), "TIFF"), spec)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(("high", "floating", "white"), [(40.0, False, 65535.0), (40.0, True, 255.0), (0.5, True, 1.0)])
def test_the_first_decoder_had_one_white_for_integers_and_several_for_floats(high, floating, white) -> None:
    assert scale_of_one(Levels(0.0, high, floating), 1) == Scale(0, white)


def test_a_model_of_the_first_decoder_sees_what_it_was_trained_on() -> None:
    data = encoded(Image.fromarray(np.array([[0, 2056, 4095]], np.uint16)), "PNG")
    assert decode(data, ImageSpec(1, 3, decoder=1))[0, :, 0].tolist() == [0, 8, 16]


def test_a_float_image_just_above_one_is_not_black() -> None:
    ramp = np.linspace(0, 1.02, 64, dtype=np.float32)[np.newaxis]
    got = decode(encoded(Image.fromarray(ramp), "TIFF"), ImageSpec(1, 64))
    assert got.max() == 255
    assert 120 < got.mean() < 135


@pytest.mark.parametrize(
    ("found", "want"),
    [
        ([Levels(0, 3000, False), Levels(5, 900, False)], Scale(0, 4095)),
        ([Levels(0, 900, False), Levels(0, 65535, False)], Scale(0, 65535)),
        ([Levels(0, 900, False, 4095.0)], Scale(0, 4095)),
        ([Levels(0, 1_000_000, False)], Scale(0, 1_000_000)),
        ([Levels(-1000, 3000, False), Levels(0, 10, False)], Scale(-1000, 3000)),
        ([Levels(0, 0.98, True), Levels(0, 0.4, True)], Scale(0, 1)),
        ([Levels(0, 0.98, True), Levels(0, 1.02, True)], Scale(0, 1.02)),
        ([Levels(-2, 0.98, True)], Scale(-2, 0.98)),
        ([Levels(0, 0, True)], Scale(0, 1)),
        ([Levels(0, 1, True), Levels(0, 900, False)], None),
        ([], None),
    ],
)
def test_the_scale_of_a_set(found: list[Levels], want: Scale | None) -> None:
    assert scale_of_set(found) == want


def test_levels_are_told_of_deep_images_alone() -> None:
    assert levels(encode_png(photo())) is None
    assert levels(encoded(Image.fromarray(np.array([[7, 900]], np.uint16)), "PNG")) == Levels(
        7, 900, False, inner=(pytest.approx(7.893), pytest.approx(899.107))
    )
    assert levels(b"P5 2 1 4095\n" + np.array([0, 819], ">u2").tobytes()) == Levels(
        0, 13107, False, 65535, (pytest.approx(13.107), pytest.approx(13093.893))
    )
    noisy = np.linspace(0, 1, 40_000, dtype=np.float32).reshape(200, 200)
    noisy[3, 3], noisy[5, 5] = np.inf, np.nan
    found = levels(encoded(Image.fromarray(noisy), "TIFF"))
    assert found is not None
    assert found.floating
    assert found.high == pytest.approx(1, abs=0.01)
    assert scale_of_one(found, 2) == Scale(0, 1)


def test_16_bit_pgm() -> None:
    data = b"P5 3 1 65535\n" + np.array([0, 32896, 65535], ">u2").tobytes()
    assert decode(data, ImageSpec(1, 3))[0, :, 1].tolist() == [0, 128, 255]


def test_16_bit_grey_with_a_transparent_value_becomes_white_there() -> None:
    values = np.array([[0, 1000, 65535]], np.uint16)
    data = encoded(Image.fromarray(values), "PNG", transparency=1000)
    assert decode(data, ImageSpec(1, 3))[0, :, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 25700.0, 65535.0], [0, 100, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, float("nan"), 1.0], [0, 0, 255]),
        ([5e5, 5e5, 5e5], [0, 0, 0]),
    ],
)
def test_floating_point_images(values: list[float], want: list[int]) -> None:
    data = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert probe(data).mode == "F"
    assert decode(data, ImageSpec(1, 3))[0, :, 0].tolist() == want


def test_32_bit_integers_beyond_16_bits_are_stretched() -> None:
    data = encoded(Image.fromarray(np.array([[0, 500_000, 1_000_000]], np.int32)), "TIFF")
    assert decode(data, ImageSpec(1, 3))[0, :, 0].tolist() == [0, 128, 255]


def test_1_bit_is_black_and_white_and_resized_with_greys_between() -> None:
    board = Image.fromarray((np.indices((40, 40)).sum(0) % 2 * 255).astype(np.uint8)).convert("1")
    data = encoded(board, "PNG")
    assert set(np.unique(decode(data, ImageSpec(40, 40)))) == {0, 255}
    inner = decode(data, ImageSpec(10, 10))[1:-1, 1:-1]
    assert inner.min() > 110
    assert inner.max() < 145


def test_palette_with_transparency_lies_on_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    data = encoded(image, "PNG", transparency=bytes([255, 0, 128]))
    got = decode(data, ImageSpec(1, 3))[0]
    assert got[0].tolist() == [255, 0, 0]
    assert got[1].tolist() == [255, 255, 255]
    assert np.abs(got[2].astype(int) - (127, 127, 255)).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lies_on_white_also_when_resized(mode: str) -> None:
    black = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    black.paste((0, 0, 0, 0), (4, 0, 8, 8))
    data = encoded(black.convert(mode), "PNG")
    assert decode(data, ImageSpec(8, 8))[0, :, 0].tolist() == [0] * 4 + [255] * 4
    # The invisible half must not bleed its black into the edge: gray only in between.
    assert np.all(np.diff(decode(data, ImageSpec(4, 4))[2, :, 0].astype(int)) >= 0)
    assert decode(data, ImageSpec(1, 2))[0, :, 0].tolist() == pytest.approx([32, 223], abs=40)


def test_grey_with_transparent_value() -> None:
    data = encoded(Image.fromarray(np.array([[0, 7, 9]], np.uint8)), "PNG", transparency=7)
    assert decode(data, ImageSpec(1, 3))[0, :, 1].tolist() == [0, 255, 9]


def test_cmyk_jpeg_looks_like_its_rgb_original() -> None:
    pixels = photo()
    data = encoded(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=95)
    assert probe(data).mode == "CMYK"
    assert b"Adobe" in data
    assert np.abs(decode(data, size_of(pixels)).astype(int) - pixels).mean() < 3


def test_lab_tiff() -> None:
    # L, a, b as 8-bit TIFF has them: L* 0 to 255, a* and b* signed.
    lab = Image.frombytes("LAB", (3, 1), bytes([0, 0, 0, 255, 0, 0, 136, 80, 67]))
    got = decode(encoded(lab, "TIFF"), ImageSpec(1, 3))[0]
    assert got[0].max() < 8
    assert got[1].min() > 247
    assert got[2][0] > 200 > got[2][1]


def test_ycbcr_tiff() -> None:
    pixels = photo()
    data = encoded(Image.fromarray(pixels).convert("YCbCr"), "TIFF")
    assert np.abs(decode(data, size_of(pixels)).astype(int) - pixels).mean() < 3


# Orientation and frames


def exif_block(orientation: int, order: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    exif[0x010F] = "a camera with a long name, stored apart"
    return exif.tobytes()


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(("format", "order"), [("PNG", "<"), ("PNG", ">"), ("WEBP", "<"), ("TIFF", "<")])
def test_each_orientation_is_undone(orientation: int, format: str, order: str) -> None:
    stored = photo(12, 20)
    options: dict[str, Any] = {"exif": exif_block(orientation, order)}
    if format == "WEBP":
        options["lossless"] = True
    data = encoded(Image.fromarray(stored), format, **options)
    want = TURNS[orientation](stored)
    assert probe(data) == ImageInfo(format, "RGB", 20, 12, 1, orientation)
    assert np.array_equal(decode(data, size_of(want)), want)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("orientation", TURNS)
def test_turning_and_resizing_commute(orientation: int, fit: Fit) -> None:
    stored = photo(47, 83)
    data = encoded(Image.fromarray(stored), "PNG", exif=exif_block(orientation))
    upright = np.ascontiguousarray(TURNS[orientation](stored))
    got, want = (decode(raw, ImageSpec(20, 31, fit)).astype(int) for raw in (data, upright))
    # Padding may round to the other side of the middle.
    assert np.abs(got - want).max() <= 1 or (fit == "pad" and np.abs(got - want).mean() < 12)


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    chunk = len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
    return png[:33] + chunk + png[33:]  # after the header


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
PROFILE = b"\nexif\n%8d\n" % len(exif_block(6)) + exif_block(6).hex().encode() + b"\n"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<tiff:Orientation>6</tiff:Orientation>"),
        (b"tEXt", b"Raw profile type exif\0" + PROFILE),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(PROFILE)),
        (b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(PROFILE)),
    ],
)
def test_a_png_says_its_orientation_in_xmp_or_in_a_text(name: bytes, body: bytes) -> None:
    stored = photo(12, 20)
    data = with_chunk(encode_png(stored), name, body)
    assert probe(data).orientation == 6
    want = TURNS[6](stored)
    assert np.array_equal(decode(data, size_of(want)), want)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0tiff:Orientation=9"),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no zlib"),
        (b"iTXt", b"XML:com.adobe.xmp"),
        (b"tEXt", b"Comment\0" + PROFILE),
        (b"tEXt", b"Raw profile type exif\0\nexif\n 3\nabc"),
        (b"zTXt", b"Raw profile type exif"),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(10**7))),
    ],
)
def test_texts_without_an_orientation_turn_nothing(name: bytes, body: bytes) -> None:
    assert probe(with_chunk(encode_png(photo()), name, body)).orientation == 1


def test_exif_goes_before_a_text() -> None:
    data = with_chunk(encode_png(photo(), orientation=3), b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    assert probe(data).orientation == 3


def test_pillow_writes_nothing_to_the_terminal() -> None:
    # In its own process: pytest sets up handlers for every log.
    code = """
import io
from PIL import Image
from keensight.core.pixels import decode
from keensight.core.records import ImageSpec
from keensight.errors import ImageError
sink = io.BytesIO()
Image.new("RGB", (9, 9)).save(sink, "TIFF")
data = bytearray(sink.getvalue())
place = data.index(b"\\x15\\x01\\x03\\x00\\x01\\x00\\x00\\x00\\x03")
data[place + 8 : place + 10] = b"\\xff\\xff"
try:
    decode(bytes(data), ImageSpec(4, 4))
except ImageError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("damaged TIFF")
    assert done.stderr == ""


def test_libtiff_writes_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    good = encoded(Image.fromarray(photo()), "TIFF", compression="tiff_lzw")
    for place in range(8, len(good), 7):
        bad = good[:place] + b"\xff\x7f\x01" + good[place + 3 :]
        try:
            decode(bad, ImageSpec(8, 8))
        except ImageError as error:
            assert error.message
    assert capfd.readouterr() == ("", "")


def test_damaged_exif_is_ignored() -> None:
    pixels = photo()
    for block in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", exif_block(6)[:30], exif_block(9)):
        data = encoded(Image.fromarray(pixels), "JPEG", exif=block)
        assert probe(data).orientation == 1
        assert decode(data, size_of(pixels)).shape == pixels.shape


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert probe(data).frames == 3
    assert decode(data, ImageSpec(16, 16))[8, 8].tolist() == [200, 0, 0]


# Resizing


def test_resize_is_antialiased() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(decode(stripes, ImageSpec(16, 16))[2:-2, 2:-2].astype(int) - 127).max() < 12


@pytest.mark.parametrize("wide", [True, False])
def test_fit(wide: bool) -> None:
    image = np.zeros((40, 80) if wide else (80, 40), np.uint8)
    (image if wide else image.T)[:, 20:60] = 255
    stretched, cropped, padded = (
        (lambda a: a if wide else a.T)(decode(image, ImageSpec(40, 40, fit))[:, :, 0])
        for fit in ("stretch", "crop", "pad")
    )
    assert stretched[20, 15] == 255
    assert stretched[20, 5] == 0
    assert cropped.min() > 240
    assert padded[:9].max() == 0
    assert padded[-9:].max() == 0
    assert padded[20, 20] == 255
    assert padded[20, 5] == 0


def test_very_long_image_still_pads_to_at_least_one_row() -> None:
    got = decode(np.full((1, 5000), 255, np.uint8), ImageSpec(8, 8, "pad"))
    assert np.flatnonzero(got[:, 0, 0]).tolist() == [3]


@pytest.mark.parametrize("target", [32, 64, 96, 128, 224])
def test_draft_decoding_stays_near_the_full_one(target: int) -> None:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (66, 50, 3), np.uint8)).resize((400, 533), Image.Resampling.BICUBIC)
    data = encoded(rough, "JPEG", quality=90)
    full = decode(decode(data, ImageSpec(533, 400)), ImageSpec(target, target))
    difference = np.abs(decode(data, ImageSpec(target, target)).astype(int) - full)
    assert difference.mean() < 2
    # 533 rows are no multiple of 8; were that forgotten, the picture would drift towards the bottom.
    assert difference[-target // 4 :].mean() < 1.5 * difference[: target // 4].mean() + 0.2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "array"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_several_sizes_at_once_have_the_pixels_of_each_alone(format: str, orientation: int) -> None:
    array = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8).repeat(9, axis=0).repeat(9, axis=1)
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    if format != "array":
        Image.fromarray(array).save(stream, format, exif=exif)
    raw = array if format == "array" else stream.getvalue()
    # At full size, at 1/2 twice, at 1/8, and at full size again.
    specs = [ImageSpec(300, 300, "pad"), ImageSpec(128, 128), ImageSpec(130, 90, "crop"), ImageSpec(20, 20)]
    specs.append(ImageSpec(320, 300))
    for order in (specs, specs[::-1]):
        for spec, pixels in zip(order, decode_each(raw, order), strict=True):
            assert np.array_equal(pixels, decode(raw, spec))


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (30, 40, 3), (30, 40, 4)])
def test_arrays_of_the_right_size_pass_unchanged(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    if shape[-1] == 4:
        array[..., 3] = 255
    got = decode(array, ImageSpec(30, 40))
    want = array[..., :3] if array.ndim == 3 else array[..., np.newaxis]
    assert np.array_equal(got, np.broadcast_to(want, (30, 40, 3)))
    assert not np.shares_memory(got, array)


def test_array_and_file_of_the_same_pixels_agree() -> None:
    pixels = photo()
    assert np.array_equal(decode(pixels, ImageSpec(33, 21)), decode(encode_png(pixels), ImageSpec(33, 21)))


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ImageError):
        decode(array, ImageSpec(4, 4))


def test_encode_png_takes_grey_too() -> None:
    grey = photo()[:, :, :1]
    for array in (grey, grey[:, :, 0]):
        data = encode_png(array)
        assert probe(data) == ImageInfo("PNG", "L", 80, 60)
        assert np.array_equal(decode(data, size_of(grey))[:, :, 1], grey[:, :, 0])


@pytest.mark.parametrize("orientation", TURNS)
def test_encode_png_notes_an_orientation(orientation: int) -> None:
    stored = photo(12, 20)
    data = encode_png(stored, orientation=orientation)
    want = TURNS[orientation](stored)
    assert probe(data).orientation == orientation
    assert np.array_equal(decode(data, size_of(want)), want)


# Threads and limits


def test_threads_get_the_same_pixels_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    files = [encoded(Image.fromarray(photo(seed=k)), "JPEG", exif=exif_block(6)[:25]) for k in range(16)]
    alone = [decode(data, ImageSpec(20, 20)) for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode(data, ImageSpec(20, 20)), files * 4))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))
    assert not recwarn.list


def test_huge_files_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keensight.core.pixels.MAX_BYTES", 1000)
    with pytest.raises(ImageError, match="the limit is"):
        decode(encoded(Image.fromarray(photo()), "BMP"), ImageSpec(4, 4))
    assert MAX_BYTES >= 100 * 2**20


def test_lack_of_memory_is_an_image_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", no_memory)
    with pytest.raises(ImageError, match="memory"):
        decode(encode_png(photo()), ImageSpec(4, 4))
