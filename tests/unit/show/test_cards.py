"""What a notebook shows of each record: its figures, escaped, small, and from the disk only what is there."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from keensight.core.predictions import Predictions
from keensight.core.records import Dataset, History, LabelSet, RunRecord, Sample, Split
from keensight.show.notebook import cards

LIMIT = 200_000


def shown(card):
    html = cards.render(card)
    assert len(html) < LIMIT
    return html


def test_a_dataset_shows_its_classes_and_some_images(world):
    html = shown(cards.dataset(world.dataset))
    assert "60 images, 3 classes" in html
    assert html.count("data:image/png") == 20
    assert repr(world.dataset) == "<Dataset small world: 60 images, 3 classes>"


def test_a_dataset_without_images_at_hand_shows_none(world):
    html = shown(cards.dataset(dataclasses.replace(world.dataset, reader=None)))
    assert "data:image" not in html
    assert "owl" in html


def test_large_pictures_and_many_classes_stay_small():
    draw = np.random.default_rng(0)
    images = draw.integers(0, 255, (30, 400, 400, 3), dtype=np.uint8)
    names = tuple(f"{'long ' * 60}{i}" for i in range(1000))
    samples = tuple(Sample(f"{'deep/' * 200}{i}.png", names[i % 1000], str(i)) for i in range(3000))
    reader = SimpleNamespace(load=lambda sample: images[int(sample.digest) % 30])
    html = shown(cards.dataset(Dataset("x" * 500, "arrays", LabelSet(names), samples, reader=reader)))
    assert "and 988 more" in html


def test_nothing_from_a_name_becomes_markup(make_world):
    bad = "<script>alert(1)</script>"
    world = make_world(names=(bad, "b"))
    record = RunRecord(2, bad, "failed", "", "", bad, "cnn", "", 0, {}, message=bad)
    run = SimpleNamespace(
        record=record, state=record.state, path=bad, report_path=SimpleNamespace(is_file=lambda: False)
    )
    made = [
        cards.dataset(dataclasses.replace(world.dataset, name=bad)),
        cards.audit(dataclasses.replace(world.audit, dataset=bad)),
        cards.evaluation(world.evaluation),
        cards.predictions(world.evaluation.predictions),
        cards.run(run),
        cards.split(Split((0,), (1,), (2,), bad)),
    ]
    for card in made:
        assert "<script" not in shown(card)
        assert "&lt;script" in shown(card)


def test_an_audit_shows_the_gravest_first_and_what_cannot_be_read(world):
    html = shown(cards.audit(world.audit))
    assert html.index("severe") < html.index("The classes differ in size.")
    assert "a/broken&lt;1&gt;.jpg" in html and "the file is empty" in html
    assert "findings: 1 severe, 1 info" in repr(world.audit) and "1 unreadable" in repr(world.audit)


def test_a_clean_audit_says_so(world):
    assert "No problems found" in shown(cards.audit(dataclasses.replace(world.audit, findings=())))


def test_a_split_shows_sizes_and_method(world):
    html = shown(cards.split(world.split))
    assert "50%" in html and "Stratified by class." in html
    assert repr(world.split) == "<Split train 30, val 15, test 15>"


def test_a_history_shows_curves_of_every_epoch(world):
    html = shown(cards.history(world.history))
    assert "data:image/png;base64," in html
    assert "8 epochs in 12.0 s; best: epoch 6" in html and "Early stopping" in html
    assert "kept epoch 6: val loss 0.8000" in repr(world.history)


@pytest.mark.parametrize("past", [History((), 0), History((), 0, "interrupted")])
def test_a_history_of_nothing_is_no_failure(past):
    assert "no epoch was completed" in shown(cards.history(past))
    assert repr(past) == "<History of no epoch>"


def test_an_evaluation_shows_its_interval_weak_classes_and_mistakes(world):
    html = shown(cards.evaluation(world.evaluation))
    assert "0.800 (95% CI 0.700 to 0.800)" in html and "n = 15" in html
    assert html.index("cat</td>") < html.index("dog</td>")  # the weakest first
    assert html.count("predicted: ") == 3
    assert "n = 15)" in repr(world.evaluation)


def test_an_evaluation_read_from_a_run_has_no_pictures(world):
    bare = world.evaluation.figures
    assert "data:image" not in shown(cards.evaluation(bare))


def test_predictions_show_files_that_are_there_and_errors(tmp_path):
    from keensight.core import pixels

    (tmp_path / "a.png").write_bytes(pixels.encode_png(np.zeros((9, 9, 3), np.uint8)))
    paths = (str(tmp_path / "a.png"), str(tmp_path / "gone.png"), "image 2", "nul\0byte")
    table = np.array([[0.7, 0.3], [np.nan, np.nan], [0.1, 0.9], [0.5, 0.5]], np.float32)
    found = Predictions(paths, LabelSet(("cat", "dog")), table, {paths[1]: "cannot be read: no such file"})
    html = shown(cards.predictions(found))
    assert html.count("data:image") == 1
    assert "0.700" in html and "cannot be read: no such file" in html
    assert repr(found) == "<Predictions of 4 images, 2 classes, 1 unreadable>"


def test_a_run_shows_its_headline_or_why_it_ended(tmp_path):
    report = tmp_path / "report.html"
    record = RunRecord(2, "first", "finished", "", "", "photos", "cnn", "", 0, {}, results={
        "test": {"accuracy": 0.9512, "accuracy_ci": [0.94, 0.96], "n": 1500}, "data": {"train": 7000},
    })  # fmt: skip
    run = SimpleNamespace(record=record, state=record.state, path=tmp_path, report_path=report)
    html = shown(cards.run(run))
    assert "finished: test accuracy 95.1% (95% CI 94.0% to 96.0%, n = 1,500)" in html
    assert "train 7,000" in html and "report.html" not in html
    report.write_text("x")
    assert "report.html" in shown(cards.run(run))
    run.record = dataclasses.replace(record, state="interrupted", results={}, message="stopped by the user")
    run.state = "interrupted"
    assert "interrupted: stopped by the user" in shown(cards.run(run))
