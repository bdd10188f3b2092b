"""The process: ``keensight`` and ``python -m keensight`` begin here, and every way out of it leads here."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def command() -> None:
    """What the shell calls: run this process' command line and end the process.

    Nothing but the standard library is imported before Ctrl-C has a handler, so that it never shows a traceback.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _leave)
    from keensight.cli.process import run

    run()


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: nothing has begun yet."""
    if sys.stderr is not None:
        sys.stderr.write("error: interrupted\n")
        sys.stderr.flush()
    os._exit(130)


if __name__ == "__main__":
    command()
