"""Locks between processes; the other process is a real one."""

import errno
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keensight.core import locks
from keensight.core.locks import holder, lock, locked
from keensight.errors import StoreError

_HOLD = """
import sys, time
from pathlib import Path
from keensight.core.locks import lock
print("held" if lock(Path(sys.argv[1])) else "refused", flush=True)
sys.stdin.read()
"""


@contextmanager
def another(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a lock until its input ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def test_a_lock_is_exclusive_within_a_process_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with locked(path) as first:
        with locked(path) as second:
            assert (first, second) == (True, False)
        assert path.is_file()
        assert str(holder(path)).startswith("process ")
    assert not path.exists()
    assert holder(path) == "another process"


def test_another_process_has_it_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with another(path) as child:
        assert lock(path) is None
        assert lock(path, wait=0.1) is None
        assert holder(path).startswith(f"process {child.pid} on ")
        child.kill()
        child.wait()
        assert path.is_file()
        found = lock(path)
        assert found is not None
        found.release()
    assert not path.exists()


def test_waiting_ends_when_the_other_one_does(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with another(path) as child:
        threading.Timer(0.3, child.kill).start()
        begun = time.monotonic()
        found = lock(path, wait=60)
        assert found is not None
        assert time.monotonic() - begun < 30
        found.release()


def test_many_threads_never_hold_it_at_once(tmp_path: Path) -> None:
    path, inside, seen = tmp_path / "x.lock", [], []

    def work() -> None:
        for _ in range(20):
            found = lock(path, wait=60)
            assert found is not None
            inside.append(1)
            seen.append(len(inside))
            inside.pop()
            found.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 80


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be replaced on Windows")
def test_a_lock_whose_file_was_replaced_removes_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    first = lock(path)
    path.unlink()
    second = lock(path)
    assert first is not None
    assert second is not None
    first.release()
    assert path.is_file()
    second.release()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "x.lock").symlink_to("mine")
    with pytest.raises(StoreError, match=r"cannot write .*x\.lock"):
        lock(tmp_path / "x.lock")
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="the call that is replaced is POSIX's")
def test_where_a_file_system_has_no_locks_it_always_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(locks.errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path / "x.lock") as held:
        assert held
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(locks.errno.EIO, "broken")))
    with pytest.raises(OSError, match="broken"):
        lock(tmp_path / "x.lock")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_file_that_may_only_be_read_is_locked_and_a_link_to_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse_to_write(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, mode)

    path = tmp_path / "x.lock"
    monkeypatch.setattr(os, "open", refuse_to_write)
    with pytest.raises(StoreError, match="Permission denied"):
        lock(path)
    path.write_text("123 elsewhere")
    with locked(path) as first, locked(path) as second:
        assert (first, second) == (True, False)
        assert holder(path) == "process 123 on elsewhere"
    (tmp_path / "link.lock").symlink_to(tmp_path / "another")
    (tmp_path / "another").touch()
    with pytest.raises(StoreError, match=r"cannot write .*link\.lock"):
        lock(tmp_path / "link.lock")


def _replaced_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes on only while something sleeps; what was slept."""
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 100 + sum(slept))
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_without_a_time_to_wait_it_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path / "x.lock"):
        slept = _replaced_clock(monkeypatch)
        assert lock(tmp_path / "x.lock") is None
        with locked(tmp_path / "x.lock") as held:
            assert not held
        assert slept == []


def test_waiting_takes_about_the_time_that_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path / "x.lock"):
        slept = _replaced_clock(monkeypatch)
        assert lock(tmp_path / "x.lock", wait=0.5) is None
        assert 0.5 <= sum(slept) + 1e-9 < 0.7


@pytest.mark.skipif(sys.platform == "win32", reason="the call that is replaced is POSIX's")
def test_a_file_that_its_last_holder_removes_meanwhile_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    path, flock, calls = tmp_path / "x.lock", fcntl.flock, []

    def late(descriptor: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            path.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    found = lock(path)
    assert found is not None and len(calls) == 2
    assert path.is_file()
    assert lock(path) is None
    found.release()


def test_its_file_has_its_holder_and_notes_and_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text(f"123 elsewhere{'.' * 500}\nan old note\n")
    found = lock(path)
    assert found is not None
    if sys.platform != "win32":  # where what is locked can be read
        assert holder(path) == f"process {os.getpid()} on {platform.node()}"
    found.note("first\n")
    found.note("second\n")
    if sys.platform != "win32":
        assert holder(path) == f"process {os.getpid()} on {platform.node()}"
        assert path.read_text().splitlines() == [f"{os.getpid()} {platform.node()}", "first", "second"]
    found.release()


@pytest.mark.parametrize("content", ["", "123", "somebody elsewhere", "\n", "12x pc"])
def test_a_file_that_does_not_say_who_has_it_is_another_process(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text(content)
    assert holder(path) == "another process"
    path.write_text("123 my computer\n")
    assert holder(path) == "process 123 on my computer"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="lists the open files of a process")
def test_no_file_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened() -> int:
        return sum(str(one.resolve()).startswith(str(tmp_path)) for one in Path("/proc/self/fd").iterdir())

    with locked(tmp_path / "x.lock"):
        assert lock(tmp_path / "x.lock") is None
        assert opened() == 1
    assert opened() == 0
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(OSError, match="broken"):
        lock(tmp_path / "x.lock")
    assert opened() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_other_users_of_a_shared_folder_may_take_a_lock(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with locked(tmp_path / "x.lock"):
            assert (tmp_path / "x.lock").stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)
