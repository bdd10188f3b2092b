"""A study's folder: never overwritten, held by one process, and read back as it was written."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from keensight.core.study import Trial
from keensight.errors import StoreError
from keensight.store.study import Study, create_study, locked_study, open_study, study_folder

GOLDEN = Path(__file__).parents[2] / "golden" / "study2"


def test_a_trial_is_added_or_takes_the_place_of_its_own(tmp_path: Path) -> None:
    record = dataclasses.replace(open_study(GOLDEN).record, trials=())
    study = create_study(tmp_path / "first", record)
    study = study.with_trial(Trial(1, "trials/0001", {}, "running"))
    study = study.with_trial(Trial(0, "trials/0000", {}, "complete", 0.5))
    study.with_trial(Trial(1, "trials/0001", {}, "failed", message="out of memory"))
    assert [(one.number, one.state) for one in open_study(study.path).trials] == [(0, "complete"), (1, "failed")]
    assert study.trial_path(1) == tmp_path / "first" / "trials" / "0001"


def test_how_to_continue_is_a_command_of_any_path(tmp_path: Path) -> None:
    made = create_study(tmp_path / "my study", dataclasses.replace(open_study(GOLDEN).record, state="running"))
    assert made.next_step.endswith(f"keensight tune --resume '{tmp_path}/my study'")
    assert made.update(state="finished").next_step == ""


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    assert study_folder(tmp_path / "new", "photos") == tmp_path / "new"
    assert not (tmp_path / "new").exists()
    shutil.copytree(GOLDEN, tmp_path / "old")
    with pytest.raises(StoreError, match="contains a study already"):
        study_folder(tmp_path / "old", "photos")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    with pytest.raises(StoreError, match="not empty already"):
        study_folder(tmp_path / "photos", "photos")


def test_the_default_folder_is_named_after_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert study_folder(None, "my photos!").as_posix().startswith("studies/my-photos-")


def test_what_is_not_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is not a study: it has no study\.json"):
        open_study(tmp_path)


def test_one_process_works_on_a_study(tmp_path: Path) -> None:
    with (
        locked_study(tmp_path),
        pytest.raises(StoreError, match="is in use: process"),
        locked_study(tmp_path),
    ):
        pass


def test_a_study_without_a_choice_has_no_run(tmp_path: Path) -> None:
    study = Study(tmp_path, dataclasses.replace(open_study(GOLDEN).record, chosen=None, state="interrupted"))
    with pytest.raises(StoreError, match="has not chosen a trial yet") as caught:
        _ = study.run
    assert caught.value.hint == f"continue it with: keensight tune --resume {tmp_path}"
