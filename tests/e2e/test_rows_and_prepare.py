"""An image is a row, not a path; and every way to a training splits with what the audit found."""

from __future__ import annotations

import csv
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.core.config import RunConfig
from keensight.core.progress import Silent
from keensight.core.records import PARTS, ImageSpec
from keensight.show.misclassified import find_mistakes
from keensight.workflow.prepare import prepare_data

pytestmark = pytest.mark.slow


def noise(rng, side=40):
    return Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8))


def write_table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "label", "split"), *rows])
    return path


def test_a_file_listed_in_two_splits_is_a_leak_row_by_row(tmp_path):
    """10 of 30 test rows are files of the training set, another 10 byte-identical copies of such."""
    rng, rows = np.random.default_rng(0), []
    for i in range(50):
        noise(rng).save(tmp_path / f"{i}.png")
        rows.append((f"{i}.png", "ab"[i % 2], "train" if i < 30 else "val" if i < 40 else "test"))
    rows += [(f"{i}.png", "ab"[i % 2], "test") for i in range(10)]
    for i in range(10, 20):
        (tmp_path / f"copy{i}.png").write_bytes((tmp_path / f"{i}.png").read_bytes())
        rows.append((f"copy{i}.png", "ab"[i % 2], "test"))
    run = ks.train(write_table(tmp_path / "t.csv", rows), run=tmp_path / "run", model="cnn", epochs=1)
    test = run.record.results["test"]
    assert (test["n"], test["cleaned_n"]) == (30, 10)
    assert "20 of 30 test images" in next(c["message"] for c in test["caveats"] if c["kind"] == "leak")
    evaluation = ks.evaluate(run)
    assert sorted(evaluation.rows.tolist()) == sorted(run.split.test)
    assert len(find_mistakes(evaluation)) == round(30 * (1 - evaluation.accuracy.value))


def test_one_file_under_two_labels_is_one_mistake_at_least(tmp_path):
    rng, rows = np.random.default_rng(1), []
    for i in range(40):
        noise(rng).save(tmp_path / f"{i}.png")
        rows.append((f"{i}.png", "ab"[i % 2], "train" if i < 20 else "val"))
    noise(rng).save(tmp_path / "both.png")
    rows += [("both.png", "a", "test"), ("both.png", "b", "test")]
    run = ks.train(write_table(tmp_path / "t.csv", rows), run=tmp_path / "run", model="cnn", epochs=1)
    evaluation = ks.evaluate(run)
    assert evaluation.accuracy.value == 0.5
    (mistake,) = find_mistakes(evaluation)
    assert evaluation.dataset.samples[mistake.index].label == mistake.truth != mistake.predicted
    assert run.predictions.right().sum() == 1


@pytest.fixture(scope="module")
def twins(tmp_path_factory) -> Path:
    """80 pictures, each as PNG and as JPEG."""
    folder, rng = tmp_path_factory.mktemp("twins"), np.random.default_rng(2)
    for i in range(80):
        place = folder / "ab"[i % 2]
        place.mkdir(exist_ok=True)
        picture = noise(rng, 8).resize((96, 96), Image.Resampling.BICUBIC)
        picture.save(place / f"{i}.png")
        picture.save(place / f"{i + 100}.jpg", quality=90)  # another name: not two forms of one file
    return folder


def torn(data, rows_of, paths=None):
    """Pictures whose two files are not in one and the same set of rows."""
    paths, place = paths or [sample.path for sample in data.samples], {}
    for name, rows in rows_of.items():
        for i in rows:
            place.setdefault(int(Path(paths[int(i)]).stem) % 100, set()).add(name)
    return sum(len(names) > 1 for names in place.values())


def parts_of(split):
    return {part: split.part(part) for part in PARTS}


def test_a_split_by_itself_keeps_near_duplicates_together(twins):
    data = ks.open(twins)
    split = ks.split(data)
    assert sum(len(split.part(part)) for part in PARTS) == 160
    assert torn(data, parts_of(split)) == 0


@pytest.mark.parametrize("size", [32, 96])
def test_every_preparation_does(twins, size):
    prepared = prepare_data(ks.open(twins), ImageSpec(size, size), RunConfig(), Silent())
    assert torn(prepared.dataset, parts_of(prepared.split)) == 0


def test_the_learning_curve_does_in_every_draw(twins, monkeypatch):
    learning_curve = import_module("keensight.workflow.learning_curve")  # the package has a function of that name
    """Neither between training and validation set, nor between what is drawn and what is left."""
    seen = []

    def noted(data, split, units, *rest):
        seen.append((data, split, units))
        return points(data, split, units, *rest)

    points = learning_curve._points
    monkeypatch.setattr(learning_curve, "_points", noted)
    curve = ks.learning_curve(twins)
    ((data, split, units),) = seen
    train, val = split.part("train"), split.part("val")
    assert len(curve.points) == 4
    assert torn(data, {"train": train, "val": val}) == 0
    drawn = learning_curve.draw(data.targets()[train], units, 0.5, 0)
    assert abs(len(drawn) - len(train) / 2) <= 4
    assert torn(data, {"drawn": train[drawn], "left": np.delete(train, drawn)}) == 0


def test_the_estimator_does(twins, monkeypatch):
    from keensight.workflow import estimator

    seen = []

    def noted(data, parts, *rest):
        seen.append((data, parts))
        return choose(data, parts, *rest)

    choose = estimator.choose_model
    monkeypatch.setattr(estimator, "choose_model", noted)
    paths = sorted(twins.rglob("*.*"))
    ks.ImageClassifier(model="cnn", epochs=1).fit([str(path) for path in paths], [path.parent.name for path in paths])
    ((data, parts),) = seen
    assert not parts.test
    assert torn(data, {"train": parts.train, "val": parts.val}, paths) == 0  # its samples are numbers


def test_duplicates_count_as_one_image_to_every_interval(twins, tmp_path):
    run = ks.train(twins, run=tmp_path / "run", model="cnn", epochs=1)
    clusters = run.predictions.clusters
    assert len(np.unique(clusters)) == len(run.split.test) // 2
    accuracy = run.evaluation.accuracy
    assert "effective" in accuracy.method
