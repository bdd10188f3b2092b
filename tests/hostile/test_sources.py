"""Sources that are not what they should be: one clear error with a hint, or a set that opens with the fault told."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keensight.core.codec import to_plain
from keensight.core.pixels import encode_png
from keensight.core.records import Dataset
from keensight.data.audit.audit import audit
from keensight.data.sources.readers import open_source
from keensight.data.splits import make_split
from keensight.errors import DataError


def _plant(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(np.full((3, 3, 3), number, np.uint8)))
    return root


def _write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _make_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


BAD_SOURCES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda at: at / "nowhere", "does not exist"),
    "a name too long for the disk": (lambda at: at / ("x" * 300), "cannot be opened"),
    "a null byte": (lambda at: at / "a\0b", "cannot be opened|does not exist"),
    "empty folder": (lambda at: _make_folder(at / "empty"), "contains no images"),
    "text only": (lambda at: _write(at / "s/cat/readme.txt", "x").parent.parent, "contains no images"),
    "hidden only": (lambda at: _plant(at / "s", ".a/1.png", ".b/2.png"), "contains no images"),
    "empty classes only": (lambda at: _make_folder(at / "s/cat").parent, "contains no images"),
    "flat": (lambda at: _plant(at / "s", "1.png", "2.png"), "2 images but no class folders"),
    "flat in a folder": (lambda at: _plant(at / "s", "all/1.png", "all/2.png"), r"only one class \(all\)"),
    "one image": (lambda at: _plant(at / "s", "cat/1.png"), r"only one class \(cat\)"),
    "one class": (lambda at: _plant(at / "s", "cat/1.png", "cat/b/2.png"), r"only one class \(cat\)"),
    "no readable image": (
        lambda at: _write(_write(at / "s/cat/1.png", "").parent.parent / "dog/2.jpg", "text").parent.parent,
        "none of the 2 images of s can be read",
    ),
    "an image": (lambda at: _plant(at, "1.png") / "1.png", "neither a folder nor a table"),
    "some file": (lambda at: _write(at / "a.pdf", "x"), "neither a folder nor a table"),
    "a pickle": (lambda at: _write(at / "a.pkl", b"\x80\x04N."), "a Python pickle"),
    "an empty table": (lambda at: _write(at / "t.csv", ""), "cannot be read as a table"),
    "a table of one header": (lambda at: _write(at / "t.csv", "path,label\n"), "contains no labeled images"),
    "a table in latin-1": (lambda at: _write(at / "t.csv", b"path,label\nh\xfc.png,a\n"), "not one of the 1 files"),
    "binary as a table": (lambda at: _write(at / "t.csv", bytes(range(256)) * 9), "cannot be read as a table"),
    "a ragged table": (lambda at: _write(at / "t.csv", "path,label\na,b\na,b,c,d\n"), "cannot be read as a table"),
    "text as parquet": (lambda at: _write(at / "t.parquet", "path,label"), "cannot be read as a table"),
    "all files missing": (lambda at: _write(at / "t.csv", "path,label\na.png,a\nb.png,b\n"), "not one of the 2 files"),
    "no label at all": (
        lambda at: _write(_plant(at, "1.png", "2.png") / "t.csv", "path,label\n1.png,\n2.png,nan\n"),
        "contains no labeled images",
    ),
    "one label": (
        lambda at: _write(_plant(at, "1.png", "2.png") / "t.csv", "path,label\n1.png,a\n2.png,a\n"),
        r"only one class \(a\)",
    ),
    "devices in a table": (
        lambda at: _write(at / "t.csv", "path,label\n/dev/zero,a\n/dev/stdin,b\n"),
        "none of the 2 images",
    ),
    "zip bomb of nothing": (lambda at: _write(at / "a.npz", b"PK\x05\x06" + bytes(18)), "has no images and labels"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SOURCES)
def test_one_clear_error_with_a_hint(case: str, tmp_path: Path) -> None:
    make, message = BAD_SOURCES[case]
    source = make(_make_folder(tmp_path / "at"))
    before = sorted(tmp_path.joinpath("at").rglob("*"))
    with pytest.raises(DataError, match=message) as caught:
        open_source(source)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert sorted(tmp_path.joinpath("at").rglob("*")) == before


def test_a_flat_folder_beside_tables_that_all_may_be_meant_names_them(tmp_path: Path) -> None:
    for name in ("first.csv", "second.csv"):
        _write(_plant(tmp_path / "s", "1.png", "2.png") / name, "path,label\n1.png,a\n2.png,b\n")
    with pytest.raises(DataError, match=r"several tables: first.csv, second.csv") as caught:
        open_source(tmp_path / "s")
    assert "first.csv" in (caught.value.hint or "")


@pytest.mark.parametrize("option", ["label", "group", "path"])
def test_columns_of_a_source_that_has_none(tmp_path: Path, option: str) -> None:
    np.savez(tmp_path / "s.npz", images=np.zeros((4, 3, 3), np.uint8), labels=[0, 1, 0, 1])
    for source in (tmp_path / "s.npz", "digits"):
        with pytest.raises(DataError, match=f"no columns, so {option}=patient|no array 'patient'"):
            open_source(source, **{option: "patient"})


def _opens(source: Path) -> Dataset:
    """Open, audit and write as JSON: none of it may fail."""
    data = open_source(source)
    json.dumps(to_plain(data)).encode()
    json.dumps(to_plain(audit(data)), ensure_ascii=False).encode()
    return data


def test_one_image_a_class_opens_and_is_refused_by_the_split(tmp_path: Path) -> None:
    data = _opens(_plant(tmp_path / "s", "cat/1.png", "dog/1.png", "dog/2.png", "dog/3.png"))
    with pytest.raises(DataError, match=r"1 of the 2 classes .*: cat \(1\)"):
        make_split(data)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_names_that_are_no_utf8_are_read_as_latin_1(tmp_path: Path) -> None:
    root = _plant(tmp_path / "s", "cat/1.png", "dog/2.png")
    image = (root / "cat/1.png").read_bytes()
    Path(os.fsdecode(os.fsencode(root) + b"/cat/caf\xe9.png")).write_bytes(image)
    folder = Path(os.fsdecode(os.fsencode(root) + b"/gar\xe7on"))
    folder.mkdir()
    (folder / "1.png").write_bytes(image)
    data = _opens(root)
    assert data.labels.names == ("cat", "dog", "garçon")
    assert {sample.path for sample in data.samples} == {"cat/1.png", "cat/café.png", "dog/2.png", "garçon/1.png"}
    assert not any(sample.error for sample in data.samples)


def test_long_and_foreign_names(tmp_path: Path) -> None:
    long = "x" * 251 + ".png"  # 255 bytes, as much as common file systems take
    names = [f"Ölgemälde/{long}", "写真/画像 (1).PNG", "emoji 🐈/new\nline.png", "emoji 🐈/tab\t,;\"'.png"]
    data = _opens(_plant(tmp_path / "s", *names))
    assert {sample.path for sample in data.samples} == set(names)
    assert all(sample.error is None for sample in data.samples)


def test_a_table_with_every_fault_in_a_line_of_its_own(tmp_path: Path) -> None:
    _plant(tmp_path, "1.png", "2.png", "3.png", "4.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    lines = [
        "path,label",
        "1.png,a",
        "2.png,b",
        "3.png,",
        ",a",
        "empty.png,a",
        "folder.png,b",
        "pipe.png,a",
        "gone.png,b",
    ]
    lines += ["../../../../../../../../etc/hostname,a", f"{'y' * 300}.png,b", "~/4.png,a", '"4.png ",b']
    data = _opens(_write(tmp_path / "t.csv", "\n".join(lines)))
    good = [Path(sample.path).name for sample in data.samples if sample.error is None]
    assert sorted(good) == ["1.png", "2.png", "4.png"]
    assert {item.reason for item in data.skipped} == {"no label", "no path"}
    assert all(not sample.path.startswith("/") for sample in data.samples)


def test_a_deep_tree_ends(tmp_path: Path) -> None:
    root = _plant(tmp_path / "s", "cat/" + "/".join("d" * 40 for _ in range(60)) + "/1.png", "dog/2.png")
    data = _opens(root)
    assert [sample.label for sample in data.samples] == ["cat", "dog"]


def test_many_links_to_one_another_do_not_multiply(tmp_path: Path) -> None:
    root = _plant(tmp_path / "s", "cat/1.png", "dog/2.png")
    for level in range(25):  # followed one by one these would be 3^25 ways
        for way in "abc":
            (root / f"cat/{level}{way}").symlink_to(root / ("dog" if way == "a" else "cat"))
    assert len(_opens(root)) == 2


def test_a_file_that_vanishes_between_listing_and_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keensight.data.sources import file_index

    root = _plant(tmp_path / "s", "cat/1.png", "dog/2.png", "dog/3.png")
    real = file_index.read_bounded

    def read(path: Path, limit: int) -> bytes:
        if path.name == "3.png":
            path.unlink()
        return real(path, limit)

    monkeypatch.setattr(file_index, "read_bounded", read)
    assert [sample.error for sample in _opens(root).samples] == [None, None, "the file is missing"]


def test_an_unreadable_file_is_quarantined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _plant(tmp_path / "s", "cat/1.png", "dog/2.png", "dog/3.png")
    real = os.open

    def read(path: Path, flags: int, *mode: int) -> int:
        # A mode of 000 does not stop the superuser, as whom tests often run.
        if Path(path).name == "3.png":
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", read)
    assert _opens(root).samples[2].error == "cannot be read: Permission denied"
