"""Hostile names on a real terminal: the only control characters that reach it are Keensight's own colors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from store_builders import make_bundle, make_run

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals, and its file names no control characters", allow_module_level=True)
import pty

pytestmark = pytest.mark.slow
NAME = "\x1b[31mred\x1b]0;title\x07\u202egnp\u2066\x9b1m\x7f\u2028"
OWN = re.compile(r"\x1b\[[0-9;]*[mKGABCDHJ]|\x1b\[\?25[lh]|\x1b\[\?2026[lh]")
"""Colors, and the cursor of a progress bar."""
STEERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
NEEDLES = ("\x1b[31mred", "\x1b]0;", "\x9b1m", "\u202e", "\u2066")


def on_a_terminal(*arguments: str | Path) -> str:
    """What a command writes to a terminal that is its standard output and error."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "200", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "keensight", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # Linux says so at the end
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    process.wait()
    return b"".join(pieces).decode("utf-8", "replace")


def check(text: str) -> None:
    assert not [needle for needle in NEEDLES if needle in text], text
    left = OWN.sub("", text)
    assert not STEERS.search(left), (STEERS.findall(left), left)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile") / f"photos {NAME}"
    rng = np.random.default_rng(0)
    for number, label in enumerate((f"cat {NAME}", f"dog {NAME}")):
        (root / label).mkdir(parents=True)
        for i in range(8):
            image = rng.integers(0, 90, (24, 24, 3))
            image[4:16, 4:16, number] += 150
            Image.fromarray(image.astype(np.uint8)).save(root / label / f"{NAME}{i}.png")
        (root / label / f"{NAME}broken.png").write_bytes(b"no image")
        (root / label / f"{NAME}.xyz").write_bytes(b"x")
    return root


def test_an_audit(photos: Path) -> None:
    text = on_a_terminal("inspect", photos)
    check(text)
    assert "\\x1b[31mred" in text and "2 classes" in text


def test_an_audit_as_json(photos: Path) -> None:
    text = on_a_terminal("inspect", photos, "--json", "--quiet")
    check(text)
    assert json.loads(text[text.index("{") :])["schema"] == 1


def test_a_training_that_is_refused(photos: Path, tmp_path: Path) -> None:
    text = on_a_terminal("train", photos, "--run", tmp_path / "r")
    check(text)
    assert "control character" in text


def test_a_list_of_runs_and_a_report_that_cannot_be_made(tmp_path: Path) -> None:
    make_run(tmp_path / f"run {NAME}", name=NAME, source=NAME, model=NAME, command=NAME)
    text = on_a_terminal("runs", tmp_path)
    check(text)
    assert "\\x1b[31mred" in text
    check(on_a_terminal("report", tmp_path / f"run {NAME}"))


def test_a_bundle_with_a_hostile_place_and_a_hostile_extra_file(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / f"bundle {NAME}")
    (bundle.path / f"extra{NAME}.py").write_text("x")
    text = on_a_terminal("verify", bundle.path)
    check(text)
    assert "does not list" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", f"none {NAME}", "x.jpg"), ("inspect", f"none {NAME}"), ("train", f"none {NAME}"), (f"comm{NAME}",),
        ("train", "--set", f"train.{NAME}=1"), ("samples", f"digits {NAME}"), ("evaluate", f"none {NAME}"),
        ("inspect", "--group-regex", f"({NAME}", "."), ("train", ".", "--model", NAME), ("models", NAME),
    ],
    ids=lambda arguments: arguments[0][:10],
)  # fmt: skip
def test_an_error_that_repeats_what_was_typed(arguments: tuple[str, ...], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = on_a_terminal(*arguments)
    check(text)
    assert "error" in text.lower()
