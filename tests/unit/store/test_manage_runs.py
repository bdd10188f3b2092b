"""Runs are deleted and renamed as a whole, and nothing else is."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path

import pytest

from keensight.core.codec import to_plain
from keensight.core.files import write_json
from keensight.core.locks import locked
from keensight.errors import StoreError, UsageError
from keensight.store import manage_runs
from keensight.store.liveness import this_process
from keensight.store.manage_runs import delete_run, removable, rename_run
from keensight.store.run import DELETED, list_runs, open_run
from keensight.store.run_lock import LOCK_FILE
from store_builders import make_run

NO_LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")


def finished(path: Path):
    return make_run(path).update(state="finished")


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_run_is_deleted_with_all_that_is_in_it(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs" / "a")
    (run.path / "exports").mkdir()
    (run.path / "exports" / "model.onnx").write_bytes(b"x" * 5000)
    kept = finished(tmp_path / "runs" / "b")
    size = run.bytes
    assert size > 5000
    assert delete_run(run) == size
    assert names(tmp_path / "runs") == ["b"]
    assert kept.bytes > 0
    with pytest.raises(StoreError, match="there is no run"):
        delete_run(run)


@pytest.mark.parametrize("change", [delete_run, lambda path: rename_run(path, "other")])
def test_what_is_no_run_or_in_use_is_refused(tmp_path: Path, change) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"precious")
    with pytest.raises(StoreError, match="is not a run"):
        change(folder)
    (folder / "run.json").write_text('{"name": "of another program"}')
    with pytest.raises(StoreError, match="has no schema number"):
        change(folder)
    run = finished(tmp_path / "busy")
    with locked(run.path / LOCK_FILE), pytest.raises(StoreError, match=r"busy is in use: process \d+ on"):
        change(run.path)
    parent = dataclasses.replace(this_process(), id=os.getppid(), started="")
    record = dataclasses.replace(run.record, state="training", process=parent)
    write_json(run.path / "run.json", to_plain(record))
    with pytest.raises(StoreError, match=f"busy is in use: process {os.getppid()} on"):
        change(run.path)
    write_json(run.path / "run.json", to_plain(dataclasses.replace(record, process=None)))
    finished(run.path / "inner" / "seed-0")
    with pytest.raises(StoreError, match=r"contains another run, .*seed-0"):
        change(run.path)
    assert names(tmp_path) == ["busy", "photos"]
    assert (folder / "a.jpg").read_bytes() == b"precious"


def test_the_working_directory_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished(tmp_path / "run")
    (run.path / "exports").mkdir()
    monkeypatch.chdir(run.path / "exports")
    with pytest.raises(StoreError, match="contains the working directory"):
        delete_run(run.path)


@NO_LINKS
def test_links_are_not_followed(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"precious" * 1000)
    (run.path / "photos").symlink_to(tmp_path / "photos")
    (run.path / "photo.jpg").symlink_to(tmp_path / "photos" / "a.jpg")
    (tmp_path / "latest").symlink_to(run.path)
    assert run.bytes < 8000
    with pytest.raises(StoreError, match="latest is a symbolic link"):
        delete_run(tmp_path / "latest")
    with pytest.raises(StoreError, match="latest is a symbolic link"):
        rename_run(tmp_path / "latest", "newest")
    delete_run(run)
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"precious" * 1000


def test_a_deletion_that_was_cut_short_leaves_no_run_and_is_finished_later(tmp_path: Path) -> None:
    left = finished(tmp_path / "runs" / "a").path.rename(tmp_path / "runs" / f"{DELETED}0123")
    finished(tmp_path / "runs" / "b")
    assert [run.path.name for run in list_runs(tmp_path / "runs")] == ["b"]
    delete_run(tmp_path / "runs" / "b")
    assert not left.exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_file_that_cannot_be_deleted_is_reported_and_no_run_is_left(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs" / "a")
    (run.path / "exports").mkdir()
    (run.path / "exports" / "x").write_bytes(b"x")
    (run.path / "exports").chmod(0o500)
    with pytest.raises(StoreError, match="was not deleted completely"):
        delete_run(run)
    assert list_runs(tmp_path / "runs") == []
    next((tmp_path / "runs").glob(f"{DELETED}*/exports")).chmod(0o700)


def test_a_run_gets_another_name(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs" / "a")
    renamed = rename_run(run, "näme 2.0")
    assert renamed.path == tmp_path / "runs" / "näme 2.0"
    assert renamed == open_run(renamed.path)
    assert renamed.record == dataclasses.replace(run.record, name="näme 2.0")
    assert rename_run(renamed, str(tmp_path / "runs" / "c")).path.name == "c"
    assert names(tmp_path / "runs") == ["c"]
    assert names(tmp_path / "runs" / "c") == ["config.toml", "run.json"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "../b",
        ".hidden",
        "-x",
        "a:b",
        "a\nb",
        "a.",
        "x" * 101,
        "a*",
        "CON",
        "nul.txt",
        "Com1",
        "LPT9 .a.b",
    ],
)
def test_an_impossible_name_is_refused(tmp_path: Path, name: str) -> None:
    run = finished(tmp_path / "runs" / "a")
    with pytest.raises(UsageError):
        rename_run(run, name)
    assert names(tmp_path) == ["runs"]
    assert names(tmp_path / "runs") == ["a"]


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "b").mkdir()
    with pytest.raises(StoreError, match="b already exists"):
        rename_run(run, "b")


def test_a_run_of_a_computer_that_is_gone_is_deleted_on_request(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    gone = dataclasses.replace(this_process(), host="cloud", boot="other")
    write_json(run.path / "run.json", to_plain(dataclasses.replace(run.record, state="training", process=gone)))
    for change in (delete_run, lambda path: rename_run(path, "other")):
        with pytest.raises(StoreError, match="started on cloud"):
            change(run.path)
    assert rename_run(run.path, "other", take_over=True).path == tmp_path / "other"
    assert delete_run(tmp_path / "other", take_over=True) > 0
    assert names(tmp_path) == []


def test_a_name_of_a_hundred_characters_is_the_longest(tmp_path: Path) -> None:
    run = rename_run(finished(tmp_path / "a"), "x" * 100)
    assert run.path.name == "x" * 100
    with pytest.raises(UsageError, match="is not a name for a run") as caught:
        rename_run(run, "y" * 101)
    assert (caught.value.hint or "").startswith("give 1 to 100 characters without")


@NO_LINKS
def test_a_refusal_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "taken").write_text("")
    (tmp_path / "other").mkdir()
    link = tmp_path / "link"
    link.symlink_to(run.path)
    hints = []
    for change in (
        lambda: rename_run(run, "taken"),
        lambda: rename_run(run, str(tmp_path / "other" / "b")),
        lambda: delete_run(link),
    ):
        with pytest.raises((StoreError, UsageError)) as caught:
            change()
        hints.append(caught.value.hint)
    monkeypatch.chdir(run.path)
    for place in (run.path, Path(), Path("..") / "a"):
        with pytest.raises(StoreError, match="contains the working directory") as caught:
            delete_run(place)
    assert [*hints, caught.value.hint] == [
        "choose another name", "a run keeps its directory: give a name only",
        f"give the folder that it points to: {run.path}", "change to another directory first",
    ]  # fmt: skip


def test_a_run_in_use_cannot_be_chosen(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    parent = dataclasses.replace(this_process(), id=os.getppid(), started="")
    write_json(run.path / "run.json", to_plain(dataclasses.replace(run.record, process=parent)))
    with pytest.raises(StoreError, match="is in use"):
        removable(run.path)
    assert removable(run.path, take_over=True).path == run.path
    chosen = removable(finished(tmp_path / "done"))
    assert (chosen, chosen.state) == (open_run(tmp_path / "done"), "finished")


@pytest.mark.parametrize("change", [delete_run, lambda path: rename_run(path, "other")])
def test_a_run_that_is_continued_just_before_it_would_be_moved_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change
) -> None:
    run = finished(tmp_path / "run")
    parent = dataclasses.replace(this_process(), id=os.getppid(), started="")
    continued = dataclasses.replace(run.record, state="training", process=parent)
    chosen = manage_runs.removable

    def and_then_continued(*given: object, **options: bool):
        found = chosen(*given, **options)  # type: ignore[arg-type]
        write_json(run.path / "run.json", to_plain(continued))
        return found

    monkeypatch.setattr(manage_runs, "removable", and_then_continued)
    with pytest.raises(StoreError, match="is in use"):
        change(run.path)
    assert names(tmp_path) == ["run"]
    assert open_run(run.path).record == continued


def test_what_the_system_keeps_of_a_deleted_run_is_named_and_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished(tmp_path / "runs" / "a")

    def refused(folder: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", f"{folder}/config.toml")

    monkeypatch.setattr("shutil.rmtree", refused)
    with pytest.raises(StoreError, match=r"a was not deleted completely: .*config\.toml: Permission denied") as caught:
        delete_run(run)
    (left,) = (tmp_path / "runs").iterdir()
    assert caught.value.hint == f"delete {left} yourself"
    assert names(left) == ["config.toml"]
    assert list_runs(tmp_path / "runs") == []


def test_what_the_system_keeps_of_an_earlier_deletion_hinders_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, really = tmp_path / f"{DELETED}0123", shutil.rmtree
    left.mkdir()

    def kept(folder: Path, ignore_errors: bool = False) -> None:
        if Path(folder) != left:
            really(folder)
        elif not ignore_errors:
            raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("shutil.rmtree", kept)
    assert delete_run(finished(tmp_path / "run")) > 0
    assert names(tmp_path) == [left.name]
