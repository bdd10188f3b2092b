from __future__ import annotations

import numpy as np

from keensight.core.records import ImageSpec
from keensight.data.pixels import array_pixels, scan
from keensight.data.sources.readers import from_arrays


def test_each_measure_gives_a_row_an_image_in_the_order_asked_for() -> None:
    images = np.random.default_rng(0).integers(0, 256, (700, 40, 40, 3), dtype=np.uint8)
    data = from_arrays(images, np.arange(700) % 2)
    pixels = array_pixels(data, ImageSpec(40, 40))
    assert pixels is not None
    rows = np.arange(700)[::-1].copy()
    mean, corner = scan(pixels, rows, [lambda x: x.mean(axis=(1, 2, 3)), lambda x: x[:, 0, 0]])
    assert np.allclose(mean, images[rows].mean(axis=(1, 2, 3)))
    assert (corner == images[rows, 0, 0]).all()
