"""Experiment trackers: what a training reports to MLflow, Weights & Biases, TensorBoard or a tracker of your own.

A tracker is chosen by ``NAME`` or ``NAME=PLACE`` (:mod:`keensight.workflow.trackers`). Other packages add one with an
entry point of the group ``keensight.trackers``: its name, and a class or function that takes the place (a text,
possibly empty) and returns a :class:`Tracker`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, TypeAlias, runtime_checkable

from keensight.core.config import RunConfig
from keensight.core.records import Epoch
from keensight.core.sanitize import visible

PATIENCE = 60.0
"""Seconds that a finished run waits for a tracker that has not taken everything yet."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """What a tracker gets to know about a run, or about a study of several runs."""

    name: str
    folder: Path
    """The folder of the run, or of the study."""
    source: str
    """Name of the image set."""
    model: str
    """Name of the architecture; ``auto`` of a study that compares several."""
    seed: int
    command: str = ""
    """What the user typed; may be empty."""
    versions: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Tracker(Protocol):
    """Follows one run. The methods are called in this order, all from one thread; they may block and may fail."""

    def started(self, run: TrackedRun, config: RunConfig) -> None:
        """The settings are decided and training begins; a study: its first trial begins."""
        ...

    def epoch(self, epoch: Epoch) -> None:
        """An epoch has ended; a head that is fitted in one go counts as one."""
        ...

    def finished(self, results: Mapping[str, Any], artifacts: Mapping[str, Path]) -> None:
        """The run is finished.

        Args:
            results: The results as in ``run.json``.
            artifacts: Name to file or folder, such as ``report.html`` and ``bundle``.
        """
        ...

    def failed(self, message: str) -> None:
        """The run failed or was stopped."""
        ...

    def child(self) -> Tracker:
        """A tracker for a trial of this study, to be shown inside it; called after :meth:`started`."""
        ...


Track: TypeAlias = str | Tracker | Sequence[str | Tracker] | None
"""What ``track=`` takes: names, trackers, or both."""


class Tracking:
    """Reports a run to any number of trackers, none of which can delay or end the training.

    Each is called in its own thread. Its first error is reported in one warning, and then it is left alone.

    Args:
        trackers: Names to trackers.
        warn: Shows one line.
    """

    def __init__(self, trackers: Mapping[str, Tracker], warn: Callable[[str], None]) -> None:
        self._seats = [_Seat(_Caller(name), tracker) for name, tracker in trackers.items()]
        self._warn, self._inside = warn, False
        self._run: Path | None = None

    def started(self, run: TrackedRun, config: RunConfig) -> None:
        """See :class:`Tracker`; a run that starts again, with smaller batches, is not told twice."""
        if run.folder == self._run:
            return
        self._run = run.folder
        self._call(lambda tracker: tracker.started(run, config))

    def epoch(self, epoch: Epoch) -> None:
        """See :class:`Tracker`."""
        self._call(lambda tracker: tracker.epoch(epoch))

    def finished(self, results: Mapping[str, Any], artifacts: Mapping[str, Path]) -> None:
        """Report the results, and wait until the trackers have them (of a trial: the study waits in the end)."""
        there = {name: path for name, path in artifacts.items() if path.exists()}
        self._call(lambda tracker: tracker.finished(results, there))
        self._end()

    def failed(self, message: str) -> None:
        """Report why the run did not finish, and wait as after :meth:`finished`."""
        self._call(lambda tracker: tracker.failed(message))
        self._end()

    def child(self) -> Tracking:
        """For a trial of this study."""
        made = Tracking({}, self._warn)
        made._seats, made._inside = [seat.child() for seat in self._seats], True
        return made

    def _call(self, what: Callable[[Tracker], None]) -> None:
        for seat in self._seats:
            seat.call(what)
        self._report()

    def _end(self) -> None:
        if not self._inside:
            for seat in self._seats:
                seat.caller.close()
            self._report()

    def _report(self) -> None:
        for seat in self._seats:
            message = seat.caller.complaint()
            if message is not None:
                self._warn(message)


class _Caller:
    """The thread that makes all calls of one tracker and its children, in order, until one fails."""

    def __init__(self, name: str) -> None:
        self._name, self._error, self._reported = name, "", False
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A daemon: a server that never responds must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"keensight-tracker-{name}", daemon=True)
        self._thread.start()

    def call(self, what: Callable[[], None]) -> None:
        if not self._error:
            self._calls.put(what)

    def close(self) -> None:
        """Wait until all calls are made, within :data:`PATIENCE`."""
        self._calls.put(None)
        self._thread.join(PATIENCE)
        if self._thread.is_alive() and not self._error:
            self._error = f"no response in {PATIENCE:.0f} seconds"

    def complaint(self) -> str | None:
        """What failed, the first time that it is asked for."""
        if not self._error or self._reported:
            return None
        self._reported = True
        return f"training continues without the tracker {self._name}: {self._error}"

    def _work(self) -> None:
        while (what := self._calls.get()) is not None:
            try:
                what()
            except BaseException as error:  # it is another's code, and some of it ends in SystemExit
                told = visible(" ".join(f"{type(error).__name__}: {error}".split()))
                self._error = told if len(told) <= _LONGEST else f"{told[:_LONGEST]} ..."
                return


class _Seat:
    """One tracker of one run, and who calls it."""

    def __init__(self, caller: _Caller, tracker: Tracker | None = None) -> None:
        self.caller, self._tracker = caller, tracker

    def call(self, what: Callable[[Tracker], None]) -> None:
        def work() -> None:
            assert self._tracker is not None, "a child is made before it is called"
            what(self._tracker)

        self.caller.call(work)

    def child(self) -> _Seat:
        made = _Seat(self.caller)

        def adopt(tracker: Tracker) -> None:
            made._tracker = tracker.child()

        self.call(adopt)
        return made


_LONGEST = 300


def epoch_metrics(epoch: Epoch) -> dict[str, float]:
    """The metrics of an epoch by name, as trackers get them."""
    found = {
        "loss": epoch.loss, "accuracy": epoch.accuracy, "val_loss": epoch.val_loss,
        "val_accuracy": epoch.val_accuracy, "val_map": epoch.val_map, "learning_rate": epoch.learning_rate,
    }  # fmt: skip
    return {name: float(value) for name, value in found.items() if value is not None}


def result_metrics(results: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among the results of a run, such as ``test_accuracy`` and ``validation_macro_f1``."""
    found = {"seconds": results.get("seconds")}
    for part in ("test", "validation"):
        scores = results.get(part)
        if isinstance(scores, Mapping):
            found |= {f"{part}_{name}": value for name, value in scores.items()}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
