"""Other processes read the images of the cache by the same keys, and say which they lack."""

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.core.records import ImageSpec
from keensight.data.cache import prepare
from keensight.data.shared_pixels import read_shared, write_shared
from keensight.errors import DataError, StoreError

ROWS = np.array([5, 0, 3])


@pytest.fixture
def dataset(tmp_path):
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(4):
            pixels = np.random.default_rng([i, ord(label)]).integers(0, 256, (9, 12, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i}.png")
    return ks.open(tmp_path / "photos")


def test_images_of_the_cache_are_found_by_their_digests(dataset, tmp_path, cache_folder):
    pixels = prepare(dataset, ImageSpec(8, 10))
    variables = write_shared(pixels, dataset, ROWS, tmp_path / "job")
    assert variables == {"KEENSIGHT_CACHE": str(cache_folder)}
    shared = read_shared(tmp_path / "job")
    assert shared.shape == (8, 10, 3)
    np.testing.assert_array_equal(shared.take([0, 1, 2]), pixels.take(ROWS))
    np.testing.assert_array_equal(shared.take([2, 2]), pixels.take([3, 3]))


def test_another_machines_cache_is_refused_by_name(dataset, tmp_path, monkeypatch):
    write_shared(prepare(dataset, ImageSpec(8, 10)), dataset, ROWS, tmp_path / "job")
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "elsewhere"))
    with pytest.raises(StoreError, match="lacks 3 of 3 decoded images") as caught:
        read_shared(tmp_path / "job")
    assert str(tmp_path / "elsewhere") in caught.value.message
    assert "KEENSIGHT_CACHE" in caught.value.hint


def test_small_arrays_are_passed_on_as_a_file(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 10), np.uint8)
    dataset = ks.open((images, np.arange(6) % 2))
    pixels = prepare(dataset, ImageSpec(8, 10))
    write_shared(pixels, dataset, ROWS, tmp_path / "job")
    shared = read_shared(tmp_path / "job")
    assert shared.shape == (8, 10, 3)
    np.testing.assert_array_equal(shared.take([1, 2]), pixels.take([0, 3]))


def test_images_outside_the_cache_are_refused(dataset, tmp_path):
    with pytest.raises(DataError, match="from the cache, which is not used") as caught:
        write_shared(prepare(dataset, ImageSpec(8, 10), mode="never"), dataset, ROWS, tmp_path / "job")
    assert "data.cache" in caught.value.hint


def test_a_job_without_images_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        read_shared(tmp_path)
