"""Walking a folder."""

import os
from pathlib import Path

import pytest

from keensight.data.sources.listing import list_images


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def _paths(root: Path) -> list[str]:
    return [found.path for found in list_images(root).files]


def _reasons(root: Path) -> dict[str, str]:
    return {item.path: item.reason for item in list_images(root).skipped}


def test_files_come_in_natural_order_with_size_and_time(tmp_path: Path) -> None:
    for name in ("b/10.png", "b/9.png", "a/x/1.jpg"):
        _touch(tmp_path / name)
    listing = list_images(tmp_path)
    assert [found.path for found in listing.files] == ["a/x/1.jpg", "b/9.png", "b/10.png"]
    assert listing.files[0].size == 1
    assert listing.files[0].mtime_ns == (tmp_path / "a/x/1.jpg").stat().st_mtime_ns
    assert listing.folders == ("a", "a/x", "b")


def test_what_is_no_image_is_named_with_its_reason(tmp_path: Path) -> None:
    for name in (
        ".git/1.png",
        "a/.hidden.png",
        "a/Thumbs.db",
        "a/notes.txt",
        "__MACOSX/a/1.png",
        "a/1.png",
        "a/LICENSE",
    ):
        _touch(tmp_path / name)
    assert _paths(tmp_path) == ["a/1.png"]
    reasons = _reasons(tmp_path)
    assert set(reasons) == {".git", "a/.hidden.png", "a/Thumbs.db", "a/notes.txt", "__MACOSX", "a/LICENSE"}
    assert ".txt" in reasons["a/notes.txt"]
    assert "no extension" in reasons["a/LICENSE"]


def test_a_loop_of_links_ends_and_a_real_folder_keeps_its_images(tmp_path: Path) -> None:
    _touch(tmp_path / "root/dog/1.png")
    _touch(tmp_path / "root/cat/2.png")
    (tmp_path / "root/cat/all").symlink_to(tmp_path / "root")
    (tmp_path / "root/cat/more").symlink_to(tmp_path / "root/dog")  # met before dog itself
    (tmp_path / "root/cat/self").symlink_to("self")
    assert _paths(tmp_path / "root") == ["cat/2.png", "dog/1.png"]
    assert {"cat/all", "cat/more"} <= set(_reasons(tmp_path / "root"))


def test_a_linked_folder_and_a_linked_image_count(tmp_path: Path) -> None:
    _touch(tmp_path / "elsewhere/1.png")
    _touch(tmp_path / "root/cat/2.png")
    (tmp_path / "root/dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/cat/3.png").symlink_to(tmp_path / "elsewhere/1.png")
    assert _paths(tmp_path / "root") == ["cat/2.png", "cat/3.png", "dog/1.png"]


def test_a_broken_link_is_an_image_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (found,) = list_images(tmp_path).files
    assert found.error == "a broken symbolic link"


def test_a_pipe_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert _reasons(tmp_path) == {"pipe.png": "not a regular file"}


def test_an_unreadable_folder_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path / "open/1.png")
    _touch(tmp_path / "locked/2.png")
    real = os.scandir

    def scandir(path: Path) -> object:  # a mode of 000 does not stop the superuser, as whom tests often run
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert _paths(tmp_path) == ["open/1.png"]
    assert "Permission denied" in _reasons(tmp_path)["locked"]
