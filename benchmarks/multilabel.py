"""A multi-label dataset compared with scikit-learn: one logistic regression per label on the same features.

python benchmarks/multilabel.py FOLDER

FOLDER is PlantVillage's, one folder a class; crop and disease of each leaf become labels of their own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from plant_labels import main as write_table
from record import save
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keensight as ks
from keensight.assess.multilabel import evaluate
from keensight.core.progress import Silent
from keensight.workflow.features import features_of

STRENGTHS = (1.0, 0.01)
BAR = "mean average precision of Keensight's quick effort not below the baseline's"


def figures(evaluation: ks.Evaluation, seconds: float) -> dict[str, Any]:
    scores = evaluation.multilabel
    area, f1 = scores.mean_average_precision, scores.micro_f1
    return {
        "map": round(area.value, 4), "map_95": [round(area.low, 4), round(area.high, 4)],
        "micro_f1": round(f1.value, 4), "micro_f1_95": [round(f1.low, 4), round(f1.high, 4)],
        "macro_f1": round(evaluation.macro_f1, 4), "every_label_right": round(evaluation.accuracy.value, 4),
        "seconds": round(seconds, 1),
    }  # fmt: skip


def baseline(run: Any, data: ks.Dataset, strength: float) -> ks.Evaluation:
    """Fitted on the run's training set, with every threshold at 0.5; measured on its test set."""
    classifier = ks.load(run)
    pixels = ks.prepare(data, classifier.spec, progress=Silent())
    with features_of(data, run.split, pixels, Silent(), trained=False) as features:
        train, test = (features(classifier, run.split.part(part)) for part in ("train", "test"))
    truth = data.indicators()
    model = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=strength, max_iter=1000)))
    model.fit(train, truth[run.split.part("train")])
    found = np.asarray(model.predict_proba(test), dtype=np.float32)
    half = (0.5,) * len(data.labels)
    return evaluate(found, truth[run.split.part("test")], data.labels, half, part="test")


def main(folder: Path) -> None:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch, "leaves.csv")
        write_table(folder, table)
        data = ks.open(table, progress=Silent())
        for effort in ("quick", "standard"):
            started = time.perf_counter()
            run = ks.train(data, run=Path(scratch, effort), effort=effort, progress=Silent())
            found[f"--effort {effort}"] = figures(run.evaluation, time.perf_counter() - started)
            if effort == "quick":
                for strength in STRENGTHS:
                    started = time.perf_counter()
                    measured = baseline(run, data, strength)
                    found[f"scikit-learn, C = {strength:g}"] = figures(measured, time.perf_counter() - started)
    save(f"multilabel-{folder.name}", len(data), found, BAR)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
