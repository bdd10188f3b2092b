"""The built-in trackers write what their own programs read, and unknown ones are refused by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from keensight.core.config import RunConfig
from keensight.errors import UsageError
from keensight.workflow import trackers
from keensight.workflow.trackers import opened, tracking
from tracker_builders import check_mlflow, epoch, follow, tracked


@pytest.mark.slow
def test_tensorboard_reads_its_events(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    follow(opened("tensorboard"), tmp_path)
    trial = EventAccumulator(str(tmp_path / "study" / "tensorboard" / "study-0000"))
    trial.Reload()
    losses = trial.Scalars("val_loss")
    assert [(one.step, round(one.value, 3)) for one in losses] == [(1, 0.6), (2, 0.3)]
    assert trial.Scalars("validation_accuracy")[0].value == 0.875
    known = trial.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"train.epochs" in known and b"study-0000" in known
    study = EventAccumulator(str(tmp_path / "study" / "tensorboard"))
    study.Reload()
    assert study.Scalars("test_accuracy")[0].value == 0.75


def test_tensorboard_writes_where_it_is_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    follow(opened(f"tensorboard={tmp_path / 'events'}"), tmp_path)
    found = {path.parent.relative_to(tmp_path / "events").as_posix() for path in tmp_path.rglob("*.keensight")}
    assert found == {"study", "study/study-0000", "study/study-0001"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of SQLAlchemy, for MLflow
def test_mlflow_keeps_a_study_with_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a local database, as without a server."""
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    pytest.importorskip("sqlalchemy", reason="a local database of MLflow needs SQLAlchemy")
    monkeypatch.chdir(tmp_path)
    follow(opened(f"mlflow=sqlite:///{tmp_path / 'mlflow.db'}"), tmp_path)
    check_mlflow(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_a_server_that_is_away_costs_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    warnings: list[str] = []
    follower = tracking("mlflow=http://127.0.0.1:9", warnings.append)  # the port that discards
    follower.started(tracked(tmp_path, "first"), RunConfig())
    follower.epoch(epoch(1))
    follower.finished({}, {})
    assert len(warnings) == 1 and warnings[0].startswith("training continues without the tracker mlflow: ")


def test_another_package_adds_a_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "diary.py").write_text(
        "class Diary:\n    def __init__(self, place=''):\n        self.place = place\n\n"
        "def away(place):\n    raise OSError('no network')\n"
    )
    info = tmp_path / "diary-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: diary\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[keensight.trackers]\ndiary = diary:Diary\ntorn = diary:missing\naway = diary:away\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found: Any = opened("diary=here")
    assert type(found).__name__ == "Diary" and found.place == "here"
    with pytest.raises(UsageError, match="'torn' cannot be loaded") as caught:
        opened("torn")
    assert caught.value.hint == "reinstall the package diary"
    with pytest.raises(UsageError, match="the tracker 'away' does not start: no network"):
        opened("away")
    sys.modules.pop("diary", None)


@pytest.mark.parametrize(
    ("track", "hint"), [("mlfow", "did you mean 'mlflow'?"), ("x", "available: mlflow, tensorboard, wandb")]
)
def test_an_unknown_tracker_is_refused_with_the_nearest(track: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        tracking(track, print)
    assert caught.value.hint == hint


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    for name, wanted in (
        ("mlflow", "'keensight[mlflow]'"),
        ("wandb", "wandb"),
        ("tensorboard", "'keensight[tensorboard]'"),
    ):
        with pytest.raises(UsageError) as caught:
            opened(name)
        assert caught.value.hint == f"pip install {wanted}"


def test_a_tracker_is_given_once() -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    with pytest.raises(UsageError, match="given twice"):
        tracking(["tensorboard", "tensorboard=events"], print)
