from __future__ import annotations

import dataclasses

import pytest

from keensight.core.records import Dataset, ImageInfo, ImageSpec, LabelSet, Sample
from keensight.data.input_size import choose_spec, shapes_differ
from keensight.errors import DataError


def _data(*sizes: tuple[int, int], orientation: int = 1) -> Dataset:
    """Images of the sizes (width, height)."""
    infos = [ImageInfo("JPEG", "RGB", width, height, orientation=orientation) for width, height in sizes]
    samples = tuple(Sample(f"{i}.jpg", "ab"[i % 2], str(i), info=info) for i, info in enumerate(infos))
    return Dataset("set", "folder", LabelSet(("a", "b")), samples)


def test_a_pretrained_network_gets_a_frame_of_the_images_aspect_and_the_area_of_its_square() -> None:
    assert choose_spec(_data((400, 533)), pretrained=224) == ImageSpec(256, 192, "pad")
    assert choose_spec(_data((533, 400), (533, 400), (400, 533)), pretrained=224) == ImageSpec(192, 256, "pad")
    assert choose_spec(_data((4000, 500)), pretrained=224) == ImageSpec(160, 320, "pad")


def test_an_image_on_its_side_counts_as_it_is_seen() -> None:
    assert choose_spec(_data((533, 400), orientation=6), pretrained=224) == ImageSpec(256, 192, "pad")


def test_nearly_square_and_small_images_get_a_square() -> None:
    assert choose_spec(_data((500, 520)), pretrained=224) == ImageSpec(224, 224, "pad")
    assert choose_spec(_data((64, 64)), pretrained=224) == ImageSpec(128, 128, "pad")


def test_from_scratch_images_are_stretched_as_before() -> None:
    assert choose_spec(_data((400, 533))) == ImageSpec(128, 128, "stretch")
    assert choose_spec(_data((28, 28))) == ImageSpec(28, 28, "stretch")


def test_a_set_has_different_shapes_if_more_than_its_extremes_differ() -> None:
    same, tall = [(400, 300)] * 18, (300, 400)
    assert not shapes_differ(_data(*same, tall, tall))
    assert not shapes_differ(_data((400, 300), (404, 300), (800, 600)))
    assert shapes_differ(_data(*same, *[tall] * 6))
    assert not shapes_differ(Dataset("set", "folder", LabelSet(("a", "b")), ()))


def test_what_is_asked_for_wins() -> None:
    assert choose_spec(_data((400, 533)), 96, "crop", pretrained=224) == ImageSpec(96, 96, "crop")


def test_a_set_without_a_readable_image_is_refused() -> None:
    data = _data((8, 8))
    broken = tuple(dataclasses.replace(sample, info=None) for sample in data.samples)
    with pytest.raises(DataError):
        choose_spec(dataclasses.replace(data, samples=broken))
