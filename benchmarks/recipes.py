"""The recipes' results, compared with plain scripts on the same split.

python benchmarks/recipes.py TRADE [FOLDER ...]

Runs `recipes/TRADE.py` as it is (folders as its arguments; left out: in KEENSIGHT_DATA), then the baseline: logistic
regression of scikit-learn on pixels of 32 x 32, its penalty chosen on the validation set; for traffic signs a plain
Keras CNN too; for faces eigenfaces with the nearest neighbor; for circuit boards the distance to the mean image.
"""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import save
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keensight as ks
from keensight.assess.anomaly import auroc
from keensight.assess.intervals import wilson
from keensight.assess.multilabel import evaluate as evaluate_labels
from keensight.assess.operating_point import measure
from keensight.core.interval import Interval
from keensight.core.progress import Silent
from keensight.core.records import group_numbers

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
SIDE = 32
STRENGTHS = (1e-4, 1e-3, 1e-2)
Figures = dict[str, Interval | None]
LOGISTIC = "logistic regression on 32 px"


def pixels_of(data: Any, rows: Any, *, grey: bool = False, side: int = SIDE) -> Any:
    """Pixels from 0 to 1 of some samples, (n, d)."""
    images = ks.prepare(data, ks.ImageSpec(side, side), progress=Silent()).take(rows) / np.float32(255)
    return (images.mean(axis=-1) if grey else images).reshape(len(images), -1)


def share(right: Any) -> Interval:
    return wilson(int(np.sum(right)), len(right))


def parts(space: dict[str, Any], *, grey: bool = False) -> tuple[Any, ...]:
    """Pixels and truth of train, val and test, as the recipe's run has them."""
    data, split = space["data"], space["run"].split
    rows = [split.part(part) for part in ("train", "val", "test")]
    return tuple((pixels_of(data, some, grey=grey), data.truth()[some]) for some in rows)


def logistic(train: Any, val: Any) -> Any:
    """The regression whose penalty is best on the validation set."""
    best: tuple[float, Any] = (-1.0, None)
    for strength in STRENGTHS:
        core = LogisticRegression(C=strength, max_iter=500)
        many = OneVsRestClassifier(core) if train[1].ndim == 2 else core
        model = make_pipeline(StandardScaler(), many).fit(*train)
        best = max(best, (float(model.score(*val)), model), key=lambda item: item[0])
    return best[1]


def traffic_signs(space: dict[str, Any]) -> dict[str, Figures]:
    grey, (train, val, test) = parts(space, grey=True), parts(space)
    found = {LOGISTIC: {"accuracy on new signs": share(logistic(*grey[:2]).predict(grey[2][0]) == test[1])}}
    keras, _ = ks.framework()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((SIDE, SIDE, 3)),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dropout(0.5), layers.Dense(128, activation="relu"),
        layers.Dense(len(space["data"].labels), activation="softmax"),
    ])  # fmt: skip
    shaped = [(some.reshape(-1, SIDE, SIDE, 3), truth) for some, truth in (train, val, test)]
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
    model.fit(*shaped[0], validation_data=shaped[1], epochs=30, batch_size=64, callbacks=[stop], verbose=0)
    answers = model.predict(shaped[2][0], verbose=0).argmax(axis=1)
    return found | {"plain Keras CNN": {"accuracy on new signs": share(answers == test[1])}}


def ecommerce(space: dict[str, Any]) -> dict[str, Figures]:
    train, val, test = parts(space)
    squares = (test[0] ** 2).sum(axis=1)[:, None] - 2 * test[0] @ val[0].T + (val[0] ** 2).sum(axis=1)
    return {
        LOGISTIC: {"accuracy": share(logistic(train, val).predict(test[0]) == test[1])},
        "nearest photo by pixels": {"nearest photo of the same class": share(val[1][squares.argmin(1)] == test[1])},
    }


def agriculture(space: dict[str, Any]) -> dict[str, Figures]:
    train, val, test = parts(space)
    return {LOGISTIC: {"accuracy": share(logistic(train, val).predict(test[0]) == test[1])}}


def healthcare(space: dict[str, Any]) -> dict[str, Figures]:
    """At a threshold that was chosen on the validation set in the same way."""
    from keensight.assess.operating_point import for_sensitivity

    train, val, test = parts(space, grey=True)
    data, model = space["data"], logistic(train, val)
    ill = data.labels.names.index("PNEUMONIA")
    chosen, _ = for_sensitivity(model.predict_proba(val[0])[val[1] == ill, ill].astype(np.float64), 0.95, 0.9)
    scores = model.predict_proba(test[0])[:, ill].astype(np.float64)
    groups = group_numbers([data.samples[i].group for i in space["run"].split.test])
    at = measure(scores, test[1] == ill, chosen, label="PNEUMONIA", part="test", target="", groups=groups)
    return {LOGISTIC: {
        "area under the ROC curve": at.auroc, "accuracy": share(model.predict(test[0]) == test[1]),
        "sensitivity": at.sensitivity, "specificity": at.specificity,
    }}  # fmt: skip


def social_media(space: dict[str, Any]) -> dict[str, Figures]:
    """Thresholds at 0.5; the penalty with the most validation photos whose labels are all right."""
    train, val, test = parts(space)
    labels = space["data"].labels
    found = np.asarray(logistic(train, val).predict_proba(test[0]), dtype=np.float32)
    scores = evaluate_labels(found, test[1], labels, (0.5,) * len(labels), part="test").multilabel
    return {LOGISTIC: {
        "mean average precision of the tags": scores.mean_average_precision, "micro F1 of the tags": scores.micro_f1,
    }}  # fmt: skip


def security(space: dict[str, Any]) -> dict[str, Figures]:
    return {"eigenfaces, nearest photo": eigenfaces(space), "distance to the mean good image": mean_image(space)}


def eigenfaces(space: dict[str, Any]) -> Figures:
    """Turk and Pentland 1991: 50 components of the known people; unknown beyond 95% of the validation distances."""
    table, number, split = space["table"], space["number"], space["run"].split
    whole = ks.from_frame(table, space["faces"])
    place = {sample.path: i for i, sample in enumerate(whole.samples)}
    pixels = pixels_of(whole, np.arange(len(whole)), grey=True, side=64)
    rows = [[place[space["data"].samples[i].path] for i in split.part(part)] for part in ("train", "val", "test")]
    space_of_faces = PCA(50, random_state=0).fit(pixels[rows[0]])
    vectors = space_of_faces.transform(pixels)
    who = np.array([sample.label for sample in whole.samples])
    order = [place[path] for path in table.path]
    shots = [order[i] for i in np.flatnonzero((number > 30) & (number <= 35) & ~space["enrolled"])]

    def nearest(asked: list[int], known: list[int]) -> tuple[Any, Any]:
        far = np.linalg.norm(vectors[asked][:, None] - vectors[known], axis=2)
        return who[known][far.argmin(axis=1)], far.min(axis=1)

    limit = np.quantile(nearest(rows[1], rows[0])[1], 0.95)
    new = [order[i] for i in np.flatnonzero(space["enrolled"])]
    strangers = [order[i] for i in np.flatnonzero(number > 35)]
    named, far = nearest(new, rows[0] + shots)
    return {
        "known people identified": share(nearest(rows[2], rows[0])[0] == who[rows[2]]),
        "added people identified and accepted": share((named == who[new]) & (far <= limit)),
        "strangers rejected": share(nearest(strangers, rows[0] + shots)[1] > limit),
    }


def mean_image(space: dict[str, Any]) -> Figures:
    run = space["found"]
    data = ks.open(space["boards"], group="board_group")
    good = [i for i in run.split.train if data.samples[i].label == "good"]
    mean = pixels_of(data, good, grey=True, side=64).mean(axis=0)
    tested = run.split.part("test")
    far = ((pixels_of(data, tested, grey=True, side=64) - mean) ** 2).mean(axis=1).astype(np.float32)
    odd = np.array([data.samples[i].label != "good" for i in tested])
    groups = group_numbers([data.samples[i].group for i in tested])
    return {"area under the ROC curve of anomalies": auroc(far, odd, groups)}


BASELINES = {
    "agriculture": agriculture, "ecommerce": ecommerce, "healthcare": healthcare, "security": security,
    "social_media": social_media, "traffic_signs": traffic_signs,
}  # fmt: skip


def plain(figures: Figures) -> list[tuple[str, list[float]]]:
    """In their order, which JSON keeps in a list only."""
    return [(name, [round(one.value, 4), round(one.low, 4), round(one.high, 4)])
            for name, one in figures.items() if one is not None]  # fmt: skip


def main(trade: str, folders: list[str]) -> None:
    arguments, sys.argv = sys.argv, [str(RECIPES / f"{trade}.py"), *map(os.path.abspath, folders)]
    with tempfile.TemporaryDirectory() as scratch:
        back = Path.cwd()
        os.chdir(scratch)  # a recipe writes its runs where it stands
        started = time.perf_counter()
        space = runpy.run_path(sys.argv[0])
        seconds = time.perf_counter() - started
        baselines = [(name, plain(found)) for name, found in BASELINES[trade](space).items()]
        os.chdir(back)
    sys.argv = arguments
    figures = {"recipe": plain(space["results"]), "baselines": baselines, "seconds": round(seconds, 1)}
    save(f"recipe-{trade}", space["evaluation"].n, figures, "above the baselines")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
