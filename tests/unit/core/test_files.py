from __future__ import annotations

import errno
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from keensight.core import files
from keensight.core.image_files import recognize
from keensight.errors import ImageError, StoreError


def test_a_write_replaces_the_whole_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    files.write_bytes(path, b"first, longer")
    files.write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]
    if sys.platform != "win32":
        before = os.umask(0o027)
        try:
            files.write_bytes(path, b"third")
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o640  # as of any file that this user writes


def test_a_very_long_name_leaves_room_for_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    files.write_text(path, "é")
    assert path.read_bytes() == "é".encode()


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, full)
    with pytest.raises(StoreError, match="the disk is full") as caught:
        files.write_json(path, {"new": 2})
    assert caught.value.hint
    assert files.read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".json" or p.name.startswith(".")] == ["a.json"]


def test_an_interrupt_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(tmp_path / "note.txt", "half")
    assert [p for p in tmp_path.iterdir() if "note" in p.name] == []


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file"):
        files.write_text(tmp_path / "file" / "below.txt", "x")


def test_equal_values_give_equal_json(tmp_path: Path) -> None:
    files.write_json(tmp_path / "1.json", {"b": [1, 2.5, None], "a": "é"})
    files.write_json(tmp_path / "2.json", {"a": "é", "b": [1, 2.5, None]})
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert "é" in (tmp_path / "1.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        files.canonical_json(float("nan"))


def test_json_that_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is missing"):
        files.read_json(tmp_path / "none.json")
    for content in (b'{"a": ', b"\xff\xfe\x00"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(StoreError, match="cannot be read"):
            files.read_json(tmp_path / "bad.json")


def test_sha256_of_bytes_and_of_a_file(tmp_path: Path) -> None:
    # The test vector "abc" of FIPS 180-2, appendix B.1.
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(b"abc") == files.sha256(memoryview(b"abc")) == files.sha256_file(tmp_path / "abc") == known


def test_toml_reads_back() -> None:
    sections = {
        "train": {"epochs": 5, "rate": 0.05, "tiny": 1e-07, "on": True, "none": None},
        "data": {"label": 'a "quoted" \\ name\nwith é', "list": ["x", "y"]},
    }
    text = files.to_toml(sections, {"train.epochs": "passes"})
    want = {"train": {k: v for k, v in sections["train"].items() if v is not None}, "data": sections["data"]}
    assert tomllib.loads(text) == want
    assert "epochs = 5  # passes\n" in text


def test_a_bounded_read_gives_the_whole_file_and_shows_its_beginning_first(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(250)) * 40)
    seen: list[bytes] = []
    assert files.read_bounded(path, 10_000, seen.append) == path.read_bytes()
    assert seen == [path.read_bytes()[:1024]]
    with pytest.raises(ImageError, match=r"too large \(0 MiB; the limit is 0\)"):
        files.read_bounded(path, 9_999)


def test_a_file_that_is_refused_by_its_beginning_is_read_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    with path.open("wb") as stream:
        stream.write(b"\0\0\0\x18ftypmp42")
        stream.truncate(200 * 2**20)
    taken = 0
    real = os.fdopen

    class Counting:
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __enter__(self) -> Counting:
            return self

        def __exit__(self, *_: object) -> None:
            self._stream.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._stream, name)

        def read(self, n: int) -> bytes:
            nonlocal taken
            taken += n
            return bytes(self._stream.read(n))

    monkeypatch.setattr(files.os, "fdopen", lambda handle, mode: Counting(real(handle, mode)))
    with pytest.raises(ImageError, match="it is a video, which is not supported"):
        files.read_bounded(path, 256 * 2**20, recognize)
    assert taken == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("pipe", "a named pipe"), ("socket", "a socket"), ("device", "a device"), ("folder", "a folder")],
)
def test_what_is_no_file_is_neither_waited_for_nor_read(tmp_path: Path, kind: str, reason: str) -> None:
    import socket

    path = tmp_path / "x.png"
    server = socket.socket(socket.AF_UNIX)
    make = {"pipe": os.mkfifo, "socket": lambda at: server.bind(str(at)), "folder": os.mkdir,
            "device": lambda at: at.symlink_to("/dev/zero")}  # fmt: skip
    make[kind](path)
    try:
        with pytest.raises(ImageError, match=rf"not a regular file \({reason}\)"):
            files.read_bounded(path, 1000)
    finally:
        server.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_file_that_turns_into_a_pipe_between_look_and_open_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"x")
    real = os.open

    def swap(name: Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return real(name, flags)

    monkeypatch.setattr(files.os, "open", swap)
    with pytest.raises(ImageError, match="a named pipe"):
        files.read_bounded(path, 1000)


@pytest.mark.parametrize(("name", "reason"), [("gone.png", "missing"), ("empty.png", "empty"), ("a\0b.png", "null")])
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=reason):
        files.read_bounded(tmp_path / name, 1000)


def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for place, folder in ((tmp_path / "file" / "a.csv", False), (tmp_path, False), (tmp_path / "file", True)):
        with pytest.raises(StoreError, match="cannot write"):
            files.check_writable(place, folder)
    for place, folder in ((tmp_path / "new/er/a.csv", False), (tmp_path / "file", False), (tmp_path / "new", True)):
        files.check_writable(place, folder)
    files.check_writable(Path("a.csv"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the superuser, as whom tests often run, may do all
    with pytest.raises(StoreError, match="Permission denied"):
        files.check_writable(tmp_path / "a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_draft_is_hidden_until_it_is_complete(tmp_path: Path) -> None:
    place = tmp_path / "new" / "rows.bin"
    draft = files.Draft(place)
    draft.write(b"one")
    assert not place.exists()
    draft.write(b"two")
    draft.commit()
    assert place.read_bytes() == b"onetwo"
    assert [p.name for p in place.parent.iterdir()] == ["rows.bin"]
    with pytest.raises(KeyError), files.drafted(place) as draft:
        draft.write(b"half")
        raise KeyError
    assert place.read_bytes() == b"onetwo"
    assert [p.name for p in place.parent.iterdir()] == ["rows.bin"]


def test_a_temporary_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    with files.temporary_folder() as folder:
        assert folder.parent == tmp_path
        assert folder.is_dir()
    assert not folder.exists()
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match=r"cannot write .*gone"), files.temporary_folder():
        pass


def test_what_is_derived_from_an_image_shows_whose_it_is() -> None:
    image, other = files.sha256(b"image"), files.sha256(b"other")
    found = [files.derived_digest(digest, what) for digest in (image, other) for what in ("32px", "64px")]
    assert len(set(found)) == 4
    assert {len(digest) for digest in found} == {64}
    assert [digest[:16] for digest in found] == [image[:16]] * 2 + [other[:16]] * 2
