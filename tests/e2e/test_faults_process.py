"""Commands as processes on machines that lack something: space, a home folder, permissions, a locale, a reader."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals, limits and mounts are those of POSIX systems"),
]
COMMAND = (sys.executable, "-m", "keensight")


def images(folder: Path, labels: tuple[str, ...] = ("day", "night"), each: int = 12, side: int = 16) -> Path:
    rng = np.random.default_rng(0)
    for number, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for i in range(each):
            image = rng.integers(0, 120, (side, side, 3)) + 110 * number
            Image.fromarray(image.astype(np.uint8)).save(folder / label / f"é {i}.png")
    return folder


def keensight(*arguments: object, cwd: Path, **options: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, timeout=600, check=False, **options
    )  # type: ignore[call-overload]
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def refused(code: int, err: str) -> str:
    """The one sentence of an error; anything else fails."""
    told = [line for line in err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert code == 1, err
    assert [line.partition(":")[0] for line in told] == ["error", "hint"], err
    assert "Traceback" not in err
    assert "this is a bug" not in err
    return told[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only the superuser may mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_a_sentence_and_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    code, out, err = keensight("samples", "digits", small_disk / "digits", cwd=tmp_path)
    assert "the disk is full" in refused(code, err)
    assert out == ""
    assert list(small_disk.iterdir()) == []
    code, _, err = keensight("samples", "digits", tmp_path / "digits", cwd=tmp_path)
    assert code == 0, err


def test_a_full_cache_costs_speed_only(small_disk: Path, tmp_path: Path) -> None:
    images(tmp_path / "set", each=40, side=64)
    environment = {**os.environ, "KEENSIGHT_CACHE": str(small_disk / "cache")}
    code, out, err = keensight("inspect", "set", "--json", cwd=tmp_path, env=environment)
    assert code == 0, err
    assert json.loads(out)["counts"] == {"day": 40, "night": 40}
    assert not list(small_disk.rglob("*.rows"))  # nothing half-written


def test_files_that_may_not_grow_are_a_sentence(tmp_path: Path) -> None:
    images(tmp_path / "set")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # noqa: E731
    code, _, err = keensight("inspect", "set", "--out", "found", cwd=tmp_path, preexec_fn=limit)
    assert "File too large" in refused(code, err)
    whole = [path for path in (tmp_path / "found").rglob("*") if path.is_file()]
    assert all(path.stat().st_size < 2000 for path in whole)
    assert not [path for path in whole if path.name.startswith(".")]
    code, _, err = keensight("inspect", "set", "--out", "found", cwd=tmp_path)
    assert code == 0, err


def test_the_c_locale_reads_names_as_others_do(tmp_path: Path) -> None:
    images(tmp_path / "set", ("Ñandú", "日本"))
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, out, err = keensight("inspect", "set", "--json", cwd=tmp_path, env=environment)
    assert code == 0, err
    assert json.loads(out)["counts"] == {"Ñandú": 12, "日本": 12}
    assert "Traceback" not in err


def unprivileged() -> list[str]:
    """A prefix that runs a command as a user without rights, name or home."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only the superuser can become another user, by setpriv")
    prefix = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    if subprocess.run([*prefix, sys.executable, "-c", "pass"], capture_output=True, check=False).returncode:
        pytest.skip("other users may not run this Python")
    return prefix


def test_a_user_without_home_and_rights_reads_a_set_and_is_told_where_runs_cannot_go(tmp_path: Path) -> None:
    prefix = unprivileged()
    images(tmp_path / "set")
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "KEENSIGHT_CACHE")}
    given = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "check": False}
    done = subprocess.run([*prefix, *COMMAND, "inspect", "set", "--json"], **given)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 24
    done = subprocess.run([*prefix, *COMMAND, "train", "set", "--model", "cnn"], **given)  # type: ignore[call-overload]
    assert "cannot write" in refused(done.returncode, done.stderr)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "keensight-cache") == ["set"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after", [0.2, 1.0, 2.5])
def test_an_interrupted_audit_is_one_sentence_and_the_next_one_works(tmp_path: Path, number: int, after: float) -> None:
    images(tmp_path / "set", each=150, side=64)
    process = subprocess.Popen(
        [*COMMAND, "inspect", "set", "--out", "found"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(after)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    text = err.decode()
    # On a busy machine, Python may still be starting; nothing of ours can be said then.
    begun = process.returncode != -number or "in command" in text
    assert process.returncode in (0, 130) or not begun, text  # it may have been quicker
    if process.returncode == 130:
        assert sum(line.startswith("error: ") for line in text.splitlines()) == 1, text
        assert "Traceback" not in text
    assert not list(tmp_path.glob("found/**/.*"))  # nothing half-written is left
    code, _, text = keensight("inspect", "set", "--out", "found", cwd=tmp_path)
    assert code == 0, text


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    images(tmp_path / "set")
    shell = f"{' '.join(COMMAND)} inspect set | head -1"
    done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "error" not in done.stderr
    assert "Traceback" not in done.stderr
