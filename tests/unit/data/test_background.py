"""What transparent pixels become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.core.background import choose, contrasts
from keensight.core.records import Background, ImageSpec
from keensight.data.audit.audit import audit
from keensight.data.background import background, with_background
from keensight.data.cache import prepare
from keensight.data.sources.readers import open_source
from keensight.workflow import image_spec

SPEC = ImageSpec(24, 24)


def drawing(color: tuple[int, int, int], shift: int = 0, shape: str = "disc") -> np.ndarray:
    y, x = np.mgrid[:24, :24]
    inside = (x - 10 - shift) ** 2 + (y - 12) ** 2 < 30 if shape == "disc" else (abs(y - 9 - shift) < 2)
    return np.dstack([np.full((24, 24, 3), color, np.uint8), np.where(inside, 255, 0).astype(np.uint8)])


def save(folder: Path, colors: dict[str, tuple[int, int, int]], mode: str = "RGBA", n: int = 5) -> None:
    for (label, color), shape in zip(colors.items(), ("disc", "bar"), strict=True):
        (folder / label).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(drawing(color, i, shape)).convert(mode).save(folder / label / f"{i}.png")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(
    ("one", "other", "want"), [(255, 250, "black"), (0, 30, "white"), (0, 255, "gray"), (120, 90, "white")]
)
def test_the_ground_is_the_one_on_which_drawings_are_seen(
    tmp_path: Path, mode: str, one: int, other: int, want: Background
) -> None:
    save(tmp_path / "d", {"a": (one,) * 3, "b": (other,) * 3}, mode, n=2)
    data = open_source(tmp_path / "d")
    spec = with_background(SPEC, data)
    assert spec.background == want
    pixels = prepare(data, spec)
    assert min(int(image.max()) - int(image.min()) for image in pixels.take(range(len(data)))) >= 90
    told = [finding.message for finding in background(data, pixels)]
    assert bool(told) == (want != "white")
    assert all(want in message for message in told)


def test_white_drawings_are_no_copies_of_each_other(tmp_path: Path) -> None:
    save(tmp_path / "d", {"a": (255, 255, 255), "b": (255, 255, 255)})
    data = open_source(tmp_path / "d")
    spec = image_spec(data)
    assert spec.background == "black"
    assert spec.key.endswith("-black")
    kinds = {finding.kind for finding in audit(data, prepare(data, spec)).findings}
    assert not {"blank", "dark", "label-conflict"} & kinds


def test_the_setting_wins(tmp_path: Path) -> None:
    save(tmp_path / "d", {"a": (255, 255, 255), "b": (255, 255, 255)})
    data = open_source(tmp_path / "d")
    assert image_spec(data, background="white").background == "white"
    assert image_spec(data, background="gray").background == "gray"


def test_photographs_keep_white(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for label in "ab":
        (tmp_path / "d" / label).mkdir()
        for i in range(3):
            noise = np.random.default_rng(i).integers(0, 255, (24, 24, 3), np.uint8)
            opaque = np.dstack([noise, np.full((24, 24), 255, np.uint8)])
            Image.fromarray(opaque).save(tmp_path / "d" / label / f"{i}.png")
    assert with_background(SPEC, open_source(tmp_path / "d")) == SPEC


def test_an_image_without_a_drawing_says_nothing() -> None:
    assert contrasts(np.zeros((9, 9, 4), np.uint8)) is None
    assert contrasts(np.full((9, 9, 4), 255, np.uint8)) is None
    assert choose([]) == ("white", {"white": 0, "black": 0, "gray": 0})


def test_the_outline_counts_and_not_the_inside() -> None:
    sticker = drawing((255, 255, 255))
    sticker[10:14, 8:12, :3] = 0
    found = contrasts(sticker)
    assert found is not None
    assert found["white"] < 0.1 < found["black"]


def row(alpha: list[int], gray: list[int]) -> np.ndarray:
    """One row of pixels in gray."""
    return np.array([[[value, value, value, opacity] for value, opacity in zip(gray, alpha, strict=True)]], np.uint8)


def test_pixels_of_less_than_half_opacity_are_transparent_and_of_a_tenth_visible() -> None:
    assert contrasts(row([128, 255], [0, 0])) is None
    assert contrasts(row([0, 25], [0, 0])) is None
    # Two pixels of the outline, of which one has the opacity 127 of 255.
    assert contrasts(row([127, 255], [0, 0])) == pytest.approx(
        {"white": (127 / 255 + 1) / 2, "black": 0, "gray": 128 / 255 * (127 / 255 + 1) / 2}
    )
    assert contrasts(row([0, 26], [0, 0])) == pytest.approx(
        {"white": 26 / 255, "black": 0, "gray": 128 / 255 * 26 / 255}
    )


@pytest.mark.parametrize("turns", range(4))
def test_two_pixels_on_every_side_of_a_transparent_one_are_the_outline(turns: int) -> None:
    line = np.rot90(row([0, 255, 255, 255, 255], [9, 255, 255, 0, 0]), turns)
    assert contrasts(line) == pytest.approx({"white": 0, "black": 1, "gray": 127 / 255})


def test_the_outline_is_as_many_steps_away_across_corners() -> None:
    pixels = np.zeros((5, 5, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[2, 2, 3] = 0
    steps = np.abs(np.arange(5) - 2)
    near = steps[:, None] + steps <= 2
    pixels[near, :3] = 255
    assert contrasts(pixels) == pytest.approx({"white": 0, "black": 1, "gray": 127 / 255})


def test_the_channel_that_differs_most_counts() -> None:
    found = contrasts(np.array([[[0, 0, 0, 0], [255, 100, 255, 255]]], np.uint8))
    assert found == pytest.approx({"white": 155 / 255, "black": 1, "gray": 127 / 255})


def test_a_drawing_is_lost_where_it_differs_by_less_than_a_tenth() -> None:
    found: list[dict[Background, float]] = [{"white": 0.1, "black": 0.09, "gray": 0.5}]
    assert choose(found) == ("white", {"white": 0, "black": 1, "gray": 0})
    found.append({"white": 0.05, "black": 0.05, "gray": 0.1})
    assert choose(found) == ("gray", {"white": 1, "black": 2, "gray": 0})
    # Of equals the first of white, black and gray.
    assert choose([{"white": 0.0, "black": 0.0, "gray": 0.0}])[0] == "white"
    assert choose([{"white": 0.0, "black": 0.5, "gray": 0.5}])[0] == "black"


def test_a_set_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "d", {"a": (255, 255, 255), "b": (250, 255, 255)}, n=3)
    data = open_source(tmp_path / "d")
    assert with_background(SPEC, data).background == "black"
    monkeypatch.setattr("keensight.data.background.cutout", None)
    assert with_background(SPEC, data).background == "black"
