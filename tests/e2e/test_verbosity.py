"""``--quiet`` and ``--verbose`` as processes: exit code and both streams, whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # seconds in all


def keensight(*arguments, cwd):
    command = [sys.executable, "-m", "keensight", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, timeout=300)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with the image set ``set``: dark and bright images."""
    folder = tmp_path_factory.mktemp("verbosity")
    rng = np.random.default_rng(0)
    for number, label in enumerate(("dark", "bright")):
        (folder / "set" / label).mkdir(parents=True)
        for i in range(15):
            image = rng.integers(0, 90, (48, 48, 3)) + 120 * number
            Image.fromarray(image.astype(np.uint8)).save(folder / "set" / label / f"{i}.png")
    return folder


def test_quiet_leaves_the_result_alone_before_and_after_the_command(place):
    loud = keensight("inspect", "set", cwd=place)
    assert loud[0] == 0
    assert "reading" in loud[2]
    for arguments in (("inspect", "set", "--quiet"), ("--quiet", "inspect", "set")):
        assert keensight(*arguments, cwd=place) == (0, loud[1], "")


def test_quiet_keeps_errors(place):
    code, out, err = keensight("inspect", "nowhere", "--quiet", cwd=place)
    assert (code, out) == (1, "")
    assert [line.partition(": ")[0] for line in err.splitlines()] == ["error", "hint"]
    assert err.startswith("error: nowhere does not exist\n")


def test_quiet_and_verbose_exclude_each_other(place):
    told = (2, "", "error: --quiet and --verbose exclude each other\nhint: give one of them\n")
    assert keensight("inspect", "set", "--quiet", "--verbose", cwd=place) == told
    assert keensight("--verbose", "inspect", "set", "--quiet", cwd=place) == told


DETAILS = ("CPU threads: ", "precision: ", "frozen layers run on ", "classifier head: regularization C = ")


@pytest.mark.slow
def test_only_verbose_shows_technical_details_and_the_log_has_them_always(place):
    arguments = ("train", "set", "--effort", "quick", "--model", "efficientnet_lite0", "--json")
    quiet = keensight(*arguments, "--run", "quiet", "--quiet", cwd=place)
    normal = keensight(*arguments, "--run", "normal", cwd=place)
    verbose = keensight(*arguments, "--run", "verbose", "--verbose", cwd=place)
    assert [code for code, _, _ in (quiet, normal, verbose)] == [0, 0, 0]
    assert quiet[2] == ""
    assert json.loads(quiet[1])["test"] == json.loads(normal[1])["test"]
    shown = [detail for detail in DETAILS if detail in verbose[2]]
    assert {"CPU threads: ", "frozen layers run on ", "classifier head: regularization C = "} <= set(shown)
    assert not any(detail in normal[2] for detail in DETAILS)
    assert "classifier head fitted: cross-validated accuracy" in normal[2]
    for run in ("quiet", "normal", "verbose"):
        log = (place / run / "log.txt").read_text(encoding="utf-8")
        assert all(detail in log for detail in shown)
