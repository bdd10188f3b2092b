from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keensight.assess.shortcuts import _Aspect, _words
from keensight.core.audit import Probe
from keensight.core.interval import Interval
from keensight.core.records import ImageInfo, LabelSet
from keensight.show import misclassified, text, thumbnails


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.97, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_duration(seconds, words):
    assert text.duration(seconds) == words


def test_shorten_keeps_both_ends():
    assert text.shorten("Tomato_late_blight_on_leaf", 12) == "Tomato_l…eaf"
    assert text.shorten("short", 12) == "short"
    assert all(len(text.shorten("x" * 50, width)) <= width for width in range(3, 50))


def test_clean_takes_out_what_a_screen_cannot_show():
    assert text.clean("a\x1b[31mb\nc") == "a\\x1b[31mb\\nc"
    assert text.clean("stray \udcff byte") == "stray \\udcff byte"
    assert text.clean("naïve 猫", "ascii") == "na?ve ?"
    assert text.clean("naïve 猫") == "naïve 猫"


def test_interval_is_ascii():
    words = text.interval(Interval(0.9733, 0.9614, 0.9821))
    assert words == "0.973 (95% CI 0.961 to 0.982)"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("odd-colour", "unusual colors"), ("odd-size", "unusual sizes"), ("odd-aspect", "unusual aspect ratios"),
        ("unlabelled", "unlabeled"), ("near-duplicate", "near-duplicate"), ("label-conflict", "label conflict"),
    ],
)  # fmt: skip
def test_the_kind_of_a_finding_is_shown_in_words(kind, words):
    assert text.finding_name(kind) == words


def test_every_kind_of_finding_in_the_docs_is_shown_in_american_words():
    table = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8").split("## Findings")[1]
    rows = [line.split("|")[1] for line in table.split("##")[0].splitlines() if line.startswith("| `")]
    kinds = [kind for row in rows for kind in re.findall("`([a-z-]+)`", row)]
    assert len(kinds) > 20
    shown = " ".join(text.finding_name(kind) for kind in kinds)
    assert not re.search(r"\bodd\b|colour|labell", shown)


def test_settings_lose_their_section_unless_two_would_be_alike():
    assert text.short_names(["train.epochs", "model.width", "seed"]) == ["epochs", "width", "seed"]
    assert text.short_names(["train.epochs", "model.width"], ["epochs"]) == ["train.epochs", "width"]
    assert text.short_names(["train.size", "model.size", "augment.erase"]) == ["train.size", "model.size", "erase"]


def test_a_shortcut_is_compared_with_a_reference_in_american_words():
    aspect = _Aspect("corners", "the corners", {}, "crop them", "centre")
    rival = Probe("centre", Interval(0.3, 0.2, 0.4), 0.25, 0.3, 40, "reference", "")
    words = _words(aspect, 0.9, rival, [], SimpleNamespace(chance=0.25), 40)
    assert words == (
        "The corners alone predicts the class of 90% of 40 images (chance 25%, small square in the center 30%)"
    )


def test_spread_takes_every_class_before_any_twice(world):
    chosen = misclassified.spread(world.dataset, 7)
    counts = Counter(world.dataset.samples[i].label for i in chosen)
    assert sorted(counts.values()) == [2, 2, 3]
    assert len(set(chosen)) == 7


def test_spread_leaves_unreadable_images_out(world):
    samples = tuple(dataclasses.replace(s, error="empty" if s.label == "dog" else None) for s in world.dataset.samples)
    dataset = dataclasses.replace(world.dataset, samples=samples)
    assert {dataset.samples[i].label for i in misclassified.spread(dataset, 100)} == {"cat", "owl"}
    assert misclassified.spread(dataclasses.replace(dataset, samples=()), 5) == []


def test_mistakes_name_truth_answer_and_confidence(world):
    found = misclassified.find_mistakes(world.evaluation)
    assert len(found) == 3
    first = world.dataset.samples[world.split.test[0]]
    assert (found[0].path, found[0].truth) == (first.path, first.label)
    assert found[0].predicted != first.label
    assert found[0].confidence == pytest.approx(0.95)


def test_images_that_could_not_be_read_are_no_mistakes(world):
    predictions = world.evaluation.predictions
    probabilities = predictions.probabilities.copy()
    probabilities[0] = np.nan
    evaluation = dataclasses.replace(
        world.evaluation, predictions=dataclasses.replace(predictions, probabilities=probabilities)
    )
    assert len(misclassified.find_mistakes(evaluation)) == 2


def test_mixups_are_off_the_diagonal_and_sorted():
    pairs = misclassified.confused_pairs(((5, 1, 0), (0, 8, 2), (0, 0, 0)), LabelSet(("a", "b", "c")))
    assert [(p.truth, p.predicted, p.count) for p in pairs] == [("b", "c", 2), ("a", "b", 1)]
    assert pairs[0].share == pytest.approx(0.2)


def test_thumbnails_keep_their_shape_and_never_grow(make_world):
    large = make_world(side=300).dataset
    assert thumbnails.thumbnail(large, 0, 128).shape == (128, 128, 3)
    small = make_world(side=12).dataset
    assert thumbnails.thumbnail(small, 0, 128).shape == (12, 12, 3)
    assert np.array_equal(thumbnails.thumbnail(small, 0, 128), small.load(0))


class _Files:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def load(self, sample):
        return self.data


def test_thumbnails_stand_upright_and_broken_files_have_none(world):
    import io

    from PIL import Image

    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(stream, "JPEG", exif=exif)
    lying = dataclasses.replace(world.dataset, reader=_Files(stream.getvalue()))
    assert thumbnails.thumbnail(lying, 0, 100).shape == (100, 50, 3)
    broken = dataclasses.replace(world.dataset, reader=_Files(b"no image"))
    assert thumbnails.thumbnail(broken, 0) is None


def test_small_images_stay_exact_and_large_ones_small():
    noise = np.random.default_rng(0).integers(0, 255, (144, 144, 3), dtype=np.uint8)
    assert thumbnails.data_uri(noise[:32, :32]).startswith("data:image/png;base64,")
    photo = thumbnails.data_uri(noise)
    assert photo.startswith("data:image/jpeg;base64,")
    assert len(photo) < 4 / 3 * noise.nbytes / 2


def test_image_info_is_not_needed_for_a_thumbnail(world):
    wrong = dataclasses.replace(world.dataset.samples[0], info=ImageInfo("PNG", "RGB", 999, 1))
    dataset = dataclasses.replace(world.dataset, samples=(wrong, *world.dataset.samples[1:]))
    assert thumbnails.thumbnail(dataset, 0).shape == (12, 12, 3)
