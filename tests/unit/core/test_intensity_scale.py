"""The intensity scale of a set."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from keensight.core.intensity import (
    Levels,
    Scale,
    as_setting,
    in_words,
    is_deep,
    parse,
    range_of,
    scale_of_one,
    scale_of_set,
    unlike,
)
from keensight.core.pixels import decode_each
from keensight.core.predictions import Predictions
from keensight.core.records import ImageSpec, LabelSet
from keensight.errors import UsageError
from keensight.workflow import Layout

NEWEST = ImageSpec(1, 1).decoder


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


@pytest.mark.parametrize(
    ("high", "white"),
    [(255, 255), (256, 1023), (1023, 1023), (1024, 4095), (4095, 4095), (4096, 16383), (16384, 65535), (65535, 65535)],
)
def test_white_is_the_largest_value_of_the_bit_depth_of_an_image(high: int, white: int) -> None:
    assert scale_of_one(levels(5, high), NEWEST) == Scale(0, white)
    assert scale_of_one(Levels(5, high, False, declared=70_000), NEWEST) == Scale(0, 70_000)
    assert [scale_of_one(levels(5, high), decoder) for decoder in (1, 2)] == [Scale(0, 65535), Scale(0, white)]


@pytest.mark.parametrize(
    ("high", "white"),
    [(0.01, 1), (1, 1), (1.5, 1.5), (15.9, 15.9), (16, 255), (255, 255), (4095, 4095), (4096, 65535), (65535, 65535)],
)
def test_floats_have_the_usual_white_where_it_does_not_leave_them_nearly_black(high: float, white: float) -> None:
    assert scale_of_one(Levels(0, high, True), NEWEST) == Scale(0, white)
    usual = 1 if high <= 1 else 255 if high <= 255 else 65535
    assert scale_of_one(Levels(0, high, True), 1) == Scale(0, usual)


@pytest.mark.parametrize(("low", "high"), [(-1, 200), (-0.5, 0.5), (3, 65_536)])
@pytest.mark.parametrize("decoder", [1, 3])
def test_negative_and_larger_values_of_an_image_are_stretched(low: float, high: float, decoder: int) -> None:
    for floating in (True, False):
        assert scale_of_one(Levels(low, high, floating), decoder) == Scale(low, high)


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


@pytest.mark.parametrize(
    ("scale", "values", "want"),
    [
        (Scale(100, 200), np.array([0, 100, 101, 150, 180, 200, 999], np.uint16), [0, 0, 3, 128, 204, 255, 255]),
        (Scale(2**31, 2**31 + 255), np.array([2**31, 2**31 + 7], np.uint32), [0, 7]),  # float32 is too coarse
        (Scale(0, 0.5), np.array([-1, 0.25, 0.5, np.nan, np.inf, -np.inf], np.float32), [0, 128, 255, 0, 255, 0]),
        (Scale(5, 5), np.array([4, 5, 6], np.uint16), [0, 0, 255]),
    ],
)
def test_values_are_rounded_between_black_and_white_and_clipped_beyond(
    scale: Scale, values: np.ndarray, want: list[int]
) -> None:
    found = scale.apply(values)
    assert (found.dtype, found.tolist()) == (np.uint8, want)


def test_gray_values_of_more_than_8_bits_are_known_by_the_mode() -> None:
    assert all(map(is_deep, ("I;16", "I;16B", "I", "F")))
    assert not any(map(is_deep, ("L", "P", "RGB", "RGB;16")))


def test_a_scale_in_words_names_black_where_it_is_not_zero() -> None:
    assert in_words(Scale(0, 4095)) == "4,095 becomes white"
    assert in_words(Scale(-160, 239)) == "-160 becomes black and 239 becomes white"


def test_the_range_of_values_ignores_those_that_are_not_finite() -> None:
    assert range_of(np.array([3, np.nan, 7, np.inf, -np.inf])) == (3, 7)
    assert range_of(np.array([np.nan])) == range_of(np.array([], np.uint16)) == (0, 0)
    assert range_of(np.array([9, 2], np.uint16)) == (2, 9)


def shown(window: Scale | None, absolute: bool = False) -> Levels:
    return Levels(0, 4000, False, window=window, absolute=absolute)


def test_the_window_of_more_than_half_of_the_files_is_that_of_the_set() -> None:
    one, other = Scale(10, 90), Scale(20, 80)
    assert scale_of_set([shown(one)] * 3 + [shown(None)] * 2) == one
    assert scale_of_set([shown(one)] * 2 + [shown(None)] * 2) == Scale(0, 4095)
    assert scale_of_set([shown(one)] * 2 + [shown(other)]) is None
    assert scale_of_set([shown(one, True)] * 2 + [shown(other, True)]) == one
    assert scale_of_set([shown(one, True)] * 2 + [shown(other)]) is None
    assert scale_of_set([shown(one)], "bits") == Scale(0, 4095)


def test_the_declared_white_counts_where_all_files_have_one() -> None:
    declared = [Levels(0, 900, False, declared=white) for white in (1000, 1500)]
    assert scale_of_set(declared) == Scale(0, 1500)
    assert scale_of_set([*declared, levels(0, 900)]) == Scale(0, 1023)


def test_integers_and_floats_have_no_scale_in_common() -> None:
    assert scale_of_set([levels(0, 900), Levels(0, 900, True)]) is None
    assert scale_of_set([]) is None


def test_extremes_more_than_four_times_as_far_apart_as_most_pixels_are_outliers() -> None:
    assert scale_of_set([levels(0, 4000, (0, 1000))]) == Scale(0, 4095)
    assert scale_of_set([levels(0, 4001, (0, 1000))]) == Scale(0, 1023)
    assert scale_of_set([levels(100, 4100, (200, 1200))]) == Scale(100, 4100)
    assert scale_of_set([levels(100, 4101, (200, 1200))]) == Scale(200, 1200)
    assert scale_of_set([Levels(0, 1, True, inner=(0, 0.125))]) == Scale(0, 0.125)


def test_more_than_1_in_100_pixels_above_white_are_strange_and_so_is_a_sixteenth_of_it() -> None:
    values = np.full(200, 100)
    assert unlike(Scale(0, 1600), [values]) == ""
    assert unlike(Scale(0, 1601), [values]).startswith("its gray values end at 100")
    values[:2] = 1700
    assert unlike(Scale(0, 1600), [values]) == ""
    values[2] = 1700
    assert unlike(Scale(0, 1600), [values]).startswith("2% of its gray values are outside")
