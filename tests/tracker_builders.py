"""A study as trackers get it, and what MLflow must keep of it."""

from __future__ import annotations

from pathlib import Path

from keensight.core.config import RunConfig
from keensight.core.records import Epoch
from keensight.core.trackers import TrackedRun, Tracker


def epoch(number: int) -> Epoch:
    return Epoch(number, "train", 4, 1.0, 0.1, 0.7 / number, 0.5, 0.6 / number, 0.55)


def tracked(folder: Path, name: str) -> TrackedRun:
    (folder / name).mkdir()
    return TrackedRun(name, folder / name, "photos", "cnn", 0, "keensight train photos", {"keras": "3.15"})


def follow(tracker: Tracker, folder: Path) -> None:
    """A study with one trial that was completed and one that failed."""
    tracker.started(tracked(folder, "study"), RunConfig())
    first, second = tracker.child(), tracker.child()
    first.started(tracked(folder, "study-0000"), RunConfig().with_values({"train.epochs": 2}))
    second.started(tracked(folder, "study-0001"), RunConfig())
    first.epoch(epoch(1))
    second.epoch(epoch(1))
    first.epoch(epoch(2))
    first.finished({"validation": {"accuracy": 0.875}, "seconds": 3.5}, {})
    second.failed("out of memory")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "manifest.json").write_text("{}")
    (folder / "config.toml").write_text("[train]\n")
    tracker.finished(
        {"test": {"accuracy": 0.75}, "task": "multiclass"},
        {"bundle": folder / "bundle", "config.toml": folder / "config.toml"},
    )


def check_mlflow(place: str) -> None:
    """What :func:`follow` leaves."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(place)
    experiment = client.get_experiment_by_name("photos")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"study", "study-0000", "study-0001"}
    study, first, second = (runs[name] for name in sorted(runs))
    assert [run.info.status for run in (study, first, second)] == ["FINISHED", "FINISHED", "FAILED"]
    assert {run.data.tags["mlflow.parentRunId"] for run in (first, second)} == {study.info.run_id}
    assert second.data.tags["keensight.message"] == "out of memory"
    assert (first.data.params["train.epochs"], second.data.params["train.epochs"]) == ("2", "None")
    assert first.data.metrics["validation_accuracy"] == 0.875 and study.data.metrics["test_accuracy"] == 0.75
    losses = client.get_metric_history(first.info.run_id, "val_loss")
    assert sorted((one.step, round(one.value, 3)) for one in losses) == [(1, 0.6), (2, 0.3)]
    assert {item.path for item in client.list_artifacts(study.info.run_id)} == {"bundle", "config.toml"}
    assert [item.path for item in client.list_artifacts(study.info.run_id, "bundle")] == ["bundle/manifest.json"]
