"""Names that a spreadsheet would run, in every CSV file: none begins a cell, and our readers get the names back."""

import ast
import csv
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keensight.core.anomaly import AnomalyScores, Limits
from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.interval import Interval
from keensight.core.labels import Correction, Suspect, read_corrections, write_corrections
from keensight.core.predictions import Embeddings, Predictions
from keensight.core.records import Dataset, LabelSet, Sample, Split
from keensight.core.sanitize import unguarded
from keensight.core.suggestions import Suggestion, Suggestions
from keensight.data.sources.readers import open_source
from keensight.data.sources.table_files import read_table
from keensight.store import run_tables
from keensight.workflow import prediction_tables

# The package has functions of these names.
predict, suggest = (import_module(f"keensight.workflow.{name}") for name in ("predict", "suggest"))
SOURCE = Path(__file__).parents[2] / "src" / "keensight"
NAMES = (
    "=1+1",
    "+1-2",
    "-2+3",
    "@SUM(A1)",
    '=HYPERLINK("http://x","y")',
    "'=1",
    "''+x",
    "=cmd('/C calc')!A0",
    "-0.5x",
    "plain",
)
PATHS = tuple(f"{name.replace('/', '_')}.png" for name in NAMES)
LABELS = LabelSet(NAMES)
DATA = Dataset(
    "set",
    "folder",
    LABELS,
    tuple(Sample(path, name, f"{i:064x}") for i, (path, name) in enumerate(zip(PATHS, NAMES, strict=True))),
)
N = len(NAMES)
PROBABILITIES = np.full((N, N), 0.05, np.float32) + np.eye(N, dtype=np.float32) * 0.5
PREDICTIONS = Predictions(PATHS, LABELS, PROBABILITIES, indices=np.arange(N), truth=np.arange(N))
HALF = Interval(0.5, 0.25, 0.75)


def cells(path: Path) -> list[list[str]]:
    """All cells of a CSV file, none of which is a formula."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, strict=True))
    for cell in (cell for row in rows for cell in row):
        if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
            float(cell)  # a number stays one
    return rows


def test_a_split(tmp_path: Path) -> None:
    split = Split(tuple(range(6)), (6, 7), (8, 9), "by hand")
    run_tables.write_split(tmp_path / "split.csv", split, DATA)
    rows = cells(tmp_path / "split.csv")
    assert [unguarded(row[0]) for row in rows[1:]] == list(PATHS)
    assert run_tables.read_split(tmp_path / "split.csv", "by hand") == split


def test_predictions_of_a_run(tmp_path: Path) -> None:
    run_tables.write_predictions(tmp_path / "p.csv", PREDICTIONS)
    cells(tmp_path / "p.csv")
    found = run_tables.read_predictions(tmp_path / "p.csv", LABELS)
    assert found.paths == PATHS
    np.testing.assert_array_equal(found.truth, PREDICTIONS.truth)


def test_a_confusion_matrix_and_suspects(tmp_path: Path) -> None:
    from keensight.assess.metrics import evaluate

    run_tables.write_confusion(tmp_path / "c.csv", evaluate(PROBABILITIES, np.arange(N), LABELS))
    rows = cells(tmp_path / "c.csv")
    assert [unguarded(row[0]) for row in rows[1:]] == list(NAMES) == [unguarded(cell) for cell in rows[0][1:]]
    suspects = (Suspect(path, "0" * 64, "test", name, "=x", 0.1, 0.9) for path, name in zip(PATHS, NAMES, strict=True))
    run_tables.write_suspects(tmp_path / "s.csv", suspects)
    assert [unguarded(row[3]) for row in cells(tmp_path / "s.csv")[1:]] == list(NAMES)


def test_scores_of_an_anomaly_detector(tmp_path: Path) -> None:
    scores = AnomalyScores(PATHS, np.linspace(-1, 2, N, dtype=np.float32), indices=np.arange(N), truth=NAMES)
    (tmp_path / "evaluation").mkdir()
    evaluation = AnomalyEvaluation("test", 5, 5, HALF, HALF, HALF, Limits(1.0, 1.0, 0.05, 20), anomaly_scores=scores)
    run_tables.save_anomalies(tmp_path, evaluation)
    cells(tmp_path / "evaluation" / "scores.csv")
    found = run_tables.read_anomalies(tmp_path, DATA).anomaly_scores
    assert found is not None and found.paths == PATHS and found.truth == NAMES


def test_corrections(tmp_path: Path) -> None:
    made = tuple(Correction(path, "", name, "relabel", "=x") for path, name in zip(PATHS, NAMES, strict=True))
    write_corrections(tmp_path / "c.csv", made)
    cells(tmp_path / "c.csv")
    assert read_corrections(tmp_path / "c.csv") == made


def test_labels_that_were_given_to_suggested_images(tmp_path: Path) -> None:
    given = dict(zip(PATHS, NAMES, strict=True))
    suggest._write_labels(tmp_path / "labels.csv", given)
    cells(tmp_path / "labels.csv")
    assert suggest._read_labels(tmp_path / "labels.csv") == given


def test_suggestions(tmp_path: Path) -> None:
    items = tuple(
        Suggestion(path, name, 0.5, "=x", 0.4, 0.9, "-uncertain") for path, name in zip(PATHS, NAMES, strict=True)
    )
    suggest.write_suggestions(Suggestions(items, NAMES, N, {}), tmp_path / "s.csv")
    rows = cells(tmp_path / "s.csv")
    assert [unguarded(row[1]) for row in rows[1:]] == list(PATHS)


def test_predictions_for_users(tmp_path: Path) -> None:
    prediction_tables.write_predictions(PREDICTIONS, tmp_path / "p.csv", top=3, model="=model@1")
    rows = cells(tmp_path / "p.csv")
    assert [unguarded(row[0]) for row in rows[1:]] == list(PATHS)
    assert read_table(tmp_path / "p.csv").columns["label"] == list(NAMES)


def test_embeddings(tmp_path: Path) -> None:
    errors = {PATHS[0]: "-it cannot be read"}
    predict.write_embeddings(
        Embeddings(PATHS, np.linspace(-1, 1, 2 * N, dtype=np.float32).reshape(N, 2), errors), tmp_path / "e.csv"
    )
    rows = cells(tmp_path / "e.csv")
    assert [unguarded(row[0]) for row in rows[1:]] == list(PATHS)
    assert float(rows[1][1]) == -1


def test_a_table_that_we_wrote_is_a_source_that_we_open(tmp_path: Path) -> None:
    from PIL import Image

    for i, path in enumerate(PATHS):
        Image.new("RGB", (8, 8), (i, 2 * i, 3 * i)).save(tmp_path / path)
    suggest._write_labels(tmp_path / "labels.csv", dict(zip(PATHS, NAMES, strict=True)))
    data = open_source(tmp_path / "labels.csv")
    assert {sample.path: sample.label for sample in data.samples} == dict(zip(PATHS, NAMES, strict=True))
    assert not any(sample.error for sample in data.samples)


WRITERS = {
    "core/labels.py": 1,
    "store/run_tables.py": 2,
    "workflow/predict.py": 1,
    "workflow/prediction_tables.py": 1,
    "workflow/suggest.py": 2,
}
"""Calls that write CSV, by module: each is tested above. Whoever adds one guards its cells and adds a test."""


def calls(text: str) -> int:
    names = ("writer", "DictWriter", "to_csv")
    return sum(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names
        for node in ast.walk(ast.parse(text))
    )


def test_every_writer_of_csv_is_tested_here() -> None:
    found: dict[str, Any] = {
        path.relative_to(SOURCE).as_posix(): n
        for path in SOURCE.rglob("*.py")
        if (n := calls(path.read_text(encoding="utf-8")))
    }
    assert found == WRITERS


@pytest.mark.parametrize(("text", "n"), [("csv.writer(f)", 1), ("frame.to_csv(p)", 1), ("csv.reader(f)", 0)])
def test_the_search_for_writers_finds_them(text: str, n: int) -> None:
    assert calls(text) == n
