"""Embedded color profiles."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from icc_builders import ADOBE, P3, SRGB, profile
from keensight.core.image_files import unpack
from keensight.core.pixels import decode
from keensight.core.profiles import transform
from keensight.core.records import ImageSpec
from keensight.core.sources import read_source

COLORS = np.array([[[128, 64, 32], [30, 200, 90], [90, 90, 90], [255, 255, 255], [60, 80, 220]]], np.uint8)
SPEC = ImageSpec(1, 5)


def expected(primaries: tuple[tuple[float, ...], ...], gamma: float | None) -> np.ndarray:
    """The same colors in sRGB, by the definition."""
    v = COLORS / 255
    linear = v**gamma if gamma else np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    there = np.clip(linear @ np.array(primaries) @ np.linalg.inv(np.array(SRGB)), 0, 1)
    return np.rint(255 * np.where(there <= 0.0031308, 12.92 * there, 1.055 * there ** (1 / 2.4) - 0.055))


def encoded(format: str, icc: bytes, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(COLORS).save(stream, format, icc_profile=icc, **options)
    return stream.getvalue()


@pytest.mark.parametrize(("primaries", "gamma"), [(P3, None), (ADOBE, 2.19921875)])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "AVIF"])
def test_colors_of_a_profile_are_converted_to_srgb(format: str, primaries: object, gamma: float | None) -> None:
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}.get(format, {})
    got = decode(encoded(format, profile(primaries, gamma), **options), SPEC)  # type: ignore[arg-type]
    far = np.abs(got.astype(int) - expected(primaries, gamma)).max()  # type: ignore[arg-type]
    assert far <= (6 if format == "AVIF" else 2)
    assert np.abs(got.astype(int) - COLORS).max() > 10


def test_a_jpeg_keeps_its_profile_in_several_segments() -> None:
    icc = profile(P3)
    raw = encoded("JPEG", icc, quality=100, subsampling=0)
    assert unpack(raw).profile == icc
    long = icc + bytes(140_000)
    assert unpack(encoded("JPEG", long)).profile == long
    segments = [b"\xff\xe2" + (len(part) + 16).to_bytes(2, "big") + b"ICC_PROFILE\0" + bytes((number, 2)) + part
                for number, part in ((2, icc[500:]), (1, icc[:500]))]  # fmt: skip
    plain = encoded("JPEG", b"")
    assert unpack(plain[:2] + b"".join(segments) + plain[2:]).profile == icc
    assert unpack(plain[:2] + segments[0] + plain[2:]).profile == b""  # the other piece is missing


def test_a_model_of_an_earlier_decoder_sees_the_colors_unchanged() -> None:
    raw = encoded("PNG", profile(P3))
    assert np.array_equal(decode(raw, ImageSpec(1, 5, decoder=2)), COLORS)


@pytest.mark.parametrize(
    "icc", [b"damaged", profile(P3)[:200], bytes(500), profile(P3).replace(b"RGB ", b"GRAY"), bytes(2**22 + 1)]
)
def test_a_damaged_profile_is_ignored(icc: bytes) -> None:
    assert np.array_equal(decode(encoded("PNG", icc), SPEC), COLORS)
    assert np.array_equal(decode(encoded("TIFF", icc), SPEC), COLORS)


def test_a_bomb_in_place_of_a_profile_is_not_unpacked() -> None:
    body = b"icc\0\0" + zlib.compress(bytes(2**23), 1)
    chunk = len(body).to_bytes(4, "big") + b"iCCP" + body + zlib.crc32(b"iCCP" + body).to_bytes(4, "big")
    plain = encoded("PNG", b"")
    assert len(unpack(plain[:33] + chunk + plain[33:]).profile) <= 2**22


def test_srgb_by_any_name_is_not_converted() -> None:
    built_in = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert transform(built_in, "RGB") is None
    assert transform(profile(SRGB), "RGB") is None
    assert transform(profile(P3), "RGB") is not None
    assert transform(profile(P3), "CMYK") is None


def test_transparency_survives_a_profile() -> None:
    pixels = np.dstack([COLORS, np.array([[255, 255, 0, 0, 255]], np.uint8)])
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", icc_profile=profile(P3))
    got = decode(stream.getvalue(), SPEC)
    assert got[0, 2].tolist() == [255, 255, 255]
    assert np.abs(got[0, :2].astype(int) - expected(P3, None)[0, :2]).max() <= 2


def test_a_pillow_image_with_a_profile_gives_the_pixels_of_its_file() -> None:
    raw = encoded("PNG", profile(ADOBE, 2.2))
    image = Image.open(io.BytesIO(raw))
    assert np.array_equal(decode(read_source(image), SPEC), decode(raw, SPEC))
    old = ImageSpec(1, 5, decoder=2)
    assert np.array_equal(decode(read_source(image, old), old), COLORS)
