"""Locks between processes; the other process is a real one."""

import errno
import os
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
