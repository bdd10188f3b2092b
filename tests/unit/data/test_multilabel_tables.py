import numpy as np
import pandas as pd
import pytest
from PIL import Image

import keensight as ks
from keensight.core.records import LabelSet
from keensight.data.sources.tables import from_frame
from keensight.errors import DataError
from multilabel_builders import write_shapes


@pytest.fixture
def images(tmp_path):
    for name in "abcd":
        Image.fromarray(np.full((4, 4, 3), ord(name), np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def open_table(folder, columns, **options):
    frame = pd.DataFrame({"path": ["a.png", "b.png", "c.png", "d.png"], **columns})
    frame.to_csv(folder / "table.csv", index=False)
    return ks.open(folder / "table.csv", **options)


def test_columns_of_0_and_1_are_labels_in_their_order(images):
    data = open_table(images, {"wet": [1, 0, 1, 0], "cold": ["true", "False", "", "1"], "age": [3, 4, 5, 6]})
    assert data.task == "multilabel"
    assert data.labels.names == ("wet", "cold")
    assert [sample.labels for sample in data.samples] == [("wet", "cold"), (), ("wet",), ("cold",)]
    assert [sample.label for sample in data.samples] == ["wet|cold", "", "wet", "cold"]
    assert data.samples[0].metadata == {"age": 3}
    np.testing.assert_array_equal(data.indicators(), [[1, 1], [0, 0], [1, 0], [0, 1]])
    np.testing.assert_array_equal(data.counts(), [2, 2])
    np.testing.assert_array_equal(data.counts(np.array([0, 1])), [1, 1])


def test_lists_are_labels_and_an_empty_cell_is_none(images):
    data = open_table(images, {"label": ["cold|wet", "", " wet | cold |", "dry"]})
    assert data.labels.names == ("cold", "dry", "wet")
    assert [sample.labels for sample in data.samples] == [("cold", "wet"), (), ("cold", "wet"), ("dry",)]
    assert data.combinations()[0] == data.combinations()[2]
    assert len(set(data.combinations().tolist())) == 3


def test_named_columns_win_over_what_looks_like_labels(images):
    columns = {"wet": [1, 0, 1, 0], "cold": [0, 1, 1, 0], "used": [1, 1, 0, 0]}
    assert open_table(images, columns).labels.names == ("wet", "cold", "used")
    data = open_table(images, columns, labels="cold, wet")
    assert data.labels.names == ("cold", "wet")
    assert data.samples[0].metadata == {"used": 1}


def test_a_label_column_keeps_0_1_columns_as_metadata(images):
    data = open_table(images, {"label": ["x", "y", "x", "y"], "wet": [1, 0, 1, 0], "cold": [0, 1, 1, 0]})
    assert data.task == "multiclass"
    assert data.samples[0].labels == ()
    assert data.samples[0].metadata == {"wet": 1, "cold": 0}


def test_names_with_underscores_stay_whole(images):
    data = open_table(images, {"label": ["Crop_disease", "Crop_healthy", "Crop_disease", "Crop_healthy"]})
    assert data.task == "multiclass"


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"wet": [1, 0, 1, 2], "cold": [0, 1, 1, 0]}, {"labels": "wet,cold"}, "holds '2'"),
        ({"wet": [1, 0, 1, 0], "cold": [0, 1, 1, 0]}, {"labels": "wet,hot"}, "no column 'hot'"),
        ({"wet": [1, 0, 1, 0], "cold": [0, 1, 1, 0]}, {"labels": "wet"}, "not enough"),
        ({"wet": [1, 0, 1, 0], "cold": [0, 0, 0, 0]}, {}, "fewer than two labels"),
        ({"a|b": [1, 0, 1, 0], "cold": [0, 1, 0, 0]}, {}, "rename|holds a '\\|'"),
        ({"wet": [1, 0, 1, 0], "label": ["x", "y", "x", "y"]}, {"labels": "wet,label", "label": "label"}, "both"),
    ],
)
def test_what_cannot_be_labels_is_refused(images, columns, options, message):
    with pytest.raises(DataError, match=message):
        open_table(images, columns, **options)


def test_labels_are_refused_where_there_are_no_columns(images):
    with pytest.raises(DataError, match="labels=a,b"):
        ks.open("digits", labels=["a", "b"])
    with pytest.raises(DataError, match="is a folder"):
        ks.open(images, labels="a,b")


def test_metadata_beside_folders_does_not_pass_lists_off_as_classes(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4, 3), ord(name), np.uint8)).save(tmp_path / name / "1.png")
    (tmp_path / "metadata.csv").write_text("path,tags\nx/1.png,a|b\ny/1.png,b\n")
    with pytest.raises(DataError, match="lists of labels"):
        ks.open(tmp_path, label="tags")
    assert ks.open(tmp_path / "metadata.csv", label="tags").task == "multilabel"


def test_multilabel_sets_have_no_class_numbers(images):
    data = open_table(images, {"wet": [1, 0, 1, 0], "cold": [0, 1, 1, 0]})
    with pytest.raises(DataError, match="do not have one class each"):
        data.targets()


def test_the_digest_tells_the_task(images):
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["x|", "y"]})
    plain = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["x", "y"]})
    several, single = (from_frame(table, images) for table in (frame, plain))
    assert several.labels == single.labels == LabelSet(("x", "y"))
    assert several.digest != single.digest


def test_both_forms_of_a_table_say_the_same(tmp_path):
    columns, lists = (ks.open(write_shapes(tmp_path / name, 12, lists=name == "b")) for name in "ab")
    assert columns.labels == lists.labels
    np.testing.assert_array_equal(columns.indicators(), lists.indicators())
