"""The command-line process: streams, signals, exit code."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from keensight.core.parallel import in_background
from keensight.errors import InterruptedRun

_PATIENCE = 1.0
"""Seconds after which an unhandled interrupt is sent again."""
_TRIES = 4
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


def run() -> NoReturn:
    """Run the command line of this process, and end the process with its exit code."""
    _open_missing_streams()
    from keensight.cli.main import main  # during this import, an interrupt still ends the process at once

    interrupts = Interrupts()
    try:
        interrupts.install()
        code = main(on_end=interrupts.answered)
    except KeyboardInterrupt:  # just before or after the command
        interrupts.answered()
        _say_interrupted()
        code = InterruptedRun.exit_code
    end(code)


def end(code: int) -> NoReturn:
    """End the process.

    Python's normal exit destroys TensorFlow's modules object by object, which takes over a second for nothing: what has
    to happen at exit is done here, and the process ends. While a framework is still being imported in the background
    even that must be skipped, because the import would fail with a traceback.
    """
    code = _flush(code)
    if not in_background():
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    os._exit(code)


def _flush(code: int) -> int:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output (such as `head`) has left
        code = code or 1
    except OSError as error:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"error: standard output cannot be written: {error.strerror or error}\n")
        code = code or 1
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    return code


def _open_missing_streams() -> None:
    """Reopen descriptors 0 to 2 if the caller closed them: otherwise a library might write messages into a file."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP all interrupt: completed work is kept, and the process ends. While a framework is
    being imported, an interrupt can get lost, because the import swallows it or waits for a lock. An unhandled one is
    sent again then, and finally the process exits anyway: there is nothing to keep yet. Later, code decides what to
    keep, which can take some seconds.
    """

    def __init__(self) -> None:
        self._answered = threading.Event()

    def install(self) -> None:
        """Handle the signals of this process, and silence what an interrupt breaks."""
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup keeps SIGHUP ignored
                signal.signal(number, self._interrupt)
        sys.unraisablehook = _unless_interrupt(sys.unraisablehook)
        threading.excepthook = _unless(self._answered, threading.excepthook)

    def answered(self) -> None:
        """An interrupt has reached the command line, which now ends by itself."""
        self._answered.set()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._answered.is_set():
            return
        if in_background():
            watch = threading.Thread(target=self._insist, args=(number,), name="keensight-interrupt", daemon=True)
            with suppress(RuntimeError):  # Python is already exiting
                watch.start()
        raise KeyboardInterrupt

    def _insist(self, number: int) -> None:
        if self._answered.wait(_PATIENCE):
            return
        for _ in range(_TRIES):
            os.kill(os.getpid(), number)
            if self._answered.wait(_PATIENCE):
                return
        _say_interrupted()
        os._exit(InterruptedRun.exit_code)


def _say_interrupted() -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write("error: interrupted\n")
        sys.stderr.flush()


def _unless_interrupt(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    def told(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            hook(unraisable)

    return told


def _unless(silent: threading.Event, hook: Callable[[Any], object]) -> Callable[[Any], None]:
    def told(args: Any) -> None:
        if not silent.is_set():
            hook(args)

    return told
