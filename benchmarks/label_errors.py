"""Are planted label errors found? Recall and precision of the label check, compared with plain scikit-learn methods.

python benchmarks/label_errors.py SOURCE [--side 64] [--images 10000] [--group COLUMN] [--draws 3]

In each draw 5% of the labels are changed, each to another class at random, and all images are ranked by how
suspicious their label is. Then 5% are changed to classes that look alike: each with the square of the mean probability
that images of the true class have of it. The set's own errors count against each method. Figures are means over the
draws; the number of suspects among the labels as they are is given too.

Of a multi-label set, 5% of the labels that are present are removed, and then as many others added as well.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import save

import keensight as ks
from keensight.assess.confident_learning import Judgement, judge, judge_labels, out_of_fold, out_of_fold_labels
from keensight.core.progress import Silent
from keensight.data.units import make_units
from keensight.nets.training import images as training_images
from keensight.workflow.features import caches, images_of

MODEL = "efficientnet_lite0"
SHARE = 0.05
NEIGHBOURS = 10
DRAWS = 2
"""Of a multi-label set, and on the wide bench."""
Rows = NDArray[np.float32]
Numbers = NDArray[np.int64]
Table = NDArray[np.uint8]


def features(source: str, side: int | None, images: int, group: str | None) -> tuple[Rows, NDArray[Any], Numbers, int]:
    """Features, class numbers (multi-label: indicators), groups, and the number of classes."""
    data = ks.open(source, group=group)
    picked = np.sort(np.random.default_rng(0).permutation(len(data))[:images])
    data = dataclasses.replace(data, samples=tuple(data.samples[i] for i in picked))
    spec = ks.image_spec(data, side, model=MODEL)
    pixels = ks.prepare(data, spec, cache="never")
    rows = np.array([i for i in range(len(data)) if i not in pixels.errors])
    groups = np.zeros(len(data), np.int64)
    for number, unit in enumerate(make_units(data.samples, rows.tolist(), 0)):
        groups[list(unit.members)] = number
    images = images_of(data, ks.split(data), pixels)
    found = training_images.features(ks.build(data, spec, MODEL), images, rows, caches(Silent()))
    return found, data.truth()[rows], groups[rows], len(data.labels)


def plant(targets: Numbers, classes: int, seed: int) -> tuple[Numbers, NDArray[np.bool_]]:
    draw = np.random.default_rng(seed)
    bad = draw.permutation(len(targets))[: round(SHARE * len(targets))]
    changed = targets.copy()
    changed[bad] = (targets[bad] + draw.integers(1, classes, len(bad))) % classes
    return changed, changed != targets


def plant_alike(truth: Numbers, clean: NDArray[np.float64], seed: int) -> tuple[Numbers, NDArray[np.bool_]]:
    draw = np.random.default_rng(seed)
    classes = clean.shape[1]
    alike = np.array([clean[truth == number].mean(axis=0) ** 2 for number in range(classes)])
    np.fill_diagonal(alike, 0.0)
    alike /= alike.sum(axis=1, keepdims=True)
    changed = truth.copy()
    for i in draw.permutation(len(truth))[: round(SHARE * len(truth))]:
        changed[i] = draw.choice(classes, p=alike[truth[i]])
    return changed, changed != truth


def plain_probabilities(rows: Rows, targets: Numbers) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100, tol=1e-2))
    found: NDArray[np.float64] = cross_val_predict(model, rows, targets, cv=5, method="predict_proba")
    return found


def neighbour_agreement(rows: Rows, targets: Numbers) -> NDArray[np.float64]:
    """Share of the nearest images (cosine of standardised features) that have the same label."""
    from sklearn.neighbors import NearestNeighbors

    scaled = (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-6)
    index = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, metric="cosine").fit(scaled)
    near = index.kneighbors(scaled, return_distance=False)[:, 1:]
    return (targets[near] == targets[:, None]).mean(axis=1)


def margin(probabilities: NDArray[np.float64], targets: Numbers) -> NDArray[np.float64]:
    own = probabilities[np.arange(len(targets)), targets]
    others = probabilities.copy()
    others[np.arange(len(targets)), targets] = -1
    return own - others.max(axis=1)


def in_top(scores: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Precision among the most suspicious 5%, which is also the recall, as just so many are wrong."""
    top = np.argsort(scores, kind="stable")[: round(SHARE * len(scores))]
    return float(wrong[top].mean())


def told(found: Judgement, wrong: NDArray[np.bool_]) -> dict[str, float]:
    """What the suspects are worth; a set without suspects has none that are right."""
    hits = wrong[found.suspects].sum()
    return {
        "suspects": float(len(found.suspects)),
        "precision_of_suspects": float(hits / max(len(found.suspects), 1)),
        "estimated_precision": found.precision or 0.0,
        "recall_of_suspects": float(hits / wrong.sum()),
    }


def together(found: list[tuple[Judgement, NDArray[np.bool_]]]) -> dict[str, Any]:
    """The draws together: number of suspects, their precision, estimated precision (None: no suspects), and recall."""
    count = sum(len(one.suspects) for one, _ in found)
    hits = sum(int(wrong[one.suspects].sum()) for one, wrong in found)
    expected = sum(len(one.suspects) * (one.precision or 0.0) for one, _ in found)
    return {
        "suspects": count,
        "precision": round(hits / count, 3) if count else None,
        "estimated": round(expected / count, 3) if count else None,
        "recall": round(hits / sum(int(wrong.sum()) for _, wrong in found), 3),
    }


def plant_labels(present: Table, seed: int, *, added: bool) -> Table:
    """5% of the labels that are present are missing; with ``added``, as many are there that should not be."""
    draw, changed = np.random.default_rng(seed), present.copy()
    count = round(SHARE * int(present.sum()))
    changed.flat[draw.permutation(np.flatnonzero(present))[:count]] = 0
    if added:
        changed.flat[draw.permutation(np.flatnonzero(present == 0))[:count]] = 1
    return changed


def labels_of(rows: Rows, present: Table, units: Numbers) -> dict[str, Any]:
    """For multi-label sets."""
    given = judge_labels(out_of_fold_labels(rows, present, units), present)

    def checked(changed: Table) -> tuple[Judgement, NDArray[np.bool_]]:
        return judge_labels(out_of_fold_labels(rows, changed, units), changed), (changed != present).ravel()

    return {
        "labels": present.shape[1],
        "detectable": round(given.detectable, 3),
        "as_given": len(given.suspects),
        "missing": together([checked(plant_labels(present, seed, added=False)) for seed in range(DRAWS)]),
        "mixed": together([checked(plant_labels(present, seed, added=True)) for seed in range(DRAWS)]),
    }


def draw(rows: Rows, truth: Numbers, groups: Numbers, clean: NDArray[np.float64], seed: int) -> dict[str, float]:
    classes = clean.shape[1]
    alike, confused = plant_alike(truth, clean, seed)
    hard = told(judge(out_of_fold(rows, alike, groups, classes), alike), confused)
    targets, wrong = plant(truth, classes, seed)
    found = judge(out_of_fold(rows, targets, groups, classes), targets)
    plain = plain_probabilities(rows, targets)
    own = plain[np.arange(len(targets)), targets]
    return {
        "precision_in_top_5_percent": in_top(found.probabilities[np.arange(len(targets)), targets], wrong),
        **told(found, wrong),
        **{f"alike_{key}": value for key, value in hard.items()},
        "top_5_percent_plain_regression_margin": in_top(margin(plain, targets), wrong),
        "top_5_percent_plain_regression_confidence": in_top(own, wrong),
        "top_5_percent_10_neighbours": in_top(neighbour_agreement(rows, targets), wrong),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--side", type=int, help="left out: what a standard training of the network takes")
    parser.add_argument("--images", type=int, default=10**9, help="at most so many, at random")
    parser.add_argument("--group", help="column whose equal values are never on both sides")
    parser.add_argument("--draws", type=int, default=3)
    arguments = parser.parse_args()
    rows, truth, groups, classes = features(arguments.source, arguments.side, arguments.images, arguments.group)
    place = Path(arguments.source)
    if truth.ndim == 2:
        save(f"missing-labels-{place.stem}", len(truth), labels_of(rows, truth, groups))
        return
    clean = out_of_fold(rows, truth, groups, classes)
    given = judge(clean, truth)
    draws = [draw(rows, truth, groups, clean, seed) for seed in range(arguments.draws)]
    figures = {key: round(float(np.mean([one[key] for one in draws])), 3) for key in draws[0]}
    options = {
        "classes": classes,
        "draws": arguments.draws,
        "suspects_as_given": len(given.suspects),
        "detectable": round(given.detectable, 3),
    }
    save(f"label-errors-{place.name}", len(truth), figures | options, "precision_in_top_5_percent ≥ 0.7")


if __name__ == "__main__":
    main()
