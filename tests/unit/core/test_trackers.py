"""What follows a training can neither delay nor end it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from keensight.core import trackers
from keensight.core.config import RunConfig
from keensight.core.records import Epoch
from keensight.core.trackers import TrackedRun, Tracking, epoch_metrics, result_metrics

RUN = TrackedRun("first", Path("runs/first"), "photos", "cnn", 0)


class Notebook:
    """A tracker that writes down what it gets, and fails where it is told to."""

    def __init__(self, fails: str = "", notes: list[Any] | None = None) -> None:
        self.fails, self.notes = fails, [] if notes is None else notes

    def _note(self, what: str, detail: Any) -> None:
        if what == self.fails:
            raise ConnectionError("the server\nis away")
        self.notes.append((what, detail))

    def started(self, run: TrackedRun, config: RunConfig) -> None:
        self._note("started", run.name)

    def epoch(self, epoch: Epoch) -> None:
        self._note("epoch", epoch.epoch)

    def finished(self, results: Mapping[str, Any], artifacts: Mapping[str, Path]) -> None:
        self._note("finished", sorted(artifacts))

    def failed(self, message: str) -> None:
        self._note("failed", message)

    def child(self) -> Notebook:
        self._note("child", None)
        return Notebook(self.fails, self.notes)


def epoch(number: int) -> Epoch:
    return Epoch(number, "train", 4, 1.0, 0.1, 0.7, 0.5, 0.6, 0.55)


def test_a_tracker_gets_everything_in_order_and_only_files_that_exist(tmp_path: Path) -> None:
    notebook, warnings = Notebook(), []
    tracking = Tracking({"notebook": notebook}, warnings.append)
    tracking.started(RUN, RunConfig())
    for number in range(1, 50):
        tracking.epoch(epoch(number))
    (tmp_path / "config.toml").touch()
    tracking.finished({}, {name: tmp_path / name for name in ("config.toml", "report.html")})
    assert notebook.notes == [
        ("started", "first"), *(("epoch", number) for number in range(1, 50)), ("finished", ["config.toml"])
    ]  # fmt: skip
    assert warnings == []


@pytest.mark.parametrize("fails", ["started", "epoch", "finished"])
def test_a_tracker_that_fails_costs_one_warning_and_is_left_alone(fails: str) -> None:
    broken, whole, warnings = Notebook(fails), Notebook(), []
    tracking = Tracking({"broken": broken, "whole": whole}, warnings.append)
    tracking.started(RUN, RunConfig())
    for number in (1, 2, 3):
        tracking.epoch(epoch(number))
    tracking.finished({}, {})
    assert warnings == ["training continues without the tracker broken: ConnectionError: the server is away"]
    assert [what for what, _ in whole.notes] == ["started", "epoch", "epoch", "epoch", "finished"]
    before = ["started", "epoch", "epoch", "epoch", "finished"]
    assert [what for what, _ in broken.notes] == before[: before.index(fails)]


def test_a_tracker_that_never_responds_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    class Silent(Notebook):
        def epoch(self, epoch: Epoch) -> None:
            released.wait(30)

    monkeypatch.setattr(trackers, "PATIENCE", 0.05)
    warnings: list[str] = []
    tracking = Tracking({"silent": Silent()}, warnings.append)
    tracking.started(RUN, RunConfig())
    tracking.epoch(epoch(1))
    tracking.failed("stopped by the user")
    released.set()
    assert warnings == ["training continues without the tracker silent: no response in 0 seconds"]


@pytest.mark.parametrize(("length", "told"), [(288, "x" * 288), (289, "x" * 288 + " ...")])
def test_the_message_of_a_tracker_is_cut_after_300_characters(length: int, told: str) -> None:
    class Wordy(Notebook):
        def epoch(self, epoch: Epoch) -> None:
            raise ValueError("x" * length)  # with its name 12 more

    warnings: list[str] = []
    tracking = Tracking({"wordy": Wordy()}, warnings.append)
    tracking.epoch(epoch(1))
    tracking.finished({}, {})
    assert warnings == [f"training continues without the tracker wordy: ValueError: {told}"]


def test_a_failure_is_reported_while_the_training_goes_on() -> None:
    warnings: list[str] = []
    tracking = Tracking({"early": Notebook("started")}, warnings.append)
    (thread,) = (one for one in threading.enumerate() if one.name == "keensight-tracker-early")
    tracking.started(RUN, RunConfig())
    thread.join(30)
    tracking.epoch(epoch(1))
    assert len(warnings) == 1
    tracking.finished({}, {})
    assert len(warnings) == 1


def test_a_tracker_that_ends_the_process_ends_only_itself() -> None:
    class Leaving(Notebook):
        def started(self, run: TrackedRun, config: RunConfig) -> None:
            raise SystemExit("no\x1b key")

    warnings: list[str] = []
    tracking = Tracking({"leaving": Leaving()}, warnings.append)
    tracking.started(RUN, RunConfig())
    tracking.failed("stopped")
    assert warnings == ["training continues without the tracker leaving: SystemExit: no\\x1b key"]


def test_a_tracker_has_a_thread_that_cannot_keep_the_process_from_ending() -> None:
    tracking = Tracking({"patient": Notebook()}, print)
    (thread,) = (one for one in threading.enumerate() if one.name == "keensight-tracker-patient")
    assert thread.daemon
    tracking.failed("stopped")
    assert not thread.is_alive()


def test_a_trial_is_over_before_its_study_and_the_study_waits_for_both() -> None:
    held = threading.Event()

    class Slow(Notebook):
        def child(self) -> Notebook:
            held.wait(30)
            return super().child()

    notebook, warnings = Slow(), []
    study = Tracking({"slow": notebook}, warnings.append)
    study.started(RUN, RunConfig())
    trial = study.child()
    trial.started(RUN, RunConfig())
    trial.finished({}, {})  # returns at once, though nothing of the trial was told yet
    assert [what for what, _ in notebook.notes] in ([], ["started"])
    held.set()
    study.finished({}, {})
    assert [what for what, _ in notebook.notes] == ["started", "child", "started", "finished", "finished"]
    assert warnings == []


def test_a_trial_whose_tracker_fails_is_reported_once_with_its_study() -> None:
    warnings: list[str] = []
    study = Tracking({"broken": Notebook("child")}, warnings.append)
    study.started(RUN, RunConfig())
    for trial in (study.child(), study.child()):
        trial.epoch(epoch(1))
        trial.failed("out of memory")
    study.finished({}, {})
    study.finished({}, {})
    assert warnings == ["training continues without the tracker broken: ConnectionError: the server is away"]


def test_trials_are_children_of_a_study_that_began_before_them() -> None:
    notebook, warnings = Notebook(), []
    study = Tracking({"notebook": notebook}, warnings.append)
    study.started(RUN, RunConfig())
    first, second = study.child(), study.child()
    second.failed("out of memory")
    first.finished({}, {})
    study.finished({}, {})
    assert [what for what, _ in notebook.notes] == ["started", "child", "child", "failed", "finished", "finished"]
    assert warnings == []


def test_numbers_are_sent_as_numbers_and_nothing_else_is() -> None:
    several = Epoch(1, "train", 4, 1.0, 0.1, 0.7, 0.5, 0.6, 0.55, 0.4)
    assert epoch_metrics(several) == {
        "loss": 0.7, "accuracy": 0.5, "val_loss": 0.6, "val_accuracy": 0.55, "val_map": 0.4, "learning_rate": 0.1
    }  # fmt: skip
    assert "val_map" not in epoch_metrics(epoch(1))
    results = {
        "seconds": 3,
        "task": "multiclass",
        "test": {"n": 4, "accuracy": 0.5, "caveats": [], "accuracy_ci": [0, 1]},
    }
    assert result_metrics(results) == {"seconds": 3.0, "test_n": 4.0, "test_accuracy": 0.5}
    assert result_metrics({"test": None, "validation": {"reached": True, "n": 2}}) == {"validation_n": 2.0}
    assert result_metrics({}) == {}
    assert result_metrics({"validation": {"macro_f1": 0.25, "auroc": None}}) == {"validation_macro_f1": 0.25}


def test_a_run_that_starts_again_with_smaller_batches_is_told_once() -> None:
    notebook = Notebook()
    tracking = Tracking({"notebook": notebook}, print)
    tracking.started(RUN, RunConfig())
    tracking.started(RUN, RunConfig())
    tracking.failed("stopped")
    assert [what for what, _ in notebook.notes] == ["started", "failed"]
