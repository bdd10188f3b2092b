"""Trees of images: splits are never classes, no file is lost, and a layout does not change what an image is."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keensight.data.sources.layouts import Tree, find_layouts
from keensight.data.sources.readers import open_source
from keensight.data.sources.tree_names import split_of
from sources import pictures

pytestmark = pytest.mark.slow

TRAIN = ("train", "training", "training_set", "seg_train", "trainval", "Train", "train_images")
VAL = ("val", "valid", "validation", "dev", "eval", "holdout", "Validation")
TEST = ("test", "testing", "test_set", "seg_test", "Test")
CLASSES = ("cat", "dog", "Zebra", "0", "1", "a b", "été", "no_defect", "IMG", "mask", "thumbs", "train engine")
NAMES = (*TRAIN, *VAL, *TEST, *CLASSES, "images", "data", "part1", "part2", "pred", "masks", "extra")


@st.composite
def orderly(draw):
    """A set of classes in one of the layouts that people use: its tree, and the class and split of each image."""
    classes = draw(st.lists(st.sampled_from(CLASSES), min_size=2, max_size=4, unique=True))
    kinds = draw(st.lists(st.sampled_from((TRAIN, VAL, TEST)), min_size=2, max_size=3, unique=True))
    splits = [draw(st.sampled_from(kind)) for kind in (TRAIN, *(kind for kind in kinds if kind is not TRAIN))]
    wrapper = draw(st.sampled_from(["", "archive/", "archive/pets/"]))
    doubled, inside = draw(st.booleans()), draw(st.sampled_from(["", "images/"]))
    order = draw(st.sampled_from(["split/class", "class/split", "class"]))
    found = {}
    for k, split in enumerate(splits):
        for j, label in enumerate(classes):
            for i in range(draw(st.integers(1, 3))):
                name = f"{k}{j}{i}.png"
                path = {
                    "split/class": f"{wrapper}{split}/{f'{split}/' * doubled}{inside}{label}/{name}",
                    "class/split": f"{wrapper}{label}/{split}/{name}",
                    "class": f"{wrapper}{label}/{name}",
                }[order]
                found[path] = (label, split_of(split) if order != "class" else None)
    if len(splits) == 1:
        found = {path: (label, None) for path, (label, _) in found.items()}
    return found


@given(orderly())
def test_classes_and_splits_are_found_in_every_usual_layout(found):
    layouts = find_layouts(Tree(list(found)))
    assert len(layouts) == 1
    (layout,) = layouts
    assert {path: (layout.labels[path], layout.parts.get(path)) for path in found} == found
    assert layout.skipped == () == layout.unlabeled


paths = st.lists(st.sampled_from(NAMES), max_size=4).map(tuple)
trees = st.lists(st.tuples(paths, st.integers(0, 5)), min_size=1, max_size=30).map(
    lambda files: sorted({"/".join((*folders, f"{i}.png")) for folders, i in files})
)


@given(trees)
def test_no_image_is_lost_or_counted_twice(images):
    for layout in find_layouts(Tree(images, ["labels.csv", "notes.txt"])):
        told = [*layout.labels, *layout.unlabeled, *(item.path for item in layout.skipped)]
        assert sorted(told) == images
        assert layout.parts.keys() <= layout.labels.keys() | set(layout.unlabeled)


@example(["train/train/0.png", "train/val/0.png", "training/0.png"])
@given(trees)
def test_two_splits_are_never_two_classes(images):
    for layout in find_layouts(Tree(images)):
        if not layout.option:  # which a user has to choose
            assert len({split_of(label) for label in layout.labels.values()} - {None}) < 2


@given(trees, st.sampled_from(["top", "leaf", "path"]))
def test_a_level_always_decides_between_nested_folders(images, level):
    layouts = find_layouts(Tree(images), level=level)
    assert len(layouts) == 1 or all("--label-level" not in layout.option for layout in layouts)


@given(trees)
def test_a_pattern_always_decides(images):
    (layout,) = find_layouts(Tree(images), pattern=r"(\d)\.png$")
    assert all(path.endswith(f"{label}.png") for path, label in layout.labels.items())


DIGESTS = {}


@settings(max_examples=20)
@given(orderly())
def test_the_same_images_have_the_same_digests_in_any_layout(found):
    with tempfile.TemporaryDirectory() as place:
        pictures(Path(place), *found)
        data = open_source(place)
    for sample in data:
        name = sample.path.rpartition("/")[2]
        assert DIGESTS.setdefault(name, sample.digest) == sample.digest != ""
    assert {sample.path: (sample.label, sample.split) for sample in data} == found
