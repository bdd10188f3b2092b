import csv
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from keensight.core.anomaly import AnomalyScores, Limits
from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.predictions import Predictions
from keensight.core.records import Dataset, LabelSet, Reading
from keensight.core.task import Task
from keensight.errors import StoreError
from keensight.store import run_tables
from store_builders import dataset, evaluation, split


def test_the_dataset_opens_in_pandas(tmp_path: Path) -> None:
    run_tables.write_dataset(tmp_path / "d.parquet", dataset())
    frame = pd.read_parquet(tmp_path / "d.parquet")
    assert list(frame.columns) == [
        "path", "label", "digest", "size", "group", "split", "metadata",
        "format", "mode", "width", "height", "frames", "orientation", "error",
    ]  # fmt: skip
    assert len(frame) == 12
    assert frame["error"].notna().sum() == 1


def test_an_empty_dataset_comes_back(tmp_path: Path) -> None:
    empty = Dataset("none", "folder", LabelSet(("a", "b")), ())
    run_tables.write_dataset(tmp_path / "d.parquet", empty)
    assert run_tables.read_dataset(tmp_path / "d.parquet") == empty


def test_how_a_source_was_read_comes_back(tmp_path: Path) -> None:
    read = dataclasses.replace(dataset(), reading=Reading("folder per class", "a", "b", ("c",), ("d", "e")))
    run_tables.write_dataset(tmp_path / "d.parquet", read)
    assert run_tables.read_dataset(tmp_path / "d.parquet").reading == read.reading


@pytest.mark.slow
def test_twenty_thousand_samples_take_no_time_to_speak_of(tmp_path: Path) -> None:
    one = dataset(3).samples[1]
    many = Dataset(
        "many", "table", dataset().labels,
        tuple(dataclasses.replace(one, path=f"{i}.jpg", digest=f"{i:064x}") for i in range(20_000)),
    )  # fmt: skip
    started = time.process_time()
    run_tables.write_dataset(tmp_path / "d.parquet", many)
    assert run_tables.read_dataset(tmp_path / "d.parquet") == many
    assert time.process_time() - started < 4


def test_split_lists_every_image_with_its_part(tmp_path: Path) -> None:
    data, parts = dataset(), split()
    run_tables.write_split(tmp_path / "s.csv", parts, data)
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [sample.path for sample in data.samples]
    assert [row["part"] for row in rows] == ["train"] * 7 + ["val"] * 2 + ["test"] * 2 + [""]
    assert rows[0]["digest"] == data.samples[0].digest


def test_predictions_are_a_plain_table(tmp_path: Path) -> None:
    data, parts = dataset(), split()
    measured = evaluation(data, parts).predictions
    run_tables.write_predictions(tmp_path / "p.csv", measured)
    frame = pd.read_csv(tmp_path / "p.csv")
    assert list(frame.columns) == ["path", "true", "predicted", "confidence", "correct", *(
        f"p_{name}" for name in data.labels.names
    ), "row"]  # fmt: skip
    assert list(frame["row"]) == parts.part("test").tolist()
    assert list(frame["correct"]) == list(frame["true"] == frame["predicted"])
    np.testing.assert_allclose(frame["confidence"], frame.filter(like="p_").max(axis=1))


@pytest.mark.parametrize(
    "name", ["NA", "null", "nan", "001", "", 'quo"te', "a,b", "line\nbreak", "=1+1", "None", "@x", "-y", "'=2"]
)
def test_paths_and_classes_are_never_taken_for_numbers_or_gaps(tmp_path: Path, name: str) -> None:
    labels = LabelSet((name, "path"))
    predictions = Predictions(
        (name, "1e5"), labels, np.array([[0.1, 0.9], [1 / 3, 2 / 3]], np.float32), truth=np.array([0, 1])
    )
    run_tables.write_predictions(tmp_path / "p.csv", predictions)
    again = run_tables.read_predictions(tmp_path / "p.csv", labels)
    assert again == predictions
    np.testing.assert_array_equal(again.probabilities, predictions.probabilities)
    assert [again.true(0), again.true(1)] == [(name,), ("path",)]


def test_every_float32_comes_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.random((2000, 2)).astype(np.float32) ** 20
    predictions = Predictions(tuple(map(str, range(2000))), LabelSet(("a", "b")), values, truth=np.zeros(2000, int))
    run_tables.write_predictions(tmp_path / "p.csv", predictions)
    np.testing.assert_array_equal(
        run_tables.read_predictions(tmp_path / "p.csv", predictions.labels).probabilities, values
    )


def test_of_an_older_run_a_path_that_is_listed_twice_gives_its_rows_in_turn() -> None:
    data = dataset()
    twice = dataclasses.replace(data.samples[0], label="Ñandú")
    data = dataclasses.replace(data, samples=(data.samples[0], twice, *data.samples[1:]))
    path = twice.path
    once = data.samples[3].path
    assert run_tables.rows_of([path, path, once, once], data).tolist() == [0, 1, 3, 3]
    with pytest.raises(StoreError, match="no image 'elsewhere'"):
        run_tables.rows_of(["elsewhere"], data)


def test_the_confusion_table_names_rows_and_columns(tmp_path: Path) -> None:
    measured = evaluation(dataset(), split())
    run_tables.write_confusion(tmp_path / "c.csv", measured)
    frame = pd.read_csv(tmp_path / "c.csv", index_col=0)
    assert list(frame.index) == list(frame.columns) == list(measured.labels.names)
    assert frame.to_numpy().tolist() == [list(row) for row in measured.confusion]


def test_predictions_of_other_classes_are_refused(tmp_path: Path) -> None:
    predictions = Predictions(("a.jpg",), LabelSet(("a", "b")), np.array([[0.1, 0.9]], np.float32), truth=np.array([0]))
    run_tables.write_predictions(tmp_path / "p.csv", predictions)
    with pytest.raises(StoreError, match="classes"):
        run_tables.read_predictions(tmp_path / "p.csv", LabelSet(("b", "a")))


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"\xff\xfe\x00nonsense" * 50])
def test_damaged_tables_are_store_errors(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "table"
    path.write_bytes(damage)
    with pytest.raises(StoreError, match="cannot be read"):
        run_tables.read_dataset(path)
    with pytest.raises(StoreError, match="cannot be read"):
        run_tables.read_predictions(path, LabelSet(("a", "b")))


@pytest.mark.parametrize(
    "text",
    [
        "path,digest\na,b\n",
        "path,digest,label,part\na,b,c,holdout\n",
        'path,part\n"a',
        'path,part\n"a"x,val\n',
    ],
)
def test_a_damaged_split_is_a_store_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(StoreError, match="cannot be read"):
        run_tables.read_split(tmp_path / "s.csv", "any")


def test_a_truncated_dataset_is_a_store_error(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    run_tables.write_dataset(path, dataset())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match="cannot be read"):
        run_tables.read_dataset(path)


def test_the_scores_of_a_single_image_come_back(tmp_path: Path) -> None:
    scores = AnomalyScores(("x.png",), np.array([1.5], np.float32), indices=np.array([7]), truth=("hole",))
    evaluation = AnomalyEvaluation("test", 0, 1, None, None, None, Limits(1.0, 1.0, 0.05, 20), anomaly_scores=scores)
    run_tables.save_anomalies(tmp_path, evaluation)
    found = run_tables.read_anomalies(tmp_path, dataset()).anomaly_scores
    assert found is not None
    assert found.indices is not None
    assert (found.paths, found.scores.tolist(), found.indices.tolist(), found.truth) == (
        ("x.png",),
        [1.5],
        [7],
        ("hole",),
    )


def test_the_columns_of_a_dataset_have_their_types(tmp_path: Path) -> None:
    run_tables.write_dataset(tmp_path / "d.parquet", dataset())
    kinds = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "d.parquet")}
    assert {name: kind for name, kind in kinds.items() if kind != "string"} == {
        "size": "int64", "width": "int32", "height": "int32", "frames": "int32", "orientation": "int8",
    }  # fmt: skip


@pytest.mark.parametrize(
    "read", [run_tables.read_dataset, lambda path: run_tables.read_split(path, "any"),
             lambda path: run_tables.read_predictions(path, LabelSet(("a", "b")))]
)  # fmt: skip
def test_a_table_that_is_missing_was_not_written(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(StoreError, match="table is missing") as caught:
        read(tmp_path / "table")
    assert caught.value.hint == "the run stopped before writing it; train again"


def test_why_a_table_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("path,digest,label,part\na,b,c,holdout\n")
    with pytest.raises(StoreError, match=r"s\.csv cannot be read: 'holdout'$") as caught:
        run_tables.read_split(tmp_path / "s.csv", "any")
    assert caught.value.hint == "the file is damaged; restore it or train again"


def test_digests_are_of_the_given_parts_and_of_readable_images(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "path,digest,label,part\n1,d1,a,train\n2,d2,a,val\n3,d3,a,test\n4,,a,train\n5,d5,a,\n"
    )
    assert run_tables.read_digests(tmp_path / "s.csv", ("train", "val")) == {"d1", "d2"}
    assert run_tables.read_digests(tmp_path / "s.csv", ("test",)) == {"d3"}


@pytest.mark.parametrize("names", [("a", "b"), ("row", "cluster"), ("ood_score", "unlike")])
def test_all_that_is_known_of_predictions_comes_back_whatever_the_classes_are_called(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    predictions = Predictions(
        ("1.png", "2.png"), LabelSet(names), np.array([[0.25, 0.75], [1, 0]], np.float32), truth=np.array([1, 0]),
        ood_scores=np.array([0.5, 2], np.float32), odd=np.array([False, True]), indices=np.array([7, 3]),
        clusters=np.array([1, 1]),
    )  # fmt: skip
    run_tables.write_predictions(tmp_path / "p.csv", predictions)
    header = (tmp_path / "p.csv").read_text().splitlines()[0].split(",")
    assert header[:5] == ["path", "true", "predicted", "confidence", "correct"]
    assert header[5:] == [*(f"p_{name}" for name in names), "ood_score", "unlike", "row", "cluster"]
    again = run_tables.read_predictions(tmp_path / "p.csv", predictions.labels)
    for name in ("probabilities", "truth", "ood_scores", "odd", "indices", "clusters"):
        np.testing.assert_array_equal(getattr(again, name), getattr(predictions, name))
    rows = dataclasses.replace(predictions, ood_scores=None, odd=None, clusters=None)
    run_tables.write_predictions(tmp_path / "p.csv", rows)
    fewer = run_tables.read_predictions(tmp_path / "p.csv", predictions.labels)
    assert (fewer.ood_scores, fewer.odd, fewer.clusters) == (None, None, None)
    assert fewer.indices is not None and fewer.indices.tolist() == [7, 3]


@pytest.mark.parametrize("columns", ["cluster,row", "row,row", "more", "p_c"])
def test_columns_of_predictions_that_are_not_known_are_refused(tmp_path: Path, columns: str) -> None:
    further = ",".join("1" for _ in columns.split(","))
    text = f"path,true,predicted,confidence,correct,p_a,p_b,{columns}\nx,a,a,1,True,1,0,{further}\n"
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(StoreError, match="its columns do not match the model's classes"):
        run_tables.read_predictions(tmp_path / "p.csv", LabelSet(("a", "b")))


def test_labels_of_images_with_none_one_or_several_come_back(tmp_path: Path) -> None:
    truth = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 1]], np.uint8)
    predictions = Predictions(
        ("1", "2", "3"), LabelSet(("a", "b", "c")), np.full((3, 3), 0.5, np.float32), truth=truth, thresholds=(0.5,) * 3
    )
    run_tables.write_predictions(tmp_path / "p.csv", predictions)
    found = run_tables.read_predictions(tmp_path / "p.csv", predictions.labels, Task.MULTILABEL).truth
    assert found is not None
    np.testing.assert_array_equal(found, truth)


def _anomalies(**changes: object) -> AnomalyEvaluation:
    data = dataset()
    known: dict[str, Any] = {
        "paths": (data.samples[2].path, data.samples[0].path), "scores": np.array([1.25, 0.5], np.float32),
        "indices": np.array([2, 0]), "truth": ("=hole", "good"),
    }  # fmt: skip
    scores = AnomalyScores(**(known | changes))
    return AnomalyEvaluation("test", 1, 1, None, None, None, Limits(1.0, 1.0, 0.05, 20), anomaly_scores=scores)


def test_anomaly_scores_are_a_plain_table_and_come_back(tmp_path: Path) -> None:
    saved = _anomalies()
    run_tables.save_anomalies(tmp_path, saved)
    with (tmp_path / "evaluation" / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["true"], row["label"], row["score"], row["row"]) for row in rows] == [
        ("'=hole", "anomalous", "1.250000", "2"), ("good", "normal", "0.500000", "0"),
    ]  # fmt: skip
    again = run_tables.read_anomalies(tmp_path, dataset())
    assert again == saved
    assert again.dataset == dataset()
    found, scores = again.anomaly_scores, saved.anomaly_scores
    assert found is not None and scores is not None and found.indices is not None
    assert (found.paths, found.truth, found.indices.tolist()) == (scores.paths, ("=hole", "good"), [2, 0])


def test_scores_of_runs_before_schema_4_are_found_by_path(tmp_path: Path) -> None:
    run_tables.save_anomalies(tmp_path, _anomalies())
    table = tmp_path / "evaluation" / "scores.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in lines), encoding="utf-8")
    found = run_tables.read_anomalies(tmp_path, dataset()).anomaly_scores
    assert found is not None and found.indices is not None and found.indices.tolist() == [2, 0]
    table.write_text("path,true,label,score\n")
    empty = run_tables.read_anomalies(tmp_path, dataset()).anomaly_scores
    assert empty is not None and len(empty) == 0


@pytest.mark.parametrize("missing", ["truth", "indices"])
def test_scores_without_truth_or_rows_are_not_saved(tmp_path: Path, missing: str) -> None:
    for lacking in (_anomalies(**{missing: None}), dataclasses.replace(_anomalies(), anomaly_scores=None)):
        with pytest.raises(StoreError, match="this evaluation has no scores") as caught:
            run_tables.save_anomalies(tmp_path, lacking)
        assert caught.value.hint == "evaluate again"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["path,true,label\nx,a,normal\n", "path,true,label,score,row\nx,a,normal,high,1\n"])
def test_damaged_scores_are_a_store_error(tmp_path: Path, text: str) -> None:
    run_tables.save_anomalies(tmp_path, _anomalies())
    (tmp_path / "evaluation" / "scores.csv").write_text(text)
    with pytest.raises(StoreError, match=r"scores\.csv cannot be read: ") as caught:
        run_tables.read_anomalies(tmp_path, dataset())
    assert caught.value.hint == "evaluate again"
