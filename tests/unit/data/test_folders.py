"""Folder per class, split folders, and metadata.csv beside them."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from keensight.core import pixels
from keensight.core.reading import EMPTY_CLASS
from keensight.core.records import Dataset
from keensight.data.sources.readers import open_source
from keensight.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Beside the test's cache directory, not above it."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def _plant(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pixels.encode_png(np.full((3, 4, 3), number, np.uint8)))
    return root


def _labels(data: Dataset) -> dict[str, str]:
    return {sample.path: sample.label for sample in data.samples}


def _reasons(data: Dataset) -> dict[str, str]:
    return {item.path: item.reason for item in data.skipped}


def test_a_folder_per_class(root: Path) -> None:
    data = open_source(_plant(root / "pets", "10/a.png", "2/b.png", "2/deeper/still/c.png"))
    assert (data.name, data.kind, data.labels.names) == ("pets", "folder", ("2", "10"))
    assert _labels(data) == {"2/b.png": "2", "2/deeper/still/c.png": "2", "10/a.png": "10"}
    assert all(len(sample.digest) == 64 and sample.split is None for sample in data.samples)
    info = data.samples[0].info
    assert info is not None and (info.format, info.width, info.height) == ("PNG", 4, 3)
    assert data.load(0) == (root / "pets/2/b.png").read_bytes()


def test_strays_and_empty_classes_are_reported_and_are_no_classes(root: Path) -> None:
    _plant(root, "cat/1.png", "dog/2.png", "stray.png", ".ipynb_checkpoints/3.png")
    (root / "emu").mkdir()
    (root / "cat/readme.txt").write_text("hello")
    data = open_source(root)
    assert data.labels.names == ("cat", "dog")
    reasons = _reasons(data)
    assert reasons["emu"] == EMPTY_CLASS
    assert set(reasons) == {"emu", "stray.png", ".ipynb_checkpoints", "cat/readme.txt"}


def test_split_folders_are_kept(root: Path) -> None:
    names = ["train/cat/1.png", "train/dog/2.png", "valid/cat/3.png", "Test/dog/4.png", "predict/5.png"]
    _plant(root, *names)
    (root / "valid/dog").mkdir()
    data = open_source(root)
    assert data.kind == "split folders"
    assert data.labels.names == ("cat", "dog")
    assert {sample.path: sample.split for sample in data.samples} == {
        "Test/dog/4.png": "test", "train/cat/1.png": "train", "train/dog/2.png": "train", "valid/cat/3.png": "val",
    }  # fmt: skip
    assert _reasons(data)["valid/dog"] == EMPTY_CLASS
    assert "none of train" in _reasons(data)["predict/5.png"]


def test_unlabelled_test_images_are_passed_over(root: Path) -> None:
    data = open_source(_plant(root, "train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "test/4.png"))
    assert len(data) == 3
    assert "outside the class folders" in _reasons(data)["test/4.png"]


def test_vehicles_may_include_a_train(root: Path) -> None:
    data = open_source(_plant(root, "train/1.png", "car/2.png", "bus/3.png"))
    assert (data.kind, data.labels.names) == ("folder", ("bus", "car", "train"))


def test_a_train_folder_alone_holds_the_classes(root: Path) -> None:
    data = open_source(_plant(root, "train/cat/1.png", "train/dog/2.png"))
    assert (data.labels.names, data.samples[0].split) == (("cat", "dog"), None)


@pytest.mark.parametrize("top", ["archive", "archive/images (1)"])
def test_an_unpacked_archive_is_entered(root: Path, top: str) -> None:
    _plant(root, f"{top}/cat/1.png", f"{top}/dog/2.png")
    (root / top / "emu").mkdir()
    data = open_source(root)
    assert _labels(data) == {f"{top}/cat/1.png": "cat", f"{top}/dog/2.png": "dog"}
    assert _reasons(data) == {f"{top}/emu": EMPTY_CLASS}
    assert data.load(1) == (root / top / "dog/2.png").read_bytes()


def test_one_class_in_two_unicode_forms_is_one_class(root: Path) -> None:
    forms = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    data = open_source(
        _plant(root, f"train/{forms[0]}/1.png", f"test/{forms[1]}/2.png", "train/tea/3.png", "test/tea/4.png")
    )
    assert data.labels.names == (forms[0], "tea")


def test_metadata_is_attached_where_its_path_fits(root: Path) -> None:
    _plant(root, "cat/1.png", "cat/2.png", "dog/3.png")
    (root / "metadata.csv").write_text("image,patient,age\ncat/1.png,p7,3\n./dog/3.png,p8,\nbird/9.png,p9,1\n")
    data = open_source(root)
    assert [dict(sample.metadata) for sample in data.samples] == [
        {"patient": "p7", "age": 3}, {}, {"patient": "p8", "age": None},
    ]  # fmt: skip
    assert all(sample.group is None for sample in data.samples)
    assert data.skipped == ()


def test_group_label_and_split_come_from_metadata(root: Path) -> None:
    _plant(root, "cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png")
    rows = ["cat/1.png,007,young,train", "cat/2.png,007,old,test", "dog/3.png,8,young,val"]
    (root / "metadata.csv").write_text("\n".join(["path,owner,stage,split", *rows]))
    grouped = open_source(root, group="owner")
    assert [sample.group for sample in grouped.samples] == ["007", "007", "8", None]
    assert [sample.split for sample in grouped.samples] == ["train", "test", "val", None]
    staged = open_source(root, label="stage")
    assert staged.labels.names == ("old", "young")
    assert _reasons(staged) == {"dog/4.png": "metadata.csv has no stage"}


def test_metadata_beside_the_classes_of_an_unpacked_archive(root: Path) -> None:
    _plant(root, "top/cat/1.png", "top/dog/2.png")
    (root / "top/metadata.csv").write_text("file_name,site\ncat/1.png,A\ndog/2.png,B\n")
    assert [sample.group for sample in open_source(root, group="site").samples] == ["A", "B"]


def test_a_metadata_file_without_paths_is_reported(root: Path) -> None:
    _plant(root, "cat/1.png", "dog/2.png")
    (root / "metadata.csv").write_text("a,b\n1,2\n")
    assert "no path column" in _reasons(open_source(root))["metadata.csv"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "no metadata.csv to look up the column 'owner'"),
        ("path,age\ncat/1.png,3\n", "no column 'owner'"),
        ("path,owner\nother/1.png,3\n", "no line of metadata.csv matches an image"),
    ],
)
def test_a_group_that_cannot_be_looked_up_is_an_error(root: Path, table: str | None, message: str) -> None:
    _plant(root, "cat/1.png", "dog/2.png")
    if table:
        (root / "metadata.csv").write_text(table)
    with pytest.raises(DataError, match=message) as caught:
        open_source(root, group="owner")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.tsv", "image\tage\n1.png\t3\n"),
        ("metadata.csv", "image;age\n1;3\n"),
        ("metadata.csv", "image,age\nCAT\\1.PNG,3\n"),
        ("metadata.jsonl", '{"file_name": "cat/1.png", "age": 3}\n'),
    ],
)
def test_metadata_is_read_like_any_table(root: Path, name: str, text: str) -> None:
    _plant(root, "cat/1.png", "dog/2.png")
    (root / name).write_text(text)
    data = open_source(root)
    assert [dict(sample.metadata) for sample in data.samples] == [{"age": 3}, {}]
    assert name not in _reasons(data)


@pytest.mark.parametrize(("train", "val"), [("1,1\n0,1\n", "1,0\n0,1\n"), ("1,0\n0,1\n", "1,1\n0,1\n")])
def test_tables_of_the_splits_are_read_together(root: Path, train: str, val: str) -> None:
    _plant(root, "train/1.png", "train/2.png", "valid/3.png", "valid/4.png")
    for part, first, cells in (("train", 1, train), ("valid", 3, val)):
        lines = [f"{number}.png,{line}" for number, line in enumerate(cells.split(), start=first)]
        (root / part / "_classes.csv").write_text("\n".join(["filename,cat,dog", *lines]))
    data = open_source(root)
    assert (data.task, data.labels.names) == ("multilabel", ("cat", "dog"))
    assert all(sample.labels for sample in data.samples)
    assert [sample.split for sample in data.samples] == ["train", "train", "val", "val"]


def test_what_metadata_says_of_splits_and_images_is_reported(root: Path) -> None:
    _plant(root, "cat/1.png", "dog/2.png", "dog/3.png")
    (root / "metadata.csv").write_text("image;is_valid;owner\ncat/1.png;1;x\ndog/2.png;0;y\n")
    data = open_source(root)
    assert [sample.split for sample in data.samples] == ["val", "train", None]
    notes = "; ".join(data.reading.notes if data.reading else ())
    assert "column is_valid read as split" in notes and "other columns: owner" in notes
    assert "1 of 3 images are not in metadata.csv" in notes and "delimiter semicolon" in notes
