from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keensight.core.pixels import decode, encode_png, probe
from keensight.core.records import Fit, ImageSpec
from keensight.errors import ImageError

SIDES = st.integers(1, 40)
FITS: st.SearchStrategy[Fit] = st.sampled_from(["stretch", "crop", "pad"])
MAGIC = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0", b"MM\0*", b"BM", b"P6 "]
MAGIC += [
    b"\0\0\0\x18ftypavif\0\0\0\0",
    b"\0\0\0\x18ftypheic\0\0\0\0",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
    b"\xff\x0a",
]
MAGIC += [
    bytes(128) + b"DICM",
    b"\0\0\0\x0cJXL \r\n\x87\n",
    b"\0\0\1\0\1\0",
    b"\0\0\2\0\0\0\0\0\0\0\0\0\7\0\7\0\x18\0",
    b"\x1f\x8b\x08\0",
]


def noise(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@given(SIDES, SIDES, st.integers(0, 2**32 - 1), FITS)
def test_a_png_of_the_right_size_comes_back_exactly(height: int, width: int, seed: int, fit: Fit) -> None:
    pixels = noise(height, width, 3, seed)
    assert np.array_equal(decode(encode_png(pixels), ImageSpec(height, width, fit)), pixels)


@given(
    st.tuples(SIDES, SIDES),
    st.tuples(SIDES, SIDES),
    FITS,
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
)
@settings(max_examples=150)
def test_any_mode_and_any_sizes_give_the_shape_asked_for(
    stored: tuple[int, int], wanted: tuple[int, int], fit: Fit, mode: str
) -> None:
    grey = Image.fromarray(noise(*stored, 1, 0)[:, :, 0])
    image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    got = decode(stream.getvalue(), ImageSpec(*wanted, fit))
    assert got.shape == (*wanted, 3)
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.integers(0, 255), st.sampled_from(["stretch", "crop"]))
def test_one_colour_stays_one_colour(stored: tuple[int, int], wanted: tuple[int, int], value: int, fit: Fit) -> None:
    got = decode(np.full(stored, value, np.uint8), ImageSpec(*wanted, fit))
    assert np.unique(got).tolist() == [value]


@given(st.sampled_from([*MAGIC, b""]), st.binary(max_size=300))
@settings(max_examples=300)
def test_arbitrary_bytes_give_an_image_or_an_image_error(magic: bytes, data: bytes) -> None:
    for read in (probe, lambda raw: decode(raw, ImageSpec(4, 4))):
        try:
            read(magic + data)
        except ImageError as error:
            assert error.message


@given(st.data())
@settings(max_examples=150)
def test_files_with_a_damaged_stretch_give_an_image_or_an_image_error(data: st.DataObject) -> None:
    format = data.draw(
        st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA", "ICO"])
    )
    stream = io.BytesIO()
    Image.fromarray(noise(9, 7, 3, 0)).save(stream, format)
    whole = stream.getvalue()
    start = data.draw(st.integers(0, len(whole)))
    damage = data.draw(st.binary(max_size=30))
    keep = data.draw(st.integers(0, len(damage)))
    try:
        got = decode(whole[:start] + damage + whole[start + keep :], ImageSpec(5, 5))
    except ImageError as error:
        assert error.message
    else:
        assert got.shape == (5, 5, 3)


@pytest.mark.parametrize("channels", [1, 3])
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), FITS)
def test_arrays_and_their_png_agree(channels: int, stored: tuple[int, int], wanted: tuple[int, int], fit: Fit) -> None:
    pixels = noise(*stored, channels, 1)
    spec = ImageSpec(*wanted, fit)
    assert np.array_equal(decode(pixels, spec), decode(encode_png(pixels), spec))
