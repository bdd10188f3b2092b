"""Folders that are complete or absent."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from keensight.core import whole_folders
from keensight.core.whole_folders import whole_folder
from keensight.errors import StoreError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(folder: Path, text: str) -> None:
    (folder / "file.txt").write_text(text)


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    place = tmp_path / "above" / "new"
    with whole_folder(place) as folder:
        fill(folder, "all of it")
        assert not place.exists()
    assert (place / "file.txt").read_text() == "all of it"
    assert names(tmp_path / "above") == ["new"]


def test_after_an_error_what_was_there_stays(tmp_path: Path) -> None:
    place = tmp_path / "export"
    place.mkdir()
    fill(place, "old")
    with pytest.raises(KeyError), whole_folder(place, replace=True) as folder:
        fill(folder, "half")
        raise KeyError
    assert (place / "file.txt").read_text() == "old"
    assert names(tmp_path) == ["export"]


def test_a_folder_with_files_is_replaced_only_on_request(tmp_path: Path) -> None:
    place = tmp_path / "bundle"
    place.mkdir()
    with whole_folder(place) as folder:  # an empty folder may be there
        fill(folder, "first")
    with pytest.raises(StoreError, match=r"cannot write .*bundle"), whole_folder(place) as folder:
        fill(folder, "second")
    assert (place / "file.txt").read_text() == "first"
    with whole_folder(place, replace=True) as folder:
        fill(folder, "third")
    assert (place / "file.txt").read_text() == "third"
    assert names(tmp_path) == ["bundle"]


def test_an_older_folder_is_restored_if_the_new_one_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, original = tmp_path / "export", Path.rename
    place.mkdir()
    fill(place, "old")

    def refuse(self: Path, target: Path) -> Path:
        if not self.name.endswith(".old") and target == place:
            raise PermissionError(13, "Permission denied")
        return original(self, target)

    monkeypatch.setattr(whole_folders, "_exchanged", lambda new, place: False)  # as on systems other than Linux
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreError, match="Permission denied"), whole_folder(place, replace=True) as folder:
        fill(folder, "new")
    assert (place / "file.txt").read_text() == "old"
    assert names(tmp_path) == ["export"]


def test_an_older_folder_that_cannot_be_restored_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, original = tmp_path / "export", Path.rename
    place.mkdir()
    fill(place, "old")

    def refuse(self: Path, target: Path) -> Path:
        if target == place:
            raise OSError(30, "Read-only file system")
        return original(self, target)

    monkeypatch.setattr(whole_folders, "_exchanged", lambda new, place: False)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreError, match=r"what was there is now in .*\.old"), whole_folder(place, replace=True) as new:
        fill(new, "new")
    assert [(path / "file.txt").read_text() for path in tmp_path.glob(".export.*.old")] == ["old"]


def exchanges_folders(folder: Path) -> bool:
    """Whether system and file system exchange two folders at once: renameat2(2) with AT_FDCWD, RENAME_EXCHANGE."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    first, second = folder / "first", folder / "second"
    for path in (first, second):
        path.mkdir()
    done = exchange is not None and exchange(-100, os.fsencode(first), -100, os.fsencode(second), 2) == 0
    for path in (first, second):
        path.rmdir()
    return done


def test_a_folder_is_replaced_in_one_step_where_the_system_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchanges_folders(tmp_path):
        pytest.skip("the system cannot exchange two folders")
    place = tmp_path / "export"
    place.mkdir()
    fill(place, "old")

    def refuse(self: Path, target: Path) -> Path:
        raise AssertionError(f"{self} was moved away, so that nothing was at its place for a moment")

    monkeypatch.setattr(Path, "rename", refuse)
    with whole_folder(place, replace=True) as folder:
        fill(folder, "new")
    assert (place / "file.txt").read_text() == "new"
    assert names(tmp_path) == ["export"]


def test_a_new_folder_that_is_lost_meanwhile_replaces_nothing(tmp_path: Path) -> None:
    place = tmp_path / "export"
    place.mkdir()
    fill(place, "old")
    with (
        pytest.raises(StoreError, match=r"cannot write .*export: No such file or directory"),
        whole_folder(place, replace=True) as folder,
    ):
        shutil.rmtree(folder)
    assert (place / "file.txt").read_text() == "old"
    assert names(tmp_path) == ["export"]


def libc_that_refuses(number: int) -> SimpleNamespace:
    def renameat2(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    return SimpleNamespace(renameat2=renameat2)


@pytest.mark.parametrize(
    "libc",
    [
        None,  # another system
        SimpleNamespace(),  # an older C library
        libc_that_refuses(errno.ENOSYS),  # an older kernel
        libc_that_refuses(errno.EINVAL),  # a file system that cannot
    ],
)
def test_a_folder_is_replaced_in_two_steps_elsewhere(
    libc: SimpleNamespace | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "export"
    place.mkdir()
    fill(place, "old")
    if libc is None:
        monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: libc)
    with whole_folder(place, replace=True) as folder:
        fill(folder, "new")
    assert (place / "file.txt").read_text() == "new"
    assert names(tmp_path) == ["export"]


def test_a_system_that_refuses_to_exchange_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "export"
    place.mkdir()
    fill(place, "old")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: libc_that_refuses(errno.EACCES))
    with (
        pytest.raises(StoreError, match=r"cannot write .*export: Permission denied"),
        whole_folder(place, replace=True) as folder,
    ):
        fill(folder, "new")
    assert (place / "file.txt").read_text() == "old"
    assert names(tmp_path) == ["export"]
