import numpy as np
import pytest

from keensight.core.records import Epoch, History, LabelSet
from keensight.core.task import Task
from keensight.errors import StoreError
from keensight.store import run_tables
from keensight.store.bundle import open_bundle
from keensight.store.model_card import model_card
from multilabel_builders import labelled, scored
from store_builders import make_bundle, make_run

THREE = LabelSet(("ant", "bee | wasp", "Ñandú"))
DECISION = {"rule": "labels at or above their thresholds", "mirror": False, "thresholds": [0.25, 0.5, 0.75]}


def test_a_multilabel_dataset_comes_back_whole(tmp_path):
    data = labelled(np.array([[1, 1], [0, 0], [0, 1]], bool), ("Ñandú", "bee"))
    run_tables.write_dataset(tmp_path / "dataset.parquet", data)
    again = run_tables.read_dataset(tmp_path / "dataset.parquet")
    assert again == data
    assert again.task == "multilabel"
    assert again.digest == data.digest


def test_a_run_keeps_a_multilabel_evaluation(tmp_path):
    found = scored()
    run = make_run(tmp_path / "run")
    run.save_evaluation(found)
    assert run.evaluation == found.figures
    again = run.predictions
    assert again.thresholds == pytest.approx(found.predictions.thresholds)
    assert [again.named(i) for i in range(40)] == [found.predictions.named(i) for i in range(40)]
    header, first = (run.path / "evaluation" / "confusion.csv").read_text().splitlines()[:2]
    assert header == "label,true_negative,false_positive,false_negative,true_positive"
    assert first == "bar," + ",".join(map(str, found.multilabel.per_label[0].counts))
    lines = (run.path / "evaluation" / "predictions.csv").read_text().splitlines()
    right = [line.split(",")[4] for line in lines[1:] if '"' not in line]
    assert {"True", "False"} == set(right)


def test_the_history_keeps_the_ranking_only_where_there_is_one(tmp_path):
    run = make_run(tmp_path / "run")
    epochs = (Epoch(1, "head", 1, 1.0, 0.0, 0.5, 0.9, 0.5, 0.9, 0.75), Epoch(2, "top", 1, 1.0, 0.0, 0.5, 0.9, 0.5, 0.9))
    for epoch in epochs:
        run.append_epoch(epoch)
    run.save_history(History(epochs, 1))
    assert run.history.epochs == epochs
    assert [epoch.reached for epoch in run.history.epochs] == [0.75, 0.9]
    assert "val_map" not in (run.path / "history.jsonl").read_text().splitlines()[1]


def test_a_bundle_keeps_its_thresholds(tmp_path):
    make_bundle(tmp_path / "bundle", task=Task.MULTILABEL, decision=DECISION)
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert manifest.decision["thresholds"] == [0.25, 0.5, 0.75]
    assert "Predicts which of 3 labels" in model_card(manifest)


@pytest.mark.parametrize("thresholds", [None, [0.5, 0.5], [0.5, 0.5, 1.5], [0.5, 0.5, "x"], [0.5, 0.5, True], "abc"])
def test_a_bundle_without_a_threshold_for_each_label_is_refused(tmp_path, thresholds):
    with pytest.raises(StoreError, match="threshold"):
        make_bundle(tmp_path / "bundle", task=Task.MULTILABEL, decision=DECISION | {"thresholds": thresholds})


def test_the_card_tells_each_label(tmp_path):
    bundle = make_bundle(tmp_path / "bundle", task=Task.MULTILABEL, decision=DECISION)
    card = model_card(bundle.manifest, scored())
    assert "**mean average precision" in card
    assert "| never | - | 0.000 | 0.90 |" in card
    assert "any number of them" in card
