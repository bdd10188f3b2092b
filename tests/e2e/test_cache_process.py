"""``keensight cache`` as its own process: exit code and both streams, whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_runs_process import answered

pytestmark = pytest.mark.slow  # seconds in all
COMMAND = (sys.executable, "-m", "keensight")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the images of two sets, and an empty cache."""
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KEENSIGHT_CACHE_LIMIT", raising=False)
    rng = np.random.default_rng(0)
    for folder in ("birds/heron", "birds/egret", "fish/carp", "fish/pike"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(6):
            image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / folder / f"{number}.png")
    return tmp_path


def keensight(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, check=False,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def state(place: Path) -> dict[str, int]:
    """Bytes of each set in the cache, and the sum of all as ``all``."""
    code, out, err = keensight("cache", "--json", cwd=place)
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["bytes"] == sum(one["bytes"] for one in document["sets"])
    return {one["name"]: one["bytes"] for one in document["sets"]} | {"all": document["bytes"]}


def test_the_cache_is_listed_limited_and_cleared_by_set(place: Path) -> None:
    code, out, err = keensight("cache", cwd=place)
    assert (code, err) == (0, "")
    assert out.startswith(f"0 decoded images (one for each size), 0 bytes in {place / 'cache'}; limit: ")
    assert not (place / "cache").exists()
    for name in ("birds", "fish"):
        assert keensight("inspect", name, cwd=place)[0] == 0
    code, out, err = keensight("cache", cwd=place)
    assert (code, err) == (0, "")
    header, *sets, blank, total = out.splitlines()
    assert header.split() == ["name", "images", "decoded", "features", "all", "last", "used", "source"]
    assert [row.split()[:2] for row in sets] == [["fish", "12"], ["birds", "12"], ["indexes", "and"]]
    assert sets[0].split()[-1] == os.path.realpath(place / "fish")
    assert blank == ""
    assert total.startswith("24 decoded images (one for each size), ")
    before = state(place)
    assert keensight("cache", "clear", "cows", "--yes", cwd=place) == (
        2, "",
        "error: the cache has nothing of cows\nhint: it has: birds, fish, indexes and results of checks\n",
    )  # fmt: skip
    code, out, err = keensight("cache", "clear", "fish", "--yes", "--json", cwd=place)
    assert (code, err) == (0, "")
    assert json.loads(out) == {"schema": 1, "directory": str(place / "cache"), "bytes": before["fish"]}
    assert state(place) == {name: size for name, size in before.items() if name != "fish"} | {
        "all": before["all"] - before["fish"]
    }
    assert keensight("cache", "limit", "1kb", cwd=place) == (0, "limit: 1000 bytes\n", "")
    code, out, err = keensight("inspect", "fish", cwd=place)
    assert code == 0
    assert "the cache may have 0.0 GB, which is too little" in err
    assert "birds" in state(place), "nothing is removed if that would not be enough"
    code, out, err = keensight("cache", "clear", "--yes", cwd=place)
    assert (code, err) == (0, "")
    assert out.startswith("deleted ")
    assert state(place) == {"all": 0}


def test_clearing_everything_needs_yes_where_nobody_can_be_asked(place: Path) -> None:
    assert keensight("inspect", "birds", cwd=place)[0] == 0
    code, out, err = keensight("cache", "clear", cwd=place)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: delete everything from the cache {place / 'cache'} (")
    assert err.endswith(")? This must be confirmed, and nobody can be asked here\nhint: give --yes\n")
    assert state(place)["birds"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are those of POSIX systems")
def test_clearing_asks_on_a_terminal(place: Path) -> None:
    assert keensight("inspect", "birds", cwd=place)[0] == 0
    code, screen = answered(place, b"n\n", "cache", "clear")
    assert (code, screen.splitlines()[-1]) == (0, "nothing was deleted")
    assert state(place)["birds"] > 0
    code, screen = answered(place, b"yes\n", "cache", "clear", "birds")
    assert code == 0
    assert screen.splitlines()[-1].startswith("deleted ")
    assert "birds" not in state(place)


@pytest.mark.parametrize("value", ["lots", "-1", "5 parsecs"])
def test_a_limit_that_is_none_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", value)
    code, out, err = keensight("inspect", "birds", cwd=place)
    assert (code, out) == (2, "")
    told = [line for line in err.splitlines() if not line.startswith(("read", "decoding"))]
    assert told == [
        f"error: KEENSIGHT_CACHE_LIMIT is {value!r}, which is not a size",
        "hint: give for example 50GB, 500MB, 0 or none",
    ]
