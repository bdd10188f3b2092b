"""A run's anomaly evaluation on disk: the figures, one line an image, and heatmaps as small pictures."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np

from keensight.core.anomaly import AnomalyEvaluation, Oddities
from keensight.core.codec import from_plain, to_plain
from keensight.core.files import read_json, write_json
from keensight.core.foreign import unguarded
from keensight.core.records import Dataset
from keensight.errors import StoreError
from keensight.store.tables import rows_of, write_csv

_FIGURES, _SCORES = "evaluation/anomaly.json", "evaluation/scores.csv"


def save_anomalies(folder: Path, evaluation: AnomalyEvaluation) -> None:
    """Write the figures and the scores of a run into its folder.

    Raises:
        StoreError: a file cannot be written, or the evaluation carries no scores.
    """
    oddities = evaluation.oddities
    if oddities is None or oddities.truth is None or oddities.indices is None:
        raise StoreError("this evaluation carries no scores", "evaluate again")
    scored = zip(oddities.rows(), oddities.truth, oddities.indices.tolist(), strict=True)
    rows = ((row["path"], true, row["label"], f"{row['score']:.6f}", index) for row, true, index in scored)
    write_csv(folder / _SCORES, ("path", "true", "label", "score", "row"), rows)
    write_json(folder / _FIGURES, to_plain(evaluation))


def read_anomalies(folder: Path, data: Dataset) -> AnomalyEvaluation:
    """The figures of a run with their scores and its dataset.

    Raises:
        StoreError: a file is missing or damaged.
    """
    evaluation = from_plain(AnomalyEvaluation, read_json(folder / _FIGURES))
    try:
        with (folder / _SCORES).open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            rows = list(csv.DictReader(stream))
        scores = np.array([float(row["score"]) for row in rows], dtype=np.float32)
        paths = tuple(unguarded(row["path"]) for row in rows)
        kept = bool(rows) and "row" in rows[0]  # from schema 4 on
        indices = np.array([int(row["row"]) for row in rows], np.int64) if kept else rows_of(paths, data)
        oddities = Oddities(paths, scores, indices=indices, truth=tuple(unguarded(row["true"]) for row in rows))
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(f"{folder / _SCORES} cannot be read: {error}", "evaluate again") from error
    return dataclasses.replace(evaluation, oddities=oddities, dataset=data)
