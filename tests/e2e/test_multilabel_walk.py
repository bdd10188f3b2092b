"""A multi-label table from training to answers, by the command line and in Python."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

import keensight as ks
from keensight.cli.main import root
from keensight.core.progress import Silent
from keensight.errors import DataError, UsageError
from keensight.workflow import write_predictions
from keensight.workflow.review import open_session
from multilabel_builders import SHAPES, write_shapes

pytestmark = pytest.mark.slow

WRONG = tuple((image, SHAPES[image % 3]) for image in range(0, 400, 25))
"""Labels that the table has wrong: missing, or there without reason."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    table = write_shapes(folder / "images", 400)
    with table.open(newline="") as stream:
        head, *rows = csv.reader(stream)
    for image, label in WRONG:
        place = head.index(label)
        rows[image][place] = str(1 - int(rows[image][place]))
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([head, *rows])
    settings = {"train.epochs": 10, "augment.flip": "none", "train.label_check": "yes"}
    return ks.train(table, run=folder / "run", model="cnn", settings=settings)


def test_three_labels_are_learned(run):
    test = run.record.results["test"]
    assert run.record.results["labels"] == list(SHAPES)
    assert test["map"] > 0.9
    assert test["map_ci"][0] <= test["map"] <= test["map_ci"][1]
    assert test["micro_f1"] > 0.8
    assert 0 < test["accuracy"] <= 1
    best = run.history.epochs[run.history.best_epoch - 1]
    assert best.val_map > 0.9
    assert "label_smoothing = 0.0" in run.config_path.read_text()
    assert run.split.method.count("label by label")
    assert "Results by label" in run.report_path.read_text(encoding="utf-8")


def test_wrong_and_missing_labels_are_named(run):
    found = run.label_suspects
    assert (found.n, found.pairs, found.accuracy_range) == (400, 1200, None)
    wrong = {(f"{image}.png", label) for image, label in WRONG}
    named = {(one.path.rpartition("/")[2], one.given.removeprefix("not ")) for one in found.suspects}
    assert len(named & wrong) >= 0.8 * len(named)
    assert len(named & wrong) >= 0.6 * len(wrong)
    labels_of = {sample.path: sample.labels for sample in run.dataset.samples}
    for one in found.suspects:
        if one.suggested.startswith("not "):
            assert one.suggested == f"not {one.given}"
            assert one.given in labels_of[one.path]
        else:
            assert one.given == f"not {one.suggested}"
            assert one.suggested not in labels_of[one.path]
    assert {one.suggested.startswith("not ") for one in found.suspects} == {True, False}
    assert run.record.results["label_check"]["suspects"] == len(found.suspects)
    assert (run.path / "suspects.csv").read_text(encoding="utf-8").count("\n") == 1 + len(found.suspects)
    page = run.report_path.read_text(encoding="utf-8")
    assert "1,200 pairs of image and label are suspicious" in page
    assert "keensight review" not in page
    with pytest.raises(DataError, match="multi-label run"):
        open_session(run, progress=Silent())


def test_the_bundle_decides_by_thresholds_of_the_validation_part(run):
    manifest = ks.open_bundle(run.path).manifest
    assert manifest.task == "multilabel"
    assert len(manifest.decision["thresholds"]) == 3
    classifier = ks.load(run)
    assert classifier.thresholds == tuple(manifest.decision["thresholds"])
    assert ks.open_bundle(run.path).prototypes() is None


def test_a_stored_evaluation_is_that_of_the_bundle(run):
    stored = ks.evaluate(run)
    again = ks.evaluate(ks.load(run), run.path.parent / "images" / "table.csv", split=run.split)
    assert again.accuracy == stored.accuracy
    assert again.multilabel.per_label[0].counts == stored.multilabel.per_label[0].counts
    assert again.loss == pytest.approx(stored.loss, abs=1e-4)
    np.testing.assert_allclose(again.predictions.probabilities, stored.predictions.probabilities, atol=1e-3)


def test_another_table_is_measured_by_the_names_of_its_labels(run, tmp_path):
    table = write_shapes(tmp_path / "new", 60, seed=5, lists=True)
    found = ks.evaluate(run, table)
    assert found.n == 60
    assert found.labels.names == SHAPES
    assert found.headline()["map"] > 0.85
    (tmp_path / "new" / "table.csv").write_text("path,label\n0.png,bar|cube\n1.png,dot\n")
    with pytest.raises(DataError, match="cube"):
        ks.evaluate(run, table)


def test_a_learning_curve_is_refused_before_any_features_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match="is a multi-label set, and a learning curve needs one class") as told:
        ks.learning_curve(write_shapes(tmp_path / "images", 80))
    assert "--label COLUMN (label= in Python)" in told.value.hint


def test_predictions_name_all_labels(run, tmp_path):
    images = run.path.parent / "images"
    asked = ["predict", str(run.path), str(images / "0.png"), str(images / "1.png"), "--json"]
    answer = CliRunner().invoke(root, asked)
    rows = json.loads(answer.stdout)
    assert [row["label"] for row in rows] == ["|".join(row["labels"]) for row in rows]
    assert len(rows[0]["top"]) == 3
    write_predictions(ks.predict(run, images / "0.png"), tmp_path / "out.csv", top=2)
    with (tmp_path / "out.csv").open(newline="") as stream:
        row = next(csv.DictReader(stream))
    assert list(row) == ["path", "label", "probability", "decision", "reason", "error", "note", "set", "ood_score",
                         "model", "label_1", "probability_1", "label_2", "probability_2"]  # fmt: skip
    assert row["label_1"] == rows[0]["top"][0][0]


def test_no_label_is_enrolled(run, tmp_path):
    with pytest.raises(UsageError, match="multi-label"):
        ks.enrol(run, "cube", run.path.parent / "images" / "0.png", tmp_path / "wider")
