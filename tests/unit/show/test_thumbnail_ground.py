from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from keensight.show.thumbnails import shrunk


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_drawing_on_a_transparent_ground_is_never_an_empty_picture(level: int) -> None:
    pixels = np.full((40, 40, 4), level, np.uint8)
    pixels[..., 3] = 0
    pixels[10:30, 15:25, 3] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    assert np.ptp(shrunk(stream.getvalue(), 32)) >= 100
