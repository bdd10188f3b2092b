"""The intensity scale of a set."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from keensight.core.intensity import Levels, Scale, as_setting, parse, scale_of_set, unlike
from keensight.core.pixels import decode_each
from keensight.core.predictions import Predictions
from keensight.core.records import ImageSpec, LabelSet
from keensight.errors import UsageError
from keensight.workflow import Layout


def levels(low: float, high: float, inner: tuple[float, float] | None = None) -> Levels:
    return Levels(low, high, False, inner=inner)


def test_a_hot_pixel_does_not_darken_a_set_of_12_bits() -> None:
    found = [levels(0, 65535, (20, 3500)) for _ in range(20)]
    assert scale_of_set(found) == Scale(0, 4095)


def test_a_few_outlying_images_do_not_darken_the_others() -> None:
    found = [levels(0, 3000, (10, 2900))] * 98 + [levels(0, 60000, (10, 59000))] * 2
    assert scale_of_set(found) == Scale(0, 4095)
    assert scale_of_set(found[40:]) == Scale(0, 65535)  # two of sixty are no outliers


def test_a_narrow_range_far_from_zero_keeps_its_gray_levels() -> None:
    thermal = [levels(29_000, 31_000)] * 5
    assert scale_of_set(thermal) == Scale(29_000, 31_000)
    assert scale_of_set(thermal, "bits") == Scale(0, 65535)


def test_a_quarter_of_the_usual_white_is_enough() -> None:
    assert scale_of_set([levels(0, 1100)]) == Scale(0, 4095)
    assert scale_of_set([levels(300, 1200)]) == Scale(300, 1200)


def test_metal_in_a_few_ct_slices_leaves_the_others_their_contrast() -> None:
    found = [levels(-1024, 2500, (-1024, 1800))] * 99 + [levels(-1024, 30_000, (-1024, 20_000))]
    assert scale_of_set(found) == Scale(-1024, 1800)


def test_floats_of_a_small_part_of_one() -> None:
    assert scale_of_set([Levels(0, 0.1, True)]) == Scale(0, 0.1)
    assert scale_of_set([Levels(0, 0.1, True)], "bits") == Scale(0, 1)
    assert scale_of_set([Levels(0, 250.0, True)], "bits") == Scale(0, 255)


def test_one_value_everywhere_has_a_scale_all_the_same() -> None:
    assert scale_of_set([levels(700, 700)]) == Scale(0, 1023)
    assert scale_of_set([levels(0, 0)]) == Scale(0, 255)
    assert scale_of_set([levels(-5, -5)]) == Scale(-5, -4)


@pytest.mark.parametrize(
    ("text", "want"),
    [("auto", "auto"), ("bits", "bits"), ("0,4095", Scale(0, 4095)), ("-1000, 400", Scale(-1000, 400))],
)
def test_the_setting(text: str, want: object) -> None:
    assert parse(text) == want
    if isinstance(want, Scale):
        assert parse(as_setting(want)) == want


def test_a_setting_keeps_every_digit() -> None:
    assert as_setting(Scale(0.0, 4095.0)) == "0,4095"
    assert parse(as_setting(Scale(-0.1, 1.0234567891))) == Scale(-0.1, 1.0234567891)


@pytest.mark.parametrize("text", ["", "4095", "5,5", "9,1", "a,b", "0,inf", "nan,1", "1,2,3"])
def test_another_setting_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"data\.intensity cannot be"):
        parse(text)


@pytest.mark.parametrize(
    ("scale", "values", "words"),
    [
        (Scale(0, 4095), [0, 60_000, 60_000, 100], "50% of its gray values are outside 0 to 4,095"),
        (Scale(0, 65535), [0, 4095, 17, 100], "its gray values end at 4,095, and white is 65,535"),
        (Scale(0, 4095), [0, 4095, 17, 100], ""),
        (Scale(-160, 239), [-1000, 2000, 40, 100], ""),
        (Scale(29_000, 31_000), [20, 30, 40, 50], "100% of its gray values are outside 29,000 to 31,000"),
    ],
)
def test_what_is_strange_about_an_image_is_told(scale: Scale, values: list[int], words: str) -> None:
    found = unlike(scale, [np.array(values[:2]), np.array(values[2:])])
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_the_decoder_notes_it_once_for_each_image() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4), 60_000, np.uint16)).save(stream, "PNG")
    notes: list[str] = []
    decode_each(stream.getvalue(), [ImageSpec(4, 4, intensity=4095.0), ImageSpec(2, 2, intensity=4095.0)], notes)
    assert len(notes) == 1
    decode_each(stream.getvalue(), [ImageSpec(4, 4)], notes)
    assert len(notes) == 1


def test_a_note_is_in_the_row_of_its_image_alone() -> None:
    found = Predictions(("a", "b"), LabelSet(("x", "y")), np.full((2, 2), 0.5, np.float32), notes={"b": "odd"})
    assert ["note" in row for row in found.rows()] == [False, True]
    assert Layout.of(found, 5).cells(found.rows()[1])["note"] == "odd"
