"""``keensight runs`` as its own process: exit code and both streams, whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store_builders import make_run

pytestmark = [
    pytest.mark.slow,  # seconds in all
    pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals are those of POSIX systems"),
]
COMMAND = (sys.executable, "-m", "keensight")
_TRAINING = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from store_builders import make_run
from keensight.store.run_lock import locked_run
run = make_run(Path("runs/live"))
(run.path / "decisions.json").touch()
with locked_run(run.path):
    run.update(state="training")
    print("training", flush=True)
    sys.stdin.read()
"""


def keensight(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@contextmanager
def training(place: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that works on ``runs/live``."""
    helpers = str(Path(__file__).parents[1])
    child = subprocess.Popen([sys.executable, "-c", _TRAINING, helpers], cwd=place, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "training\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def answered(place: Path, answer: bytes, *arguments: str) -> tuple[int, str]:
    """A command on a terminal, and what is on the screen in the end."""
    import pty

    number, terminal = pty.fork()
    if not number:
        os.chdir(place)
        os.execv(sys.executable, [*COMMAND, *arguments])
    screen = b""
    while b"[y/N] " not in screen:
        screen += os.read(terminal, 1000)
    os.write(terminal, answer)
    try:
        while more := os.read(terminal, 1000):
            screen += more
    except OSError:  # the terminal is closed
        pass
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), screen.decode().replace("\r\n", "\n")


def test_a_run_whose_process_was_killed_is_dead_and_says_how_to_continue(tmp_path: Path) -> None:
    with training(tmp_path) as child:
        code, out, err = keensight("runs", "--json", cwd=tmp_path)
        assert (code, err) == (0, "")
        assert [(row["state"], row["alive"]) for row in json.loads(out)] == [("training", True)]
        code, out, err = keensight("runs", "delete", "runs/live", "--yes", cwd=tmp_path)
        assert (code, out) == (1, "")
        first, second = err.splitlines()
        assert first.startswith(f"error: the run runs/live is in use: process {child.pid} on ")
        assert second == "hint: wait until it has finished, or stop it"
        child.send_signal(signal.SIGKILL)
        child.wait()
    code, out, err = keensight("runs", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "runs/live  dead   insects  cnn    -         -" in out
    assert out.splitlines()[-1] == (
        "runs/live is dead (its process no longer exists: it was killed, or the computer shut down): "
        "`keensight train --resume runs/live` continues it, and `keensight runs delete runs/live` deletes it"
    )
    for command in (["predict", "runs/live", "x.jpg"], ["report", "runs/live"], ["evaluate", "runs/live"]):
        code, out, err = keensight(*command, cwd=tmp_path)
        assert (code, out) == (1, "")
        first, second = err.splitlines()
        assert first.startswith("error: the run runs/live ")
        assert "dead" in first
        assert second == (
            "hint: `keensight train --resume runs/live` continues it, and `keensight runs delete runs/live` deletes it"
        )
    assert keensight("runs", "delete", "runs/live", "--yes", cwd=tmp_path)[0] == 0
    assert list((tmp_path / "runs").iterdir()) == []


def test_delete_asks_on_a_terminal_and_needs_yes_elsewhere(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / "runs" / name).update(state="finished")
    for extra in ([], ["--json"]):
        code, out, err = keensight("runs", "delete", "runs/a", *extra, cwd=tmp_path)
        assert code == 2
        assert err.startswith("error: delete runs/a (")
        assert err.endswith("? This must be confirmed, and nobody can be asked here\nhint: give --yes\n")
        assert (json.loads(out)["error"]["code"] if extra else out) == (2 if extra else "")
    for answer in (b"n\n", b"\n", b"\x04"):
        code, screen = answered(tmp_path, answer, "runs", "delete", "runs/a", "runs/b")
        assert code == 0
        assert screen.endswith("nothing was deleted\n")
        assert screen.startswith("delete runs/a (")
    code, screen = answered(tmp_path, b"\x03", "runs", "delete", "runs/a")
    assert (code, screen.splitlines()[-1]) == (130, "error: interrupted")
    assert (tmp_path / "runs" / "a").is_dir()
    code, screen = answered(tmp_path, b"y\n", "runs", "delete", "runs/a")
    assert code == 0
    assert screen.splitlines()[-1].startswith("deleted runs/a: ")
    assert not (tmp_path / "runs" / "a").exists()


def test_all_or_none_of_several_runs_are_deleted(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a").update(state="finished")
    code, out, err = keensight("runs", "delete", "runs/a", "runs/missing", "--yes", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err == "error: there is no run runs/missing\nhint: `keensight runs` lists the runs there are\n"
    assert (tmp_path / "runs" / "a").is_dir()


def test_rename_and_list(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a").update(state="finished", results={"test": {"accuracy": 0.5, "n": 9}})
    assert keensight("runs", "rename", "runs/a", "b", cwd=tmp_path) == (0, "renamed runs/a to runs/b\n", "")
    code, out, err = keensight("runs", "rename", "runs/b", "c", "--json", cwd=tmp_path)
    assert (code, json.loads(out), err) == (0, {"schema": 1, "run": "runs/c", "was": "runs/b"}, "")
    for command in (["runs"], ["runs", "list"], ["runs", "runs"], ["runs", "list", "runs"]):
        code, out, err = keensight(*command, cwd=tmp_path)
        assert (code, err) == (0, "")
        header, row, blank, total = out.splitlines()
        assert header.split() == ["run", "state", "source", "model", "accuracy", "n", "size", "created"]
        assert row.split()[:6] == ["runs/c", "finished", "insects", "cnn", "0.500", "9"]
        assert blank == ""
        assert total.startswith("1 run, ")
    code, out, err = keensight("runs", "delte", "runs/c", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err == "error: there is no command 'delte'\nhint: did you mean 'delete'?\n"


def test_a_damaged_run_is_listed_as_unreadable_and_not_deleted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "a")
    (run.path / "run.json").write_text("{")
    code, out, err = keensight("runs", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "runs/a  unreadable" in out
    assert out.splitlines()[-1].startswith("runs/a is unreadable (runs/a/run.json is not valid JSON")
    code, out, err = keensight("runs", "delete", "runs/a", "--yes", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("error: runs/a/run.json is not valid JSON")


def test_of_two_processes_that_begin_one_run_exactly_one_gets_it(tmp_path: Path) -> None:
    begin = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from store_builders import make_run\n"
    )
    begin += "import time; time.sleep(max(0.0, float(sys.argv[2]) - time.time())); make_run(Path('run'))"
    helpers, start = str(Path(__file__).parents[1]), str(time.time() + 3)
    children = [
        subprocess.Popen([sys.executable, "-c", begin, helpers, start], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [child.communicate(timeout=120)[1] for child in children]
    assert sorted(child.returncode for child in children) == [0, 1, 1, 1]
    assert sum("run contains a run already" in one for one in told) == 3
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.toml", "run.json"]
