"""What is decided once for a set (intensity scale, background) is kept in the bundle and predicted with."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from icc_builders import P3, profile
from keensight.cli.main import main
from keensight.core.pixels import decode
from keensight.core.progress import Silent

pytestmark = pytest.mark.slow


def seeded(label: str, i: int) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{label}{i}".encode()))


def train(source: Path, run: Path, **options: object) -> ks.Run:
    return ks.train(
        source, run=run, model="cnn", epochs=1, effort="quick", label_check="no", progress=Silent(), **options
    )


def test_12_bits_of_a_microscope_and_a_note_on_what_is_brighter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, blobs in (("few", 4), ("many", 12)):
        (tmp_path / "cells" / label).mkdir(parents=True)
        for i in range(20):
            rng = seeded(label, i)
            y, x = np.mgrid[:32, :32]
            glow = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 18) for a, b in rng.integers(2, 30, (blobs, 2)))
            values = (100 + 3500 * np.clip(glow, 0, 1) + rng.integers(0, 20, (32, 32))).astype(np.uint16)
            Image.fromarray(values).save(tmp_path / "cells" / label / f"{i}.tif")
    run = train(tmp_path / "cells", tmp_path / "run")
    model = ks.load(run)
    assert (model.spec.black, model.spec.intensity, model.spec.decoder) == (0, 4095, 3)
    settings = (run.path / "config.toml").read_text()
    assert 'intensity = "0,4095"' in settings
    assert "data.background" in settings.partition("# No effect on this run:")[2]
    first = tmp_path / "cells" / "few" / "0.tif"
    other = tmp_path / "bright.tif"
    Image.fromarray(np.asarray(Image.open(first)) * np.uint16(14)).save(other)
    rows = ks.predict(run, [first, other]).rows()
    assert "note" not in rows[0]
    assert "of its gray values are outside 0 to 4,095" in rows[1]["note"]
    opened = ks.predict(model, [Image.open(first)])  # the scale of the set holds for Pillow's images too
    np.testing.assert_allclose(opened.probabilities[0], ks.predict(model, [first]).probabilities[0], atol=1e-6)
    assert main(["predict", str(run.path), str(first), str(other), "--json"]) == 0
    told = capsys.readouterr()
    assert [("note" in row) for row in json.loads(told.out)] == [False, True]
    assert "note on 1 of 2 images" in told.err


def test_white_drawings_are_trained_and_predicted_on_black(tmp_path: Path) -> None:
    for label in ("disc", "bar"):
        (tmp_path / "icons" / label).mkdir(parents=True)
        for i in range(20):
            a, b = seeded(label, i).integers(8, 24, 2)
            y, x = np.mgrid[:32, :32]
            inside = (x - a) ** 2 + (y - b) ** 2 < 40 if label == "disc" else (abs(y - b) < 3) & (abs(x - a) < 9)
            pixels = np.dstack([np.full((32, 32, 3), 255, np.uint8), np.where(inside, 255, 0).astype(np.uint8)])
            Image.fromarray(pixels).save(tmp_path / "icons" / label / f"{i}.png")
    run = train(tmp_path / "icons", tmp_path / "run")
    model = ks.load(run)
    assert model.spec.background == "black"
    raw = (tmp_path / "icons" / "disc" / "0.png").read_bytes()
    assert np.ptp(decode(raw, model.spec)) == 255
    again = train(tmp_path / "icons", tmp_path / "gray", settings={"data.background": "gray"})
    assert ks.load(again).spec.background == "gray"
    assert 'background = "gray"' in (again.path / "config.toml").read_text()


def test_a_photo_with_a_profile_is_predicted_as_its_colors_in_srgb(tmp_path: Path) -> None:
    for label, color in (("red", (200, 60, 50)), ("green", (60, 180, 70))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(20):
            noise = seeded(label, i).integers(-20, 20, (32, 32, 3))
            pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i}.png", icc_profile=profile(P3))
    model = ks.load(train(tmp_path / "photos", tmp_path / "run"))
    raw = tmp_path / "photos" / "green" / "0.png"
    converted = decode(raw.read_bytes(), model.spec)
    ignored = decode(raw.read_bytes(), ks.ImageSpec(*converted.shape[:2], decoder=2))
    assert np.abs(converted.astype(int) - ignored).max() > 10
    np.testing.assert_allclose(
        ks.predict(model, [raw]).probabilities, model.predict_array(converted[np.newaxis]), atol=1e-6
    )
