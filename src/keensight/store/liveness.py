"""The process of a run, and whether it is still alive."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from keensight.core.records import Process

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_STATE, _START = 0, 19
"""Of ``/proc/PID/stat`` (proc(5), fields 3 and 22), counted from the one after the command's closing bracket."""
_ENDED = "ended"
"""In place of a start time: there is no such process, or it has ended and its parent has not asked for it yet."""


def this_process() -> Process:
    """The current process."""
    number = os.getpid()
    return Process(number, platform.node(), _started(number), _boot(), _namespace())


def alive(process: Process) -> bool | None:
    """Whether a process still exists.

    Returns:
        None if it cannot be known here: it is of another computer, of another container on this one, or the system
        does not show it.
    """
    if process.id < 1 or not (_is_here(process) or process.host == platform.node()):
        return None
    before, _, started = process.started.rpartition(" ")  # up to schema 4, the boot ID was in the same field
    boot = process.boot or before
    if boot and _boot() not in ("", boot):
        return False
    if process.namespace and process.namespace != _namespace():
        return None
    now = _started(process.id)
    if now == _ENDED:
        return False
    return True if not (now and started) else now == started


def same_system(process: Process) -> bool:
    """Whether a process is, or was, one of this computer since it was started, in whichever container."""
    return bool(process.boot) and process.boot == _boot()


def _is_here(process: Process) -> bool:
    """Whether a process is of this system, also if its host name has changed since."""
    return same_system(process) and bool(process.namespace) and process.namespace == _namespace()


def _boot() -> str:
    """Identifier of the time since the computer was started; empty if the system has none."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _namespace() -> str:
    """Identifier of the container in which process numbers are unique; empty if the system has none."""
    try:
        return str(_NAMESPACE.readlink())
    except OSError:
        return ""


def _started(number: int) -> str:
    """When a process started, in the system's units; ``ended`` without a living one, empty if it exists but the time is
    not known.
    """
    if sys.platform == "win32":
        return _started_on_windows(number)
    try:
        os.kill(number, 0)  # only a check; on Windows it would end the process
    except (ProcessLookupError, OverflowError):
        return _ENDED
    except OSError:  # it belongs to another user, but exists
        pass
    ask: Callable[[int], str] = _by_stat if sys.platform == "linux" else _by_ps
    return ask(number)


def _by_stat(number: int) -> str:
    try:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    if len(fields) <= _START:
        return ""
    return _ENDED if fields[_STATE] in ("Z", "X") else fields[_START]


def _by_ps(number: int) -> str:
    """As macOS and the BSDs show it."""
    english = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(number)],
            capture_output=True, text=True, timeout=5, check=True, env=english,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    state, *when = done.stdout.split() or [""]
    return _ENDED if state.startswith("Z") else "-".join(when)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _QUERY, _STILL_ACTIVE, _NO_SUCH = 0x1000, 259, 87
    """PROCESS_QUERY_LIMITED_INFORMATION, STILL_ACTIVE, and ERROR_INVALID_PARAMETER for a process that is not there."""

    def _started_on_windows(number: int) -> str:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        handle = kernel.OpenProcess(_QUERY, False, number)
        if not handle:
            return _ENDED if ctypes.get_last_error() == _NO_SUCH else ""
        handle = wintypes.HANDLE(handle)
        code, times = wintypes.DWORD(), [wintypes.FILETIME() for _ in range(4)]
        try:
            if kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value != _STILL_ACTIVE:
                return _ENDED
            known = kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times))
        finally:
            kernel.CloseHandle(handle)
        return str((times[0].dwHighDateTime << 32) + times[0].dwLowDateTime) if known else ""

else:

    def _started_on_windows(number: int) -> str:
        raise NotImplementedError
