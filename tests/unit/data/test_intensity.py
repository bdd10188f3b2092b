from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.core.records import ImageSpec
from keensight.data.audit.audit import audit
from keensight.data.cache import prepare
from keensight.data.intensity import with_intensity
from keensight.data.sources.readers import open_source
from keensight.workflow import image_spec

SPEC = ImageSpec(16, 16)


def ramps(folder: Path, high: float, kind: type, n: int = 6) -> None:
    folder.mkdir(parents=True)
    for i in range(n):
        values = np.roll(np.linspace(0, high, 256), 16 * i).reshape(16, 16).astype(kind)
        Image.fromarray(values).save(folder / f"{i}.tif")


@pytest.mark.parametrize(
    ("kind", "dark", "bright", "white"), [(np.uint16, 1000, 4000, 4095.0), (np.float32, 0.25, 1.02, 1.02)]
)
def test_one_scale_for_a_set_keeps_what_tells_images_apart(
    tmp_path: Path, kind: type, dark: float, bright: float, white: float
) -> None:
    ramps(tmp_path / "dark", dark, kind)
    ramps(tmp_path / "light", bright, kind)
    data = open_source(tmp_path)
    spec = with_intensity(SPEC, data)
    assert spec.intensity == pytest.approx(white, rel=0.01)
    assert spec.key != SPEC.key
    pixels = prepare(data, spec)
    means = pixels.take(range(12)).reshape(12, -1).mean(axis=1)
    expected = 255 / 2 * np.repeat([dark, bright], 6) / white
    assert means == pytest.approx(expected, abs=1.5)
    (finding,) = [finding for finding in audit(data, pixels).findings if finding.kind == "intensity"]
    assert finding.severity == "info"
    assert "12 images have more than 8 bits: " in finding.message
    assert "becomes white in all of them" in finding.message


def test_the_first_choice_of_an_input_has_the_scale(tmp_path: Path) -> None:
    ramps(tmp_path / "a", 900, np.uint16)
    ramps(tmp_path / "b", 3000, np.uint16)
    assert image_spec(open_source(tmp_path)) == ImageSpec(16, 16, intensity=4095.0)


def test_integers_and_floats_share_no_scale_which_is_a_warning(tmp_path: Path) -> None:
    ramps(tmp_path / "a", 900, np.uint16)
    ramps(tmp_path / "b", 1, np.float32)
    data = open_source(tmp_path)
    assert with_intensity(SPEC, data) == SPEC
    (finding,) = [finding for finding in audit(data, prepare(data, SPEC)).findings if finding.kind == "intensity"]
    assert (finding.severity, finding.count) == ("warning", 12)


def test_images_of_8_bits_have_no_scale(tmp_path: Path) -> None:
    ramps(tmp_path / "a", 200, np.uint8)
    ramps(tmp_path / "b", 100, np.uint8)
    data = open_source(tmp_path)
    assert with_intensity(SPEC, data) == SPEC
    assert not [finding for finding in audit(data, prepare(data, SPEC)).findings if finding.kind == "intensity"]


def test_without_its_images_at_hand_a_set_has_no_scale(tmp_path: Path) -> None:
    ramps(tmp_path / "a", 900, np.uint16)
    ramps(tmp_path / "b", 900, np.uint16)
    assert with_intensity(SPEC, dataclasses.replace(open_source(tmp_path), reader=None)) == SPEC
