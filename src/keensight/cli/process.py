"""The command-line process: streams, signals, exit code."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from keensight.core.parallel import in_background
from keensight.errors import InterruptedRun

_PATIENCE, _PAUSE, _TRIES = 1.0, 0.05, 4
"""Seconds after which a lost interrupt is sent again, and for which one waits at most; seconds between its attempts;
attempts until the process exits."""
_FRAGILE = (
    "<frozen importlib._bootstrap>",
    str(Path("keras", "src", "saving", "saving_lib.py")),
    str(Path("tensorflow", "python", "framework", "func_graph.py")),
)
"""Code in which an interrupt waits: compiled modules that are being imported crash or make another error of it, and the
other two catch every exception and go on in another way."""
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
    """Ctrl-C, SIGTERM and SIGHUP all interrupt: completed work is kept, and the process ends.

    It waits while a module is imported, a network is read, or a graph is traced. It can get lost in a destructor, or
    while a framework is being imported in the background, because the import swallows it or waits for a lock. In these
    cases it is sent again, and finally the process exits anyway: there is nothing to keep yet. Later, code decides what
    to keep, which can take some seconds.
    """

    def __init__(self) -> None:
        self._first = 0.0
        """Time of the first interrupt; 0: none came."""
        self._number = signal.SIGINT
        self._sending = False
        self._answered = threading.Event()

    def install(self) -> None:
        """Handle the signals of this process, and silence what an interrupt breaks."""
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup keeps SIGHUP ignored
                signal.signal(number, self._interrupt)
        sys.unraisablehook = self._or_again(sys.unraisablehook)
        threading.excepthook = _unless(self._answered, threading.excepthook)

    def answered(self) -> bool:
        """The command line has ended; further interrupts are ignored.

        Returns:
            Whether one came before.
        """
        self._answered.set()
        return self._first > 0

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._answered.is_set():
            return
        self._first = self._first or time.monotonic()
        self._number = signal.Signals(number)
        if self._waited() < _PATIENCE and _inside(_FRAGILE, frame):
            self._again(_PAUSE)
            return
        if in_background():
            self._again(_PATIENCE)
        raise KeyboardInterrupt

    def _waited(self) -> float:
        return time.monotonic() - self._first

    def _again(self, after: float) -> None:
        """Send the interrupt again, unless the command has ended by then."""
        if self._sending:
            return
        timer = threading.Timer(after, self._send)
        timer.daemon, timer.name = True, "keensight-interrupt"
        self._sending = True
        with suppress(RuntimeError):  # Python is already exiting
            timer.start()

    def _send(self) -> None:
        self._sending = False
        if self._answered.is_set():
            return
        if self._waited() > _TRIES * _PATIENCE:
            _say_interrupted()
            os._exit(InterruptedRun.exit_code)
        os.kill(os.getpid(), self._number)

    def _or_again(self, hook: Callable[[Any], None]) -> Callable[[Any], None]:
        """A hook for exceptions that nothing can catch: an interrupt among them is sent again."""

        def told(unraisable: Any) -> None:
            if isinstance(unraisable.exc_value, KeyboardInterrupt):
                self._again(_PAUSE)
            else:
                hook(unraisable)

        return told


def _inside(files: tuple[str, ...], frame: FrameType | None) -> bool:
    """Whether a frame, or one that called it, is of one of these files."""
    while frame is not None:
        if frame.f_code.co_filename.endswith(files):
            return True
        frame = frame.f_back
    return False


def _say_interrupted() -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write("error: interrupted\n")
        sys.stderr.flush()


def _unless(silent: threading.Event, hook: Callable[[Any], object]) -> Callable[[Any], None]:
    def told(args: Any) -> None:
        if not silent.is_set():
            hook(args)

    return told
