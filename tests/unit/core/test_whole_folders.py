"""Folders that are complete or absent."""

from __future__ import annotations

from pathlib import Path

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
