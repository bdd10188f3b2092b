"""The processes of a study's trials, as the study sees them: what it asks of them, and what they report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from keensight import errors
from keensight.core.progress import Phase, Progress
from keensight.errors import KeensightError, TrainingError

Message = dict[str, Any]
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_GOODBYE = 60.0
"""Seconds for a process to save what it has done; then it is killed."""
_TAIL = 400
"""Characters of a process's last lines that explain why it died."""


class TrialProcess:
    """One process that trains trials.

    Args:
        study: Folder of the study.
        number: Number of the process, from 0.
        source: Where the images are; None: where they were when the study began.
        alone: Whether it has all CPU threads; else it has one.
        events: Gets this object and each message; a message of None is the end of the process.
    """

    def __init__(
        self, study: Path, number: int, source: str | None, alone: bool,
        events: SimpleQueue[tuple[TrialProcess, Message | None]],
    ) -> None:  # fmt: skip
        self.number, self.trial = number, -1
        """The trial that it is training; -1: none."""
        self._log = study / f"worker-{number}.log"
        command = [sys.executable, "-m", "keensight.workflow.trial_worker", str(study), *([source] if source else [])]
        here = str(Path(errors.__file__).parents[1])  # the same Keensight, wherever this process has it from
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *_given("PYTHONPATH")])}
        if not alone:
            environment |= dict.fromkeys(_ONE_THREAD, "1")
        # In its own group: Ctrl-C is for the study, which lets its processes save what they have done.
        own: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            own = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, **own
            )
        self._events = events
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, do: str, **message: Any) -> None:
        """Ask for something; of a process that has ended, its end will be reported."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps({"do": do, **message}, allow_nan=False).encode() + b"\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """Tell it that there is no more to do: it saves what it has done and ends."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def wait(self) -> None:
        """Wait until it has ended after :meth:`close`; it is killed if that takes too long."""
        try:
            self._process.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def why_dead(self) -> str:
        """Why it ended without being asked to, in a sentence."""
        code = self._process.wait()
        told = f"its process ended with signal {-code}" if code < 0 else f"its process ended with exit code {code}"
        if code == -9:
            return f"{told}: probably out of memory"
        with suppress(OSError):
            tail = " ".join(self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL:].split())
            told += f": {tail}" if tail else ""
        return told

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with suppress(ValueError):  # half a line of a killed process
                    self._events.put((self, json.loads(line)))
        self._events.put((self, None))


def _given(variable: str) -> list[str]:
    value = os.environ.get(variable)
    return [value] if value else []


Events = SimpleQueue[tuple[TrialProcess, Message | None]]


def next_event(events: Events, seconds: float = 0.5) -> tuple[TrialProcess, Message | None] | None:
    """The next message; None: none has come in that time. Short waits can be interrupted on every system."""
    try:
        return events.get(timeout=seconds)
    except Empty:
        return None


def answer_of(process: TrialProcess, events: Events, progress: Progress) -> Message:
    """Wait for the answer to the only request under way, and show progress meanwhile.

    Raises:
        KeensightError: what the process met, or that it died.
    """
    shown = Relay(progress)
    with shown:
        while True:
            event = next_event(events)
            if event is None or event[0] is not process:
                continue
            message = event[1]
            if message is None:
                raise TrainingError(
                    f"the study cannot go on: {process.why_dead()}", "its folder has the log of each process"
                )
            if message["is"] == "refused":
                raise refusal(message)
            if message["is"] == "done":
                return message
            shown.show(message)


def refusal(message: Mapping[str, Any]) -> KeensightError:
    """An error that another process has met."""
    made: KeensightError = getattr(errors, message["kind"], TrainingError)(message["message"], message["hint"])
    return made


class Relay:
    """Shows the progress of another process; to be used in a ``with`` block.

    Args:
        progress: Where it is shown.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._open: list[tuple[AbstractContextManager[Phase], Phase]] = []

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.pop()[0].__exit__(None, None, None)

    def show(self, message: Mapping[str, Any]) -> None:
        """Show one message; those of another kind are ignored."""
        match message["is"]:
            case "say":
                self._progress.say(message["text"])
            case "detail":
                self._progress.detail(message["text"])
            case "task":
                task = self._progress.task(message["label"], message["total"], message["unit"])
                self._open.append((task, task.__enter__()))
            case "advance" if self._open:
                self._open[-1][1].advance(message["amount"], message["note"] or None)
            case "end" if self._open:
                self._open.pop()[0].__exit__(None, None, None)
