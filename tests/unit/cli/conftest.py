"""A working directory with a few images in it, and the command line as a function."""

import json

import numpy as np
import pytest
from PIL import Image

from keensight.cli.main import main


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def photos(place):
    """Two classes of four images; one file is no image, one image is there twice."""
    rng = np.random.default_rng(0)
    for kind in ("cat", "dög"):
        (place / "photos" / kind).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
                place / "photos" / kind / f"{i}.png"
            )
    (place / "photos" / "cat" / "bad.jpg").write_bytes(b"text, not a photo")
    copy = (place / "photos" / "cat" / "0.png").read_bytes()
    (place / "photos" / "dög" / "copy.png").write_bytes(copy)
    return place / "photos"


@pytest.fixture
def answer(place, capsys):
    """``answer("inspect", "photos", code=0)``: what that command prints, where ``place`` is the working directory."""

    def run(*arguments, code=0):
        assert main(list(arguments)) == code
        return capsys.readouterr()

    return run


@pytest.fixture
def document(answer):
    """``document("inspect", "photos")``: what that command prints with ``--json``."""
    return lambda *arguments: json.loads(answer(*arguments, "--json").out)
