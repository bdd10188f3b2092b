"""Traces that a writer leaves in a file."""

import io

import numpy as np
import pytest
from PIL import Image

from keensight.core.image_files import traces
from keensight.core.pixels import encode_png

PICTURE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95])
def test_jpeg_quality_is_read_from_the_tables(quality: int) -> None:
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG", quality=quality)
    assert traces(stream.getvalue()).quality == pytest.approx(quality, abs=1)


def test_exif_is_seen() -> None:
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG", exif=exif)
    assert traces(stream.getvalue()).exif
    assert traces(encode_png(PICTURE, orientation=6)).exif
    assert not traces(encode_png(PICTURE)).exif


def test_damage_counts_as_absence() -> None:
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG")
    for length in range(0, 700, 7):
        traces(stream.getvalue()[:length])
    assert traces(b"") == traces(b"text")
