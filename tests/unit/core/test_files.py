from __future__ import annotations

import errno
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from keensight.core import files
from keensight.errors import StoreError


def test_a_write_replaces_the_whole_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    files.write_bytes(path, b"first, longer")
    files.write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o777 == 0o644


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
