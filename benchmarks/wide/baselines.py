"""Plain baselines on the last-layer features of Keensight's pretrained network, in the frame that `quick` chooses.

    python benchmarks/wide/baselines.py logistic TABLE.csv
    python benchmarks/wide/baselines.py nearest TABLE.csv

``logistic``: scikit-learn's logistic regression on standardized features; C by 5-fold cross-validation on train and
val, grouped where the table has groups, then fitted to both. ``nearest``: the mean distance to the five nearest good
training images. One line of JSON with the results on test.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import keensight as ks

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from anomaly import nearest
from draws import GOOD

NETWORK = "efficientnet_lite0"
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
FOLDS = 5

Column = NDArray[np.str_]


def read(table: Path) -> dict[str, Column]:
    """Columns of the table; without a group each image is its own."""
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = {name: np.array([row[name] for row in rows]) for name in ("path", "label", "split")}
    return columns | {"group": np.array([row.get("group") or row["path"] for row in rows])}


def features(table: Path, columns: dict[str, Column]) -> NDArray[np.float32]:
    """What the frozen network's last layer takes in, (n, 1280)."""
    spec = ks.image_spec(table, model=NETWORK, effort="quick")
    network = ks.Classifier(ks.build(2, spec, NETWORK), ks.LabelSet(("one", "other")), spec)
    return ks.embed(network, [table.parent / path for path in columns["path"]]).vectors


def logistic(vectors: NDArray[np.float32], columns: dict[str, Column]) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, tol=1e-3))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    search = GridSearchCV(model, {"logisticregression__C": STRENGTHS}, cv=folds)
    test = columns["split"] == "test"
    known = ~test
    with threadpool_limits(1):  # matrices this small take 50 times as long where threads wait for a busy core
        search.fit(vectors[known], columns["label"][known], groups=columns["group"][known])
    strength = float(search.best_params_["logisticregression__C"])
    probabilities = search.predict_proba(vectors[test])
    return scores(probabilities, columns["label"][test], search.classes_) | {"C": strength}


def scores(probabilities: NDArray[np.float64], truth: Column, classes: Column) -> dict[str, Any]:
    """Accuracy with its 95% interval, macro F1 over all classes, calibration error."""
    from sklearn.metrics import f1_score

    from keensight.assess.calibration import expected_calibration_error

    found = classes[probabilities.argmax(axis=1)]
    accuracy = ks.wilson(int((found == truth).sum()), len(truth))
    return {
        "n": len(truth),
        "accuracy": accuracy.value,
        "accuracy_ci": [accuracy.low, accuracy.high],
        "macro_f1": float(f1_score(truth, found, labels=classes, average="macro", zero_division=0)),
        "ece": expected_calibration_error(probabilities, np.searchsorted(classes, truth)),
    }


def nearest_good(vectors: NDArray[np.float32], columns: dict[str, Column]) -> dict[str, Any]:
    from keensight.assess.anomaly import auroc

    good = columns["label"] == GOOD
    train, test = (np.flatnonzero(rows) for rows in (good & (columns["split"] == "train"), columns["split"] == "test"))
    area = auroc(nearest(vectors, train, test), ~good[test])
    return {"n": len(test), "auroc": area.value, "auroc_ci": [area.low, area.high]}


BASELINES = {"logistic": logistic, "nearest": nearest_good}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("baseline", choices=BASELINES)
    parser.add_argument("table", type=Path)
    arguments = parser.parse_args()
    columns = read(arguments.table)
    print(json.dumps(BASELINES[arguments.baseline](features(arguments.table, columns), columns)))


if __name__ == "__main__":
    main()
