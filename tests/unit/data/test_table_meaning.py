"""What columns and cells of a table mean, and where its files are."""

import json

import pandas as pd
import pytest

import keensight as ks
from keensight.core.progress import Silent
from keensight.data.sources.table_columns import find_columns
from keensight.data.sources.table_files import Table, read_table
from keensight.data.sources.table_labels import read_labels
from keensight.data.sources.table_paths import locate
from keensight.errors import DataError
from sources import pictures

N = 8
PLACES = [f"{i}.png" for i in range(N)]
HALVES = ["a"] * 4 + ["b"] * 4
BITS = [str(i % 2) for i in range(N)]
THIRDS = [str(int(i % 3 == 0)) for i in range(N)]


def columns(asked=None, **cells):
    options = {"path": None, "label": None, "group": None} | (asked or {})
    return find_columns(Table({"path": PLACES} | cells, text=True), "t.csv", **options)


@pytest.mark.parametrize(
    ("cells", "label"),
    [
        ({"Class Name": HALVES, "breed": BITS}, "Class Name"),
        ({"dx": HALVES, "dx_type": ["x", "y"] * 4, "localization": ["p", "q"] * 4}, "dx"),
        ({"race": HALVES, "sex": ["m", "f"] * 4, "patient_id": ["p", "q"] * 4}, "race"),
        ({"race": HALVES, "taken": ["2020-01-01", "2020-01-02"] * 4, "size": ["1.5", "2.5"] * 4}, "race"),
        ({"race": HALVES, "x": BITS, "y2": THIRDS}, "race"),
        ({"has_cactus": BITS}, "has_cactus"),
        ({"label_id": BITS, "label": ["even", "odd"] * 4}, "label"),
    ],
)
def test_the_label_column_is_found(cells, label):
    assert columns(**cells).label == label


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"race": HALVES, "mood": ["x", "y"] * 4}, "2 columns that could be the label: race, mood"),
        ({"label": HALVES, "target": ["x", "y"] * 4}, "2 columns that could be the label: label, target"),
        (
            {"race": HALVES, **{f"f{i}": BITS for i in range(4)}},
            "could be the column race, or the 4 columns of 0 and 1",
        ),
        ({"size": ["1.5", "2.5"] * 4}, "no label column"),
        ({"name": list("abcdefgh")}, "no label column"),
        ({"patient": HALVES, "sex": HALVES}, "no label column"),
        ({f"c{i}": list("abcdefgh") for i in range(90)}, "no label column"),
    ],
)
def test_what_is_not_certain_is_refused_in_few_words(cells, message):
    with pytest.raises(DataError, match=message) as caught:
        columns(**cells)
    assert len(f"{caught.value.message} {caught.value.hint}") < 500


def test_no_column_of_a_list_without_names_is_guessed():
    cells = {"path": PLACES, "column 2": ["0.0", "1.0"] * 4, "column 3": ["mono"] * 4 + ["poly"] * 4}
    with pytest.raises(DataError, match="could be the label: column 2, column 3"):
        find_columns(Table(cells, text=True, header=False), "labels.csv", path=None, label=None, group=None)


def test_facts_beside_a_class_are_told_and_can_be_asked_for():
    found = columns(race=HALVES, wild=BITS, young=THIRDS)
    assert (found.label, found.indicators) == ("race", ())
    assert found.notices.overrides == ("--labels wild,young",)
    assert columns({"labels": ["wild", "young"]}, race=HALVES, wild=BITS, young=THIRDS).indicators == ("wild", "young")


@pytest.mark.parametrize(
    ("cells", "path"),
    [
        ({"id": PLACES, "image_id": PLACES}, "image_id"),
        ({"Image Index": PLACES}, "Image Index"),
        ({"image": list("abcdefgh"), "image_path": PLACES}, "image_path"),
        ({"what": PLACES, "note": HALVES}, "what"),
    ],
)
def test_the_path_column_is_found(cells, path):
    table = Table(cells | {"label": HALVES}, text=True)
    assert find_columns(table, "t.csv", path=None, label=None, group=None).path == path


def test_two_columns_of_paths_are_refused():
    table = Table({"front": PLACES, "back": PLACES, "label": HALVES}, text=True)
    with pytest.raises(DataError, match="2 columns that could be the path: front, back"):
        find_columns(table, "t.csv", path=None, label=None, group=None)


@pytest.mark.parametrize(
    ("cells", "split", "flags"),
    [
        ({"Set": ["train", "test"] * 4}, "Set", ()),
        ({"set": ["A", "B"] * 4}, None, ()),
        ({"is_valid": ["True", "False"] * 4}, None, ("is_valid",)),
        ({"is_valid": BITS, "is_test": THIRDS}, None, ("is_valid", "is_test")),
        ({"split": ["train", "val"] * 4, "is_valid": BITS}, "split", ()),
        ({"is_valid": ["yes", "no"] * 4}, None, ()),
    ],
)
def test_splits_are_found(cells, split, flags):
    found = columns(label=HALVES, **cells)
    assert (found.split, found.flags) == (split, flags)


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        (["1", "1.0", "2", "02"], ["1", "1", "2", "02"]),
        (["1.0", "1.5", "2.0", "2.5"], ["1.0", "1.5", "2.0", "2.5"]),
        (["1.0", "1", "1.5", "2.0"], ["1", "1", "1.5", "2.0"]),
        ([1.0, 2.0, None, 2.0], ["1", "2", None, "2"]),
        (["1.0", "1", "unknown", "1"], ["1", "1", "unknown", "1"]),
        (["NA", "NA", "EU", "EU"], ["NA", "NA", "EU", "EU"]),
        (["NA", "EU", "EU", "AS"], [None, "EU", "EU", "AS"]),
        (["nan", "nan", "EU", "EU"], [None, None, "EU", "EU"]),
        (["nan", "nan", "EU", "EU", None], ["nan", "nan", "EU", "EU", None]),
        (["#N/A", "#N/A", "EU", "EU", None], [None, None, "EU", "EU", None]),
        (["None", "none", "x", ""], ["None", "none", "x", None]),
        (["a, b", "c, b", "a, b", "c, b"], ["a, b", "c, b", "a, b", "c, b"]),
        (["red car", "blue car", "red truck", "car"], ["red car", "blue car", "red truck", "car"]),
        ([("a",), ("b",), ("a",)], ["a", "b", "a"]),
        (["3,5", "4,5", "5,5", "3,5"], ["3,5", "4,5", "5,5", "3,5"]),
    ],
)
def test_cells_are_classes(cells, texts):
    found = read_labels(cells, "label", words_may_be_missing=True)
    assert (found.texts, found.several) == (texts, None)


@pytest.mark.parametrize(
    ("cells", "lists"),
    [
        (["a|b", "", "b", None], [("a", "b"), (), ("b",), ()]),
        (["a,b", "a", "b,c", "c"], [("a", "b"), ("a",), ("b", "c"), ("c",)]),
        (["a;b", "a", "b;a", "b"], [("a", "b"), ("a",), ("a", "b"), ("b",)]),
        (["a b", "a", "b c", "c", "a c"], [("a", "b"), ("a",), ("b", "c"), ("c",), ("a", "c")]),
        (["['a', 'b']", '["b"]', "[]", ""], [("a", "b"), ("b",), (), ()]),
        ([("a", "b"), ("b",), None], [("a", "b"), ("b",), ()]),
        (["['a' 'b']", "['b']"], [("a", "b"), ("b",)]),
        (["[1, 2]", "[2]"], [("1", "2"), ("2",)]),
    ],
)
def test_cells_are_lists_of_labels(cells, lists):
    assert read_labels(cells, "label", words_may_be_missing=True).several == lists


def test_words_that_other_columns_use_for_missing_values_are_no_class():
    cells = ["NA", "NA", "EU", "EU"]
    assert read_labels(cells, "label", words_may_be_missing=True, elsewhere=frozenset({"NA"})).texts[0] is None
    assert read_labels(cells, "label", words_may_be_missing=False).texts == cells


@pytest.mark.parametrize(
    ("disk", "paths", "files"),
    [
        (["a/1.png", "b/2.png"], ["1", "2"], ["a/1.png", "b/2.png"]),
        (["a/1.PNG", "a/2.png"], ["A/1.png", "a/2.png"], ["a/1.PNG", "a/2.png"]),
        (["x/cat/1.png", "x/dog/1.png"], ["cat/1.png", "dog/1.png"], ["x/cat/1.png", "x/dog/1.png"]),
        (["cat/1.png", "dog/1.png"], ["/old/cat/1.png", "/old/dog/1.png"], ["cat/1.png", "dog/1.png"]),
        (["cat/1.png", "dog/1.png"], [r"D:\old\cat\1.png", r"D:\old\dog\1.png"], ["cat/1.png", "dog/1.png"]),
        (["cat.0.png", "cat.1.png"], ["cat.0", "cat.1"], ["cat.0.png", "cat.1.png"]),
        (["a/1.png", "a/2.png", "a/3.png", "b/3.png"], ["1", "2", "3"], ["a/1.png", "a/2.png", "a/3.png"]),
        (["train/1.png", "test/1.png"], ["1"], ["train/1.png"]),
    ],
)
def test_files_are_found_where_they_are(tmp_path, disk, paths, files):
    pictures(tmp_path, *disk)
    found = locate(tmp_path, paths, "train.csv")
    assert ([file.path for file in found.files], {file.error for file in found.files}) == (files, {None})


@pytest.mark.parametrize(
    ("disk", "paths"),
    [
        (["1.png", "2.png", "old/3.png"], ["1.png", "2.png", "3.png"]),  # most are where the table says
        (["dog/1.png", "x.png"], ["cat/1.png", "x.png"]),
        (["1.png", "2.jpg", "2.png"], ["1", "2"]),
    ],
)
def test_another_file_is_never_taken_for_a_missing_one(tmp_path, disk, paths):
    pictures(tmp_path, *disk)
    errors = [file.error for file in locate(tmp_path, paths, "t.csv").files]
    assert errors.count("the file is missing") == 1


def test_a_file_uri_is_a_path(tmp_path):
    pictures(tmp_path, "a b.png")
    assert locate(tmp_path, [(tmp_path / "a b.png").as_uri()], "t.csv").files[0].error is None


def test_images_of_several_labels_in_several_rows_are_notices(tmp_path):
    pictures(tmp_path, "{1-4}.png")
    frame = pd.DataFrame({"path": ["1.png", "1.png", "2.png", "2.png", "3.png"], "label": list("ababa")})
    (warning,) = ks.from_frame(frame, tmp_path).reading.warnings
    assert "2 of 3 images are listed with several classes, such as 1.png (a, b)" in warning


def test_tables_are_read_together(tmp_path):
    pictures(tmp_path, "x/{1-4}.png", "y/{5-6}.png")
    (tmp_path / "x/train.csv").write_text("id,race,note\n" + "".join(f"{i},{'ab'[i % 2]},n\n" for i in range(1, 5)))
    (tmp_path / "y/test.csv").write_text("id,race\n5,a\n6,b\n")
    data = ks.open(tmp_path / "x/train.csv", test=tmp_path / "y/test.csv", progress=Silent())
    assert [(s.path, s.label, s.split) for s in data][-3:] == [
        ("x/4.png", "a", None), ("y/5.png", "a", "test"), ("y/6.png", "b", "test"),
    ]  # fmt: skip
    assert (data.reading.layout, data.reading.notes[0]) == ("CSV table", "read together: train.csv and test.csv")
    with pytest.raises(DataError, match="only tables are given together"):
        ks.open(tmp_path / "x/train.csv", test=tmp_path / "y", progress=Silent())
    (tmp_path / "y/test.csv").write_text("id\n5\n6\n")
    with pytest.raises(DataError, match=r"test.csv has no column 'race', which train.csv has"):
        ks.open(tmp_path / "x/train.csv", test=tmp_path / "y/test.csv", progress=Silent())


@pytest.mark.parametrize("document", [[1, 2], {"images": [], "annotations": []}, [], "x"])
def test_json_that_is_no_table_is_refused(tmp_path, document):
    (tmp_path / "t.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_table(tmp_path / "t.json")


def test_a_broken_line_of_json_is_named(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"path": "1.png"}\n\n{"path": \n')
    with pytest.raises(DataError, match="line 3 is not JSON"):
        read_table(tmp_path / "t.jsonl")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("path,label,,\n1.png,a,,\n", ["path", "label"]),
        (",path,label\n0,1.png,a\n", ["column 1", "path", "label"]),
        ("path,label\n1,1.png,a\n2,2.png,b\n", ["path", "label"]),  # R's row names
        ("path,label,note,note\n1.png,a,x,y\n", ["path", "label", "note", "note (2)"]),
        ("path,label,note,note\n1.png,a,x,x\n", ["path", "label", "note"]),
        ("1.png,a,x\n2.png,b,y\n", ["path", "column 2", "column 3"]),
    ],
)
def test_names_of_columns(tmp_path, text, names):
    (tmp_path / "t.csv").write_text(text)
    assert list(read_table(tmp_path / "t.csv").columns) == names
