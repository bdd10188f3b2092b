"""What a tree of paths may mean, where the table of sources has no case."""

import re

import pytest

import keensight as ks
from keensight.core.progress import Silent
from keensight.data.sources.folder_tables import choose_tables
from keensight.data.sources.layouts import Tree, find_layouts
from keensight.data.sources.tree_names import is_shard, loose_split_of, split_of
from sources import pictures


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"), ("Training Set", "train"), ("train-set", "train"), ("seg_train", "train"),
        ("trainval", "train"), ("train_val", "train"), ("images_train", "train"), ("VAL", "val"), ("valid", "val"),
        ("hold-out", "val"), ("test_images", "test"), ("testset", "test"), ("images", None), ("train engine", None),
        ("latest", None), ("contest", None), ("trained", None), ("développement", None), ("", None),
    ],
)  # fmt: skip
def test_names_of_splits(name, part):
    assert split_of(name) == part


def test_names_that_speak_of_a_split():
    assert loose_split_of("pets_train_2020") == "train"
    assert loose_split_of("train_or_test") is None


def test_numbered_folders():
    assert [name for name in ("part1", "images_003", "HAM_images_part_1", "class1", "7", "cat2") if is_shard(name)] == [
        "part1", "images_003", "HAM_images_part_1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"], {"cat", "dog"}),
        (["cat (1).jpg", "cat (2).jpg", "dog (1).jpg", "dog (2).jpg"], {"cat", "dog"}),
        (["no_cat_1.jpg", "no_cat_2.jpg", "cat_12.jpg", "cat_13.jpg"], {"no_cat", "cat"}),
        (["s1_00.png", "s1_01.png", "s2_02.png", "s2_03.png"], {"s1", "s2"}),
        (["1_cat.png", "2_cat.png", "3_dog.png", "4_dog.png"], {"cat", "dog"}),
    ],
)
def test_a_suggested_pattern_finds_the_classes(names, classes):
    paths = [f"images/{name}" for name in names]
    (layout,) = find_layouts(Tree(paths))
    (read,) = find_layouts(Tree(paths), pattern=layout.pattern)
    assert set(read.labels.values()) == classes


@pytest.mark.parametrize(
    "names", [["IMG_1.jpg", "IMG_2.jpg"], ["a1.jpg", "b2.jpg"], ["x.jpg", "y.jpg"], ["1.jpg", "2.jpg"]]
)
def test_no_pattern_is_suggested_for_other_names(names):
    (layout,) = find_layouts(Tree(names))
    assert layout.pattern == ""


@pytest.mark.parametrize(
    ("tables", "chosen"),
    [
        (["anything.csv"], [("anything.csv", None)]),
        (["train.csv", "test.csv", "val.csv"], [("train.csv", "train"), ("test.csv", "test"), ("val.csv", "val")]),
        (["labels.csv", "extra.csv"], [("labels.csv", None)]),
        (["train_labels.csv", "extra.csv"], [("train_labels.csv", None)]),
        (["a.csv", "b.csv"], []),
    ],
)
def test_the_tables_that_are_read(tables, chosen):
    assert choose_tables(tables, set()) == chosen


def test_the_table_of_each_split():
    tables = ["README.csv", "train/_classes.csv", "valid/_classes.csv"]
    assert choose_tables(tables, {"train", "val"}) == [("train/_classes.csv", "train"), ("valid/_classes.csv", "val")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_regex": "("}, "not a valid regular expression"),
        ({"label_regex": "fox"}, "matches no path"),
        ({"label_level": "middle"}, "no label level 'middle'"),
        ({"label_level": "top", "label_regex": "cat"}, "the class is set twice"),
    ],
)
def test_an_option_that_cannot_be_followed_is_an_error(tmp_path, options, message):
    pictures(tmp_path / "s", "cat/1.png", "dog/2.png")
    with pytest.raises(ks.KeensightError, match=re.escape(message)) as caught:
        ks.open(tmp_path / "s", progress=Silent(), **options)
    assert caught.value.hint


def test_only_folders_have_paths_to_take_the_class_from(tmp_path):
    with pytest.raises(ks.UsageError, match="is not a folder"):
        ks.open("digits", label_level="top")


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    pictures(tmp_path / "photos", "cat/1.png", "dog/2.png")
    assert len(ks.open("~/photos", progress=Silent())) == 2


def test_images_that_no_line_matches_are_counted(tmp_path):
    pictures(tmp_path / "s", "cat_1.png", "cat_2.png", "dog_3.png", "x.png")
    data = ks.open(tmp_path / "s", label_regex=r"([a-z]+)_\d", progress=Silent())
    assert data.reading.warnings == ("1 image not used: the label pattern does not match its path",)
