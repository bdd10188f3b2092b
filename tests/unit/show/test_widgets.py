"""Leafing and classifying: what the pages hold, what the buttons do, and what shows without ipywidgets."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest

from keensight.core import pixels
from keensight.core.predictions import Predictions
from keensight.core.records import LabelSet
from keensight.errors import UsageError
from keensight.show.notebook import widgets


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setattr(widgets, "find_spec", lambda name: None)


class Named:
    """A classifier that names every readable picture a cat."""

    def predict_array(self, images):
        raise NotImplementedError

    def predict(self, images):
        names = tuple(f"image {i}" for i in range(len(images)))
        errors = {name: "not an image" for name, data in zip(names, images, strict=True) if data == b"text"}
        return Predictions(names, LabelSet(("cat", "<dog>")), np.tile(np.float32([0.9, 0.1]), (len(images), 1)), errors)


def picture():
    return pixels.encode_png(np.zeros((9, 9, 3), np.uint8))


def test_a_dataset_is_grouped_by_class_and_every_image_is_on_a_page(world):
    found = widgets.gallery(world.dataset)
    assert list(found.groups) == ["all classes", "cat", "dog", "owl"]
    assert found.pages("all classes") == 3
    assert {tile.lines[0] for tile in found.page("all classes", 1).tiles[:3]} == {"cat", "dog", "owl"}
    tiles = [tile for number in (1, 2, 3) for tile in found.page("all classes", number).tiles]
    assert {tile.path for tile in tiles} == {sample.path for sample in world.dataset.samples}


def test_an_evaluation_is_grouped_by_mistake_too(world):
    found = widgets.gallery(world.evaluation)
    assert len(found.groups["all mistakes"]) == 3
    mixed = [name for name in found.groups if " predicted as " in name]
    assert mixed
    assert sum(len(found.groups[name]) for name in mixed) == 3
    assert sum(len(found.groups[f"all {name}"]) for name in ("cat", "dog", "owl")) == 15
    assert found.page("all mistakes", 1).tiles[0].lines[1].startswith("predicted: ")


def test_images_that_are_not_at_hand_are_refused(world):
    with pytest.raises(UsageError, match="no images to browse"):
        widgets.browse(dataclasses.replace(world.dataset, reader=None))


def test_choosing_a_class_shows_it_from_its_first_page(world):
    box = widgets.browse(world.dataset)
    (group, page), view = box.children[0].children, box.children[1]
    assert "page 1 of 3" in view.value
    page.value = 3
    assert "page 3 of 3" in view.value
    group.value = "owl"
    assert "owl, page 1 of 1" in view.value
    assert page.max == 1


def test_a_saved_notebook_shows_a_sentence_where_there_is_no_kernel(world):
    for box, words in ((widgets.browse(world.dataset), "leaf through"), (widgets.classify(Named()), "drop pictures")):
        bundle = box._repr_mimebundle_()
        assert words in bundle["text/html"]
        assert "application/vnd.jupyter.widget-view+json" in bundle


def test_without_ipywidgets_the_first_page_shows_with_a_sentence(world, without):
    html = widgets.browse(world.dataset)._repr_html_()
    assert "page 1 of 3" in html and "data:image" in html and "pip install" in html
    assert "pip install" in repr(widgets.classify(Named()))


FILES = [("<b>.png", picture()), ("notes.txt", b"text")]


def answered(view):
    return (
        "cat 0.900" in view.value and "not an image" in view.value
        and "&lt;b&gt;.png" in view.value and "<dog>" not in view.value
        and view.value.count("data:image") == 1
    )  # fmt: skip


def test_pictures_that_are_dropped_are_answered():
    zone, view = widgets.classify(Named()).children
    zone.files = [{"name": name, "data": memoryview(data)} for name, data in FILES]
    assert answered(view)


def test_pictures_that_are_chosen_are_answered_where_none_can_be_dropped(monkeypatch):
    monkeypatch.setattr(widgets, "find_spec", lambda name: None if name == "anywidget" else name)
    button, view = widgets.classify(Named()).children
    button.value = tuple(
        {
            "name": name,
            "type": "image/png",
            "size": len(data),
            "content": memoryview(data),
            "last_modified": datetime.now(UTC),
        }
        for name, data in FILES
    )
    assert answered(view)


def test_a_run_is_to_be_loaded_first():
    with pytest.raises(UsageError) as caught:
        widgets.classify("runs/first")
    assert "ks.load" in caught.value.hint
