"""Which process a run belongs to, and whether it is still there."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from keensight.core.records import Process

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STATE, _START = 0, 19
"""Of ``/proc/PID/stat`` (proc(5), fields 3 and 22), counted from the one after the command's closing bracket."""


def this_process() -> Process:
    """The process that asks."""
    return Process(os.getpid(), platform.node(), _since(_stat(os.getpid())))


def gone(process: Process) -> bool:
    """Whether a process is surely there no more; never of another machine, nor where the system cannot tell."""
    if process.host != platform.node() or os.name != "posix" or process.id < 1:
        return False
    try:
        os.kill(process.id, 0)  # asks only; on Windows it would end the process
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it is somebody else's, but there
        pass
    now = _stat(process.id)
    return bool(now) and (now[_STATE] == "Z" or (bool(process.started) and _since(now) != process.started))


def _stat(number: int) -> list[str]:
    """What the system tells of a process; empty where it tells nothing."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
    return fields if len(fields) > _START else []


def _since(stat: list[str]) -> str:
    """When a process started, as boot and clock ticks since then; empty where the system does not tell."""
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()} {stat[_START]}" if stat else ""
    except (OSError, ValueError):
        return ""
