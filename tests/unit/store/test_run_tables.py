import csv
import dataclasses
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keensight.core.anomaly import AnomalyScores, Limits
from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.predictions import Predictions
from keensight.core.records import Dataset, LabelSet, Reading
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
    assert run_tables.rows_of([path, path, data.samples[3].path], data).tolist() == [0, 1, 3]
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


@pytest.mark.parametrize("text", ["path,digest\na,b\n", "path,digest,label,part\na,b,c,holdout\n", 'path,part\n"a'])
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
