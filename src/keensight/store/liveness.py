"""The process of a run, and whether it is still alive."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from keensight.core.records import Process

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STATE, _START = 0, 19
"""Of ``/proc/PID/stat`` (proc(5), fields 3 and 22), counted from the one after the command's closing bracket."""


def this_process() -> Process:
    """The current process."""
    return Process(os.getpid(), platform.node(), _since(_stat(os.getpid())))


def gone(process: Process) -> bool:
    """Whether a process has certainly ended; False for another machine or if the system does not show it."""
    if process.host != platform.node() or os.name != "posix" or process.id < 1:
        return False
    try:
        os.kill(process.id, 0)  # only a check; on Windows it would end the process
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it belongs to another user, but exists
        pass
    now = _stat(process.id)
    return bool(now) and (now[_STATE] == "Z" or (bool(process.started) and _since(now) != process.started))


def _stat(number: int) -> list[str]:
    """The system's information about a process; empty if there is none."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
    return fields if len(fields) > _START else []


def _since(stat: list[str]) -> str:
    """When a process started, as boot ID and clock ticks since boot; empty if unknown."""
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()} {stat[_START]}" if stat else ""
    except (OSError, ValueError):
        return ""
