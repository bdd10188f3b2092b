"""Locks between processes, by files that the operating system locks: when a process ends, however it ends, the system
releases its locks, so that no stale one is left.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from keensight.core.files import storing

_PAUSE = 0.05
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_BEYOND = 1 << 30
"""Offset of the byte that is locked on Windows, where nobody can read what is locked; the content is before it."""
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that is held by this process until it is released, or the process ends."""

    path: Path
    _descriptor: int

    def note(self, text: str) -> None:
        """Append text to the file, for others to read."""
        with storing(self.path):
            os.write(self._descriptor, text.encode("utf-8"))

    def release(self) -> None:
        """Let others have it, and remove its file."""
        # While it is still locked, so that nobody can have locked the file that is removed; but Windows removes no open
        # file.
        if sys.platform != "win32" and _is_at(self._descriptor, self.path):
            with suppress(OSError):  # an empty file stays, which anyone can lock
                self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        if sys.platform == "win32":
            with suppress(OSError):  # it is already held by another one
                self.path.unlink()


def lock(path: Path, wait: float = 0.0) -> Lock | None:
    """Lock a file, which is created if it does not exist.

    The lock is exclusive, between processes and within one. Where a file system has no locks, it always succeeds.

    Args:
        path: The file; symbolic links are not followed.
        wait: Seconds to try again for, if another process or thread has the lock.

    Returns:
        The lock; None: another one has it (:func:`holder` tells who).

    Raises:
        StoreError: the file cannot be opened.
    """
    until = time.monotonic() + wait
    while True:
        descriptor = _open(path)
        try:
            locked = _take(descriptor)
            if locked and _is_at(descriptor, path):
                _write_holder(descriptor)
                return Lock(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not locked:  # else its last holder has just removed it
            if time.monotonic() >= until:
                return None
            time.sleep(_PAUSE)


@contextmanager
def locked(path: Path, wait: float = 0.0) -> Iterator[bool]:
    """Hold a lock in a ``with`` block, which gets False if another one has it."""
    found = lock(path, wait)
    try:
        yield found is not None
    finally:
        if found is not None:
            found.release()


def holder(path: Path) -> str:
    """Who has, or had last, a lock: ``process 123 on my-computer``."""
    try:
        first = path.read_text(encoding="utf-8", errors="replace").strip().partition("\n")[0]  # then come notes
    except OSError:
        return "another process"
    number, _, host = first.partition(" ")
    return f"process {number} on {host}" if number.isdigit() and host else "another process"


def _open(path: Path) -> int:
    with storing(path):
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | _NOFOLLOW, 0o666)
        except PermissionError:  # another user's, in a shared folder; locking it needs no more than reading
            if not path.exists():
                raise
            return os.open(path, os.O_RDONLY | _NOFOLLOW)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def _write_holder(descriptor: int) -> None:
    with suppress(OSError):  # it only serves messages
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} {platform.node()}\n".encode())


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        os.lseek(descriptor, _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return error.errno in _UNSUPPORTED
        return True

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        return True
