"""A run's anomaly evaluation on disk: the figures, one line an image, and heatmaps as small pictures."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np

from keensight.core.anomaly import AnomalyEvaluation, Oddities
from keensight.core.codec import from_plain, to_plain
from keensight.core.files import read_json, write_json
from keensight.errors import StoreError
from keensight.store.tables import write_csv

_FIGURES, _SCORES = "evaluation/anomaly.json", "evaluation/scores.csv"


def save_anomalies(folder: Path, evaluation: AnomalyEvaluation) -> None:
    """Write the figures and the scores of a run into its folder.

    Raises:
        StoreError: a file cannot be written, or the evaluation carries no scores.
    """
    oddities, data = evaluation.oddities, evaluation.dataset
    if oddities is None or data is None:
        raise StoreError("this evaluation carries no scores", "evaluate again")
    true = {sample.path: sample.label for sample in data.samples}
    rows = ((row["path"], true[row["path"]], row["label"], f"{row['score']:.6f}") for row in oddities.rows())
    write_csv(folder / _SCORES, ("path", "true", "label", "score"), rows)
    write_json(folder / _FIGURES, to_plain(evaluation))


def read_anomalies(folder: Path) -> AnomalyEvaluation:
    """The figures of a run with their scores.

    Raises:
        StoreError: a file is missing or damaged.
    """
    evaluation = from_plain(AnomalyEvaluation, read_json(folder / _FIGURES))
    try:
        with (folder / _SCORES).open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            rows = list(csv.DictReader(stream))
        scores = np.array([float(row["score"]) for row in rows], dtype=np.float32)
        oddities = Oddities(tuple(row["path"] for row in rows), scores)
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(f"{folder / _SCORES} cannot be read: {error}", "evaluate again") from error
    return dataclasses.replace(evaluation, oddities=oddities)
