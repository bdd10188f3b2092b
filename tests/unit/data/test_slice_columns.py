"""Image properties as columns."""

import numpy as np
import pytest

from keensight.core.files import sha256
from keensight.core.pixels import encode_png
from keensight.core.records import Dataset, ImageInfo, ImageSpec, LabelSet, Sample
from keensight.data.cache import prepare
from keensight.data.slice_columns import columns


class Bytes:
    def __init__(self, images):
        self.images = images

    def load(self, sample):
        return self.images[sample.path]


def dataset(arrays, **metadata):
    images = {f"{i}.png": encode_png(array) for i, array in enumerate(arrays)}
    samples = tuple(
        Sample(path, "a", sha256(images[path]), info=ImageInfo("PNG", "RGB", array.shape[1], array.shape[0]),
               metadata={name: values[i] for name, values in metadata.items()})
        for i, (path, array) in enumerate(zip(images, arrays, strict=True))
    )  # fmt: skip
    return Dataset("set", "folder", LabelSet(("a",)), samples, reader=Bytes(images))


def test_brightness_is_that_of_the_picture_not_of_its_padding():
    grey = np.full((40, 20, 3), 120, np.uint8)
    half = np.zeros((40, 20, 3), np.uint8)
    half[:20] = 200
    data = dataset([grey, half], site=["x", None])
    found = columns(data, np.arange(2), prepare(data, ImageSpec(64, 64, "pad")))
    assert found["brightness"] == pytest.approx([120, 100], abs=4)
    assert found["contrast"] == pytest.approx([0, 100], abs=8)
    assert found["site"] == ["x", None]
    assert found["aspect ratio"] == [0.5, 0.5]


def test_without_pixels_there_is_no_brightness():
    data = dataset([np.zeros((8, 8, 3), np.uint8)])
    assert "brightness" not in columns(data, np.arange(1))
