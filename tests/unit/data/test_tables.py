"""Tables of paths and labels."""

import datetime
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from keensight.core import pixels
from keensight.data.sources.readers import from_frame, open_source
from keensight.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with img/0.png to img/5.png."""
    (tmp_path / "img").mkdir()
    for number in range(6):
        (tmp_path / "img" / f"{number}.png").write_bytes(pixels.encode_png(np.full((3, 3, 3), number, np.uint8)))
    return tmp_path


def _csv(photos: Path, text: str, name: str = "table.csv", **options: Any):  # type: ignore[no-untyped-def]
    (photos / name).write_text(text, encoding="utf-8")
    return open_source(photos / name, **options)


def test_a_table_with_every_kind_of_column(photos: Path) -> None:
    data = _csv(
        photos,
        "File_Name,Label,split,patient,age,code,note\n"
        "img/1.png,cat,train,p1,3.5,007,\nimg/0.png,dog,Validation,p1,4,008,shy\nimg/2.png, cat ,,p2,,010,\n",
        group="patient",
    )
    assert (data.name, data.kind, data.labels.names) == ("table.csv", "table", ("cat", "dog"))
    assert [(s.path, s.label, s.split, s.group) for s in data.samples] == [
        ("img/0.png", "dog", "val", "p1"), ("img/1.png", "cat", "train", "p1"), ("img/2.png", "cat", None, "p2"),
    ]  # fmt: skip
    assert [dict(s.metadata) for s in data.samples] == [
        {"age": 4.0, "code": "008", "note": "shy"},
        {"age": 3.5, "code": "007", "note": None},
        {"age": None, "code": "010", "note": None},
    ]
    assert data.load(0) == (photos / "img/0.png").read_bytes()


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ";"), ("t.csv", "\t"), ("t.tsv", "\t"), ("t.CSV", ",")])
def test_separators(photos: Path, name: str, separator: str) -> None:
    data = _csv(photos, "path,label\nimg/0.png,a\nimg/1.png,b\n".replace(",", separator), name)
    assert data.labels.names == ("a", "b")


def test_a_byte_order_mark_and_windows_paths(photos: Path) -> None:
    data = _csv(photos, "\ufeffpath,label\nimg\\0.png,a\nimg\\1.png,b\n")
    assert [sample.path for sample in data.samples] == ["img/0.png", "img/1.png"]


def test_none_is_a_class_and_nan_is_not(photos: Path) -> None:
    data = _csv(photos, "path,label\nimg/0.png,None\nimg/1.png,none\nimg/2.png,scratch\nimg/3.png,NaN\nimg/4.png,\n")
    assert data.labels.names == ("None", "none", "scratch")
    assert [(item.path, item.reason) for item in data.skipped] == [("img/3.png", "no label"), ("img/4.png", "no label")]


def test_lines_without_path_and_repeated_lines(photos: Path) -> None:
    data = _csv(photos, "path,label\nimg/0.png,a\n,b\nimg/1.png,b\nimg/0.png,a\nimg/0.png,b\n")
    assert [(item.path, item.reason) for item in data.skipped] == [("line 3", "no path"), ("img/0.png", "listed twice")]
    # The same file under two labels stays, for the audit to show.
    assert [(s.path, s.label) for s in data.samples] == [("img/0.png", "a"), ("img/0.png", "b"), ("img/1.png", "b")]


def test_a_missing_file_is_a_sample_with_an_error(photos: Path) -> None:
    data = _csv(photos, "path,label\nimg/0.png,a\nimg/gone.png,b\n")
    assert [sample.error for sample in data.samples] == [None, "the file is missing"]
    assert data.samples[1].digest == ""


def test_paths_that_lead_out_of_the_tables_folder(photos: Path) -> None:
    (photos / "tables").mkdir()
    (photos / "tables/t.csv").write_text(f"path,label\n../img/0.png,a\n{photos}/img/1.png,b\n")
    data = open_source(photos / "tables/t.csv")
    assert [sample.path for sample in data.samples] == ["0.png", "1.png"]
    assert data.load(1) == (photos / "img/1.png").read_bytes()


def test_a_path_in_another_unicode_form_is_found(photos: Path) -> None:
    for form, label in (("NFC", "a"), ("NFD", "b")):
        (photos / unicodedata.normalize(form, f"é{label}.png")).write_bytes((photos / "img/0.png").read_bytes())
    data = _csv(
        photos, unicodedata.normalize("NFC", "path,label\néb.png,b\n") + unicodedata.normalize("NFD", "éa.png,a\n")
    )
    assert [sample.error for sample in data.samples] == [None, None]


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("path,what", {}, "no label column"),
        ("path,what", {"label": "which"}, "no column 'which'"),
        ("path,label", {"group": "patient"}, "no column 'patient'"),
        ("path,label", {"path": "photo"}, "no column 'photo'"),
        ("path,label", {"label": "path"}, "cannot be both"),
        ("path,label,class", {}, "2 columns that could be the label: label, class"),
        ("path,image,label", {}, "2 columns that could be the path"),
    ],
)
def test_columns_that_are_missing_or_ambiguous(
    photos: Path, header: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        _csv(photos, f"{header}\n{','.join(['img/0.png'] * header.count(','))},x\n", **options)
    hint = caught.value.hint
    assert hint is not None and all(column in hint for column in header.split(","))


@pytest.mark.parametrize(
    ("header", "option"),
    [("path,labl", "label"), ("path,label,class", "label"), ("path,image,label", "path")],
)
def test_the_hint_names_the_option_and_the_argument(photos: Path, header: str, option: str) -> None:
    with pytest.raises(DataError) as caught:
        _csv(photos, f"{header}\n{','.join(['img/0.png'] * header.count(','))},x\n")
    assert f"--{option} COLUMN ({option}= in Python); the columns are: " in (caught.value.hint or "")


def test_naming_the_columns_settles_it(photos: Path) -> None:
    text = "image,thumb,label,class\nimg/0.png,x,1,a\nimg/1.png,x,1,b\n"
    assert _csv(photos, text, label="class").labels.names == ("a", "b")


def test_an_unknown_split_is_named(photos: Path) -> None:
    with pytest.raises(DataError, match="holds 'fold1'"):
        _csv(photos, "path,label,split\nimg/0.png,a,fold1\nimg/1.png,b,train\n")


def test_no_file_exists(photos: Path) -> None:
    with pytest.raises(DataError, match="not one of the 2 files") as caught:
        _csv(photos, "path,label\nimage/0.png,a\nimage/1.png,b\n")
    assert "relative to the table's folder" in (caught.value.hint or "")
    with pytest.raises(DataError) as caught:
        _csv(photos, "path,label\nimg/10,a\nimg/11,b\n")
    assert "extension" in (caught.value.hint or "")
    with pytest.raises(DataError, match="no path column") as caught:
        _csv(photos, "where,label\nimg,a\nimg,b\n")
    assert "where, label" in (caught.value.hint or "")


@pytest.mark.parametrize("suffix", [".parquet", ".pq"])
def test_parquet(photos: Path, suffix: str) -> None:
    frame = pd.DataFrame(
        {
            "path": ["img/0.png", "img/1.png", "img/2.png"],
            "label": [1.0, 2.0, np.nan],
            "taken": [datetime.datetime(2024, 5, 1), None, None],
            "score": [np.inf, 1.5, 2.0],
            "ok": [True, False, True],
        }
    )
    frame.to_parquet(photos / f"t{suffix}")
    data = open_source(photos / f"t{suffix}")
    assert data.labels.names == ("1", "2")
    assert [dict(s.metadata) for s in data.samples] == [
        {"taken": "2024-05-01 00:00:00", "score": "inf", "ok": True}, {"taken": None, "score": 1.5, "ok": False},
    ]  # fmt: skip
    assert [item.reason for item in data.skipped] == ["no label"]


def test_a_frame_of_pandas(photos: Path) -> None:
    frame = pd.DataFrame({"p": ["0.png", "1.png"], "y": [3, 12], "who": [1, None]})
    data = from_frame(frame, photos / "img", path="p", label="y", group="who", name="mine")
    assert (data.name, data.labels.names) == ("mine", ("3", "12"))
    assert [sample.group for sample in data.samples] == ["1", None]
    twice = pd.DataFrame([["0.png", "a", "b"]], columns=["path", "label", "label"])
    with pytest.raises(DataError, match="more than one column 'label'"):
        from_frame(twice, photos / "img")


def test_paths_that_are_no_text(photos: Path) -> None:
    frame = pd.DataFrame({"image": [{"bytes": b"x"}, "img/0.png", "img/1.png"], "label": ["a", "a", "b"]})
    data = from_frame(frame, photos)
    assert len(data) == 2
    assert data.skipped[0].path == "line 2"
