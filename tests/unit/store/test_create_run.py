"""Where a new run begins, what it records, and which places are refused."""

import dataclasses
import os
from datetime import datetime
from pathlib import Path

import pytest

from keensight.core.codec import to_plain
from keensight.core.decisions import Decisions
from keensight.core.files import write_json
from keensight.core.locks import locked
from keensight.errors import StoreError
from keensight.store import create_run
from keensight.store.liveness import this_process
from keensight.store.run import Run, is_run, open_run
from keensight.store.run_lock import LOCK_FILE
from store_builders import make_run

DECISIONS = Decisions(2, {"train.epochs": 3}, "ab" * 32, {"keensight": "0.1.0"})


class Noon(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: object = None) -> "Noon":
        return cls(2026, 11, 30, 12, 0, 0)


@pytest.fixture
def noon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; it is noon."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(create_run, "datetime", Noon)
    return tmp_path


def test_a_run_records_what_it_was_begun_with(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a" / "b", source="moths", command="keensight train moths", versions={"keras": "3"})
    record = run.record
    assert (record.name, record.source, record.model, record.command) == ("b", "moths", "cnn", "keensight train moths")
    assert (record.state, record.message, record.versions) == ("created", "", {"keras": "3"})
    assert record.created == record.updated
    assert record.process == this_process()
    assert (run.decisions, run.config_path.read_text()) == (None, "[train]\nepochs = 3\n")


def test_what_a_run_is_repeated_by_is_there_before_the_run_is(tmp_path: Path) -> None:
    def decisions(path: Path) -> Decisions:
        assert path == tmp_path / "run"
        assert path.is_dir() and not is_run(path)
        return DECISIONS

    assert make_run(tmp_path / "run", decisions=decisions).decisions == DECISIONS


def test_runs_of_one_second_are_numbered(noon: Path) -> None:
    names = [make_run(None, name="moths").path for _ in range(3)]
    stem = "moths-20261130-120000"
    assert names == [Path("runs", stem), Path("runs", f"{stem}-2"), Path("runs", f"{stem}-3")]


@pytest.mark.parametrize(
    ("name", "start"),
    [("x" * 60, "x" * 60), ("x" * 61, "x" * 60), ("...", "run"), ("--a b--", "a-b"), ("v1.0", "v1.0")],
)
def test_a_run_is_called_like_its_images_as_far_as_every_system_allows(noon: Path, name: str, start: str) -> None:
    assert make_run(None, name=name).path.name == f"{start}-20261130-120000"


@pytest.mark.parametrize("state", ["failed", "interrupted", "dead"])
def test_a_folder_with_a_run_that_did_not_finish_tells_how_to_continue_it(tmp_path: Path, state: str) -> None:
    run = make_run(tmp_path / "my run")
    if state == "dead":
        gone = dataclasses.replace(this_process(), started="1")  # another process of this number
        write_json(run.path / "run.json", to_plain(dataclasses.replace(run.record, process=gone)))
    else:
        run.update(state=state)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=f"contains a run already, which is {state}$") as caught:
        make_run(run.path)
    assert caught.value.hint == (
        f"continue it with `keensight train --resume '{run.path}'`, or start over with --replace, which deletes it"
    )


@pytest.mark.parametrize("state", ["finished", "training"])
def test_a_folder_with_another_run_is_replaced_on_request_only(tmp_path: Path, state: str) -> None:
    run = make_run(tmp_path / "run").update(state=state)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"contains a run already$") as caught:
        make_run(run.path)
    assert caught.value.hint == "choose another --run; nothing is overwritten unless you ask for it with --replace"


def test_a_folder_with_a_damaged_run_or_other_files_is_never_overwritten(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run.path / "run.json").write_text("{")
    hint = "choose another --run; nothing is ever overwritten"
    with pytest.raises(StoreError, match=r"contains a run already$") as caught:
        make_run(run.path)
    assert caught.value.hint == hint
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(StoreError, match=r"mine is not empty already$") as caught:
        make_run(tmp_path / "mine")
    assert caught.value.hint == hint
    with pytest.raises(StoreError, match=r"notes\.txt is a file, not a folder") as caught:
        make_run(tmp_path / "mine" / "notes.txt")
    assert caught.value.hint == "choose another --run"


def test_an_interrupt_while_a_run_begins_is_recorded_if_there_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_config", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_run(tmp_path / "begun")
    record = open_run(tmp_path / "begun").record
    assert (record.state, record.message) == ("interrupted", "stopped by the user")
    with monkeypatch.context() as patch:
        patch.setattr(create_run, "write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_run(tmp_path / "not begun", decisions=lambda _: DECISIONS)
    assert not is_run(tmp_path / "not begun")
    assert make_run(tmp_path / "not begun").decisions == DECISIONS, "the folder of a run that did not begin is free"


def test_a_folder_in_which_another_process_begins_a_run_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run" / LOCK_FILE), pytest.raises(StoreError, match=r"contains a run already$"):
        make_run(tmp_path / "run")
    assert make_run(tmp_path / "run").state == "created"


def test_nothing_is_written_into_a_folder_that_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    os.utime(tmp_path, (1, 1))
    with pytest.raises(StoreError, match="is not empty already"):
        make_run(tmp_path)
    assert tmp_path.stat().st_mtime == 1
