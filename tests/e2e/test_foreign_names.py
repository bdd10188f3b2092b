"""Names that others chose, and places on this machine, through whole commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ESCAPE, OVERRIDE, BELL = "\x1b[31m", "\u202e", "\a"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plant(root: Path, names: tuple[str, str], n: int = 16) -> None:
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for i in range(n):
            image = rng.integers(0, 90, (24, 24, 3))
            image[4:16, 4:16, number] += 150
            Image.fromarray(image.astype(np.uint8)).save(root / name / f"{ESCAPE}{OVERRIDE}{i}{BELL}.png")
        (root / name / f"{ESCAPE}bad.png").write_bytes(b"no image")
        (root / name / f"{ESCAPE}note.heic").write_bytes(b"x")


def run(*arguments: str | Path, cwd: Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "keensight", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8", env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="its file names cannot contain control characters")
def test_no_control_character_and_no_place_gets_out(tmp_path: Path) -> None:
    home = tmp_path / "home_of_alice"
    root = home / "photos"
    plant(root, ("cat", "dog"))
    where = home / "runs" / "r"
    corrections = home / "fixes.csv"
    corrections.write_text("path,digest,given,action,label\n")
    train = ("train", root, "--model", "cnn", "--epochs", "1", "--image-size", "24", "--run", where,
             "--set", f"data.corrections={corrections}")  # fmt: skip
    image = sorted((root / "cat").glob("*0*.png"))[0]
    commands = (
        ("inspect", root), train, ("predict", where, root), ("predict", where, image, "--json"), ("evaluate", where),
        ("evaluate", where, root), ("explain", where, image, "--out", home / "why"), ("runs", home / "runs"),
        ("report", where),
    )  # fmt: skip
    for command in commands:
        for text in run(*command, cwd=tmp_path):
            assert not STEERS.search(text), (command[0], repr(STEERS.findall(text)))
    shipped = [where / "report.html", *(path for path in (where / "bundle").rglob("*") if path.is_file())]
    for path in shipped:
        data = path.read_bytes()
        assert b"home_of_alice" not in data, path.name
        assert str(tmp_path).encode() not in data, path.name
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                for name in packed.namelist():
                    assert b"home_of_alice" not in packed.read(name), (path.name, name)
    assert "keensight train photos" in (where / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="its file names cannot contain control characters")
def test_class_names_with_control_characters_are_shown_escaped_and_not_trained_on(tmp_path: Path) -> None:
    plant(tmp_path / "photos", (f"cat{ESCAPE}", f"dog{OVERRIDE}{BELL}"))
    for text in run("inspect", "photos", cwd=tmp_path):
        assert not STEERS.search(text)
    done = subprocess.run(
        [sys.executable, "-m", "keensight", "train", "photos", "--run", "r"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert not STEERS.search(done.stderr)
    assert "contains a control character" in done.stderr
    assert not (tmp_path / "r").exists()
