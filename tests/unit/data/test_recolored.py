"""When two copies count as clearly different in color."""

import numpy as np
import pytest
from PIL import Image

from keensight.data.audit.recolored import differ_in_color


def _picture(color: tuple[int, int, int], ground: int = 200) -> np.ndarray:
    rng = np.random.default_rng(0)
    picture = np.full((64, 64, 3), ground, float) + rng.normal(0, 5, (64, 64, 1))
    picture[16:48, 16:48] = np.array(color) + rng.normal(0, 10, (32, 32, 1))
    return picture.clip(0, 255).astype(np.uint8)


RED, BLUE, GREY = (190, 50, 50), (50, 50, 190), (97, 97, 97)


@pytest.mark.parametrize(("one", "other"), [(RED, BLUE), (BLUE, RED), (RED, GREY), (GREY, BLUE)])
def test_another_color_of_the_thing_is_seen(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert differ_in_color(_picture(one), _picture(other))


def test_white_balance_and_brightness_are_no_other_color() -> None:
    red = _picture(RED)
    for gains in ((1.12, 1.0, 0.9), (0.88, 1.0, 1.12), (0.7, 0.7, 0.7)):
        assert not differ_in_color(red, (red * np.array(gains)).clip(0, 255).astype(np.uint8))


def test_saturation_is_no_other_color_and_grey_pictures_have_none() -> None:
    red = _picture(RED).astype(float)
    pale = red.mean(axis=2, keepdims=True) + 0.65 * (red - red.mean(axis=2, keepdims=True))
    assert not differ_in_color(red.astype(np.uint8), pale.astype(np.uint8))
    grey = _picture(GREY)
    smaller = np.asarray(Image.fromarray(grey).resize((40, 40)).resize((64, 64)))
    assert not differ_in_color(grey, smaller)
