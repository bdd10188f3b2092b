"""A study's folder: never overwritten, held by one process, and read back as it was written."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from keensight.core.audit import AuditReport
from keensight.core.records import split_digest
from keensight.core.study import Trial
from keensight.errors import StoreError
from keensight.store import run_tables
from keensight.store.study import Study, create_study, locked_study, open_study, study_folder
from store_builders import dataset, make_run, split

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
    with pytest.raises(StoreError, match="contains a study already") as caught:
        study_folder(tmp_path / "old", "photos")
    assert f"`keensight tune --resume {tmp_path / 'old'}`" in (caught.value.hint or "")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    with pytest.raises(StoreError, match="not empty already"):
        study_folder(tmp_path / "photos", "photos")


def test_the_default_folder_is_named_after_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert study_folder(None, "my photos!").as_posix().startswith("studies/my-photos-")
    assert study_folder(None, "...").as_posix().startswith("studies/study-")
    name, _, _ = study_folder(None, "n" * 100).name.partition("-")
    assert name == "n" * 60


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


def test_the_run_of_a_study_is_that_of_its_choice(tmp_path: Path) -> None:
    study = create_study(tmp_path / "s", dataclasses.replace(open_study(GOLDEN).record, chosen=2))
    made = make_run(study.trial_path(2))
    assert study.run.record == made.record


def test_the_files_of_a_study_are_in_its_folder(tmp_path: Path) -> None:
    study = create_study(tmp_path / "new" / "s", open_study(GOLDEN).record)
    assert study.page_path == tmp_path / "new" / "s" / "study.html"
    assert study.journal_path == tmp_path / "new" / "s" / "journal.log"
    assert sorted(item.name for item in study.path.iterdir()) == ["study.json", "trials"]
    assert create_study(study.path, study.record).record == open_study(study.path).record


def test_a_record_is_written_with_the_schema_of_this_version(tmp_path: Path) -> None:
    study = create_study(tmp_path / "s", dataclasses.replace(open_study(GOLDEN).record, schema=1))
    assert json.loads((study.path / "study.json").read_text(encoding="utf-8"))["schema"] == 2


def test_an_empty_folder_can_be_used_and_a_file_cannot(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert study_folder(tmp_path / "empty", "photos") == tmp_path / "empty"
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file is not a folder"):
        study_folder(tmp_path / "file" / "study", "photos")


def test_the_division_that_all_trials_share_comes_back(tmp_path: Path) -> None:
    data, parts = dataset(), split()
    found = AuditReport(
        "insects", 12, {"ant": 4, "Ñandú": 8}, {}, {"JPEG": 12}, {"RGB": 12}, {}, (1, 2, 3), (4, 5, 6), 0.5, (), ()
    )
    study = create_study(tmp_path / "s", open_study(GOLDEN).record)
    study.save_division(data, found, parts)
    assert study.division() == (found, parts)
    assert "Ñandú" in (study.path / "audit.json").read_text(encoding="utf-8")
    assert run_tables.read_dataset(study.path / "dataset.parquet") == data
    assert json.loads((study.path / "split.json").read_text(encoding="utf-8")) == {
        "digest": split_digest(parts, data),
        "method": "stratified by class, seed 7",
    }
    (study.path / "split.csv").unlink()
    with pytest.raises(StoreError, match=r"split\.csv"):
        study.division()


@pytest.mark.skipif(os.name != "posix", reason="making links needs rights on Windows")
@pytest.mark.parametrize("name", ["study.json", "audit.json", "split.json", "split.csv"])
def test_a_link_out_of_a_study_is_not_followed(tmp_path: Path, name: str) -> None:
    study = create_study(tmp_path / "s", open_study(GOLDEN).record)
    found = AuditReport("insects", 12, {}, {}, {}, {}, {}, (1, 2, 3), (4, 5, 6), 0.5, (), ())
    study.save_division(dataset(), found, split())
    (study.path / name).rename(tmp_path / name)
    (study.path / name).symlink_to(tmp_path / name)
    with pytest.raises(StoreError, match="is a link that points outside"):
        open_study(study.path).division()


def test_a_record_of_more_than_64_mib_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "study.json").open("wb") as stream:
        stream.truncate(64 * 2**20 + 1)  # sparse: no disk is used
    with pytest.raises(StoreError, match="larger than 67,108,864 bytes"):
        open_study(tmp_path)


def test_a_study_in_use_says_by_whom_and_what_to_do(tmp_path: Path) -> None:
    with locked_study(tmp_path), pytest.raises(StoreError) as caught, locked_study(tmp_path):
        pass
    assert caught.value.message.startswith(f"the study {tmp_path} is in use: process {os.getpid()} on ")
    assert caught.value.hint == "wait until it is finished, or stop it"
    with locked_study(tmp_path):
        pass  # free again
