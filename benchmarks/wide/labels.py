"""Does the label check hold on sets that nobody chose it for? Planted label errors, and labels as they are.

    python benchmarks/wide/labels.py [NAME ...] [--half chosen|shown] [--kind WORD]

For each set with classes, at most 2,000 images of all splits: suspects among the labels as they are, and, with 5% of
the labels changed as in ``label_errors.py``, at random and to classes that look alike, the precision of the suspects,
the estimated one and the recall. Multi-label: up to three images make a *collage*, whose features are their mean and
whose labels are their classes; 5% of the labels that are present are removed, then as many others added as well.
Figures are over two draws. Results go to ``benchmarks/results/labels/SET.json``; what is there is not run again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from image_sources import pick
from label_errors import DRAWS, labels_of, plant, plant_alike, together
from quick_features import PARTS, quick_features
from record import RESULTS, save
from sets import add_options, ensure

from keensight.assess.confident_learning import FOLDS, Judgement, judge, out_of_fold

IMAGES, COLLAGES, FEW = 2000, 1200, 200
Rows = NDArray[np.float32]
Numbers = NDArray[np.int64]
Table = NDArray[np.uint8]


def classes_of(rows: Rows, truth: Numbers, units: Numbers) -> dict[str, Any]:
    classes = int(truth.max()) + 1
    clean = out_of_fold(rows, truth, units, classes)
    given = judge(clean, truth)

    def checked(changed: Numbers, wrong: NDArray[np.bool_]) -> tuple[Judgement, NDArray[np.bool_]]:
        return judge(out_of_fold(rows, changed, units, classes), changed), wrong

    return {
        "accuracy": round(float((clean.argmax(axis=1) == truth).mean()), 3),
        "detectable": round(given.detectable, 3),
        "as_given": len(given.suspects),
        "random": together([checked(*plant(truth, classes, seed)) for seed in range(DRAWS)]),
        "alike": together([checked(*plant_alike(truth, clean, seed)) for seed in range(DRAWS)]),
    }


def collages(rows: Rows, truth: Numbers, units: Numbers) -> tuple[Rows, Table]:
    """One image of each unit, each in one collage, so that the collages are independent."""
    draw = np.random.default_rng(0)
    order, vectors, tables = draw.permutation(np.unique(units, return_index=True)[1]), [], []
    while len(order) and len(vectors) < COLLAGES:
        some, order = np.split(order, [min(int(draw.integers(1, 4)), len(order))])
        vectors.append(rows[some].mean(axis=0))
        tables.append(np.isin(np.arange(truth.max() + 1), truth[some]))
    present = np.array(tables, np.uint8)
    enough = np.minimum(present.sum(axis=0), (1 - present).sum(axis=0)) >= FOLDS
    return np.array(vectors), present[:, enough]


def figures(table: Path) -> dict[str, Any] | None:
    """None: no class has enough groups; few collages are left out."""
    found = quick_features(table)
    rows, truth, units = (
        np.concatenate([of[part] for part in PARTS]) for of in (found.vectors, found.targets, found.units)
    )
    picked = np.random.default_rng(0).permutation(len(rows))[:IMAGES]
    truth, units = truth[picked], units[picked]
    enough = [number for number in np.unique(truth) if len(np.unique(units[truth == number])) >= FOLDS]
    judged = np.isin(truth, enough)
    if len(enough) < 2:
        return None
    rows, truth, units = rows[picked[judged]], np.searchsorted(enough, truth[judged]), units[judged]
    mixed, present = collages(rows, truth, units)
    several = {"n": len(mixed), **labels_of(mixed, present, np.arange(len(mixed)))} if len(mixed) >= FEW else None
    return {"n": len(rows), "classes": len(enough), **classes_of(rows, truth, units), "collages": several}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    arguments = parser.parse_args()
    for source in pick(arguments.names, arguments.half, arguments.kind):
        if source.task != "anomaly" and not (RESULTS / f"labels/{source.name}.json").exists():
            one = figures(ensure(source, arguments.out, arguments.mirror))
            if one is None:
                print(f"{source.name}: no class has {FOLDS} groups")
            else:
                save(f"labels/{source.name}", one.pop("n"), {"half": source.half, **one})


if __name__ == "__main__":
    main()
