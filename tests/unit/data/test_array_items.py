"""Images one by one, of any sizes, from paths, bytes and arrays alike."""

import numpy as np
import pytest

from keensight.core import pixels
from keensight.data.sources.arrays import from_items
from keensight.errors import DataError, ImageError


def image(seed, height=7, width=5):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def mixed(tmp_path):
    """A path as text, a path, bytes and an array."""
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(pixels.encode_png(image(i)))
    return [str(tmp_path / "0.png"), tmp_path / "1.png", pixels.encode_png(image(2)), image(3, 9, 9)]


def test_all_kinds_stand_side_by_side(mixed):
    data = from_items(mixed, ["a", "b", "a", "b"], classes=["a", "b"])
    assert [(s.info.width, s.info.height) for s in data.samples] == [(5, 7)] * 3 + [(9, 9)]
    assert data.load(2) == mixed[2]
    assert np.array_equal(data.load(3), mixed[3])
    assert len({sample.digest for sample in data.samples}) == 4


def test_no_sample_is_named_by_its_absolute_path(mixed):
    assert [s.path for s in from_items(mixed, list("abab"), classes="ab").samples] == [f"{i:05d}" for i in range(4)]


def test_one_image_in_two_forms_is_one_image(mixed):
    data = from_items([mixed[0], mixed[2], mixed[1], (mixed[1]).read_bytes()], list("abbb"), classes="ab")
    assert data.samples[2].digest == data.samples[3].digest


def test_what_cannot_be_read_carries_its_reason(mixed, tmp_path):
    data = from_items([*mixed, tmp_path / "none.png", b"text", np.zeros((3, 3))], list("ababaaa"), classes="ab")
    errors = [sample.error for sample in data.samples]
    assert errors[:4] == [None] * 4
    assert "missing" in errors[4]
    assert errors[5]
    assert "float64 (3, 3)" in errors[6]
    with pytest.raises(ImageError):
        data.load(4)


def test_one_label_for_each_image(mixed):
    with pytest.raises(DataError, match="4 images but 1 labels"):
        from_items(mixed, ["a"], classes=["a", "b"])
