"""Out-of-distribution detection: how well the score separates other images from those that a network is trained for.

python benchmarks/ood.py FOLDER --others FOLDER... [--effort quick|standard] [--run RUN] [--most 300]
python benchmarks/ood.py FACES --known 30 [--effort quick]

The first form trains on FOLDER and scores its test set against images of other sets, at most so many of each, evenly
spread; with --run it takes a run that was trained on FOLDER. The second trains on the first people of FACES (one folder
a person) and scores the photos of all others. Beside the score stand the cosine to the nearest class mean, which
enrolment goes by, and the largest probability (Hendrycks and Gimpel 2017). Subspace and class means are of at most 600
training and 400 validation images. Areas have DeLong's interval, shares Wilson's, both of 95% and both as if images
were independent, which photos of one person or patient are not.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import save

import keensight as ks
from keensight.assess.anomaly import auroc
from keensight.assess.intervals import wilson
from keensight.core import ood
from keensight.core import prototypes as class_means
from keensight.core.interval import Interval
from keensight.workflow import predict_and_embed

TRAIN, VAL = 600, 400
BAR = "AUROC >= 0.90 against each other dataset"


def told(found: Interval) -> list[float]:
    """Value and interval."""
    return [round(float(x), 4) for x in (found.value, found.low, found.high)]


def spread(items: list[Any], most: int) -> list[Any]:
    """At most ``most`` items, evenly spread."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places]


def files_of(source: Path, most: int) -> list[str]:
    data = ks.open(source)
    return [str(source / sample.path) for sample in spread(list(data.samples), most)]


def measured(own: NDArray[Any], others: dict[str, NDArray[Any]]) -> dict[str, list[float]]:
    """Area under the ROC curve of scores, larger where odder, for each other set."""
    return {
        name: told(auroc(np.concatenate([own, odd]), np.arange(len(own) + len(odd)) >= len(own)))
        for name, odd in others.items()
    }


def share(found: NDArray[np.bool_]) -> list[float]:
    return told(wilson(int(found.sum()), len(found)))


def measure(run: ks.Run, source: Path, others: dict[str, list[str]]) -> tuple[dict[str, Any], int]:
    model, data, parts = ks.load(run), run.dataset, run.split
    targets = data.targets()

    def embedded(name: str, most: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """Embeddings, class numbers and largest probabilities of a part, evenly spread over the classes."""
        rows = parts.part(name)
        rows = np.array(spread(list(rows[np.argsort(targets[rows], kind="stable")]), most))
        found, vectors = predict_and_embed(model, [str(source / data.samples[int(row)].path) for row in rows])
        return vectors.vectors, targets[rows], found.probabilities.max(axis=1)

    train, val, test = embedded("train", TRAIN), embedded("val", VAL), embedded("test", len(data))
    pairs = {name: predict_and_embed(model, paths) for name, paths in others.items()}
    odd = {name: vectors.vectors for name, (_, vectors) in pairs.items()}
    subspace = ood.fit(train[0], val[0])
    prototypes = class_means.measure(*train[:2], *val[:2], len(data.labels))

    def away(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        return -class_means.cosines(vectors, prototypes).max(axis=1)

    own, scores = ood.score(test[0], subspace), {name: ood.score(rows, subspace) for name, rows in odd.items()}
    unsure = {name: -found.probabilities.max(axis=1) for name, (found, _) in pairs.items()}
    return {
        "test_accuracy": told(run.evaluation.accuracy),
        "own_refused": share(ood.odd(own, subspace)),
        "own_refused_expected_at_most": round(subspace.refused, 4),
        "n_others": {name: len(paths) for name, paths in others.items()},
        "refused": {name: share(ood.odd(found, subspace)) for name, found in scores.items()},
        "area": measured(own, scores),
        "area_of_nearest_mean": measured(away(test[0]), {name: away(rows) for name, rows in odd.items()}),
        "area_of_probability": measured(-test[2], unsure),
    }, len(own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--others", type=Path, nargs="+", default=[])
    parser.add_argument("--known", type=int, help="train on the first so many classes; the others are unknown")
    parser.add_argument("--effort", default="quick")
    parser.add_argument("--run", type=Path, help="a finished run of the source, in place of training")
    parser.add_argument("--most", type=int, default=300)
    arguments = parser.parse_args()
    source, name = arguments.source, arguments.source.name
    others = {folder.name: files_of(folder, arguments.most) for folder in arguments.others}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.known:
            classes = sorted(path for path in source.iterdir() if path.is_dir())
            for path in classes[: arguments.known]:
                shutil.copytree(path, Path(folder) / "known" / path.name)
            source = Path(folder) / "known"
            strangers = [sorted(path.iterdir()) for path in classes[arguments.known :]]
            others["unknown people"] = [str(photo) for photos in strangers for photo in photos]
        if arguments.run:
            run = ks.open_run(arguments.run)
        else:
            run = ks.train(source, run=Path(folder) / "run", effort=arguments.effort)
        figures, n = measure(run, source, others)
    save(f"ood-{name}-{arguments.effort}", n, figures, "none" if arguments.known else BAR)


if __name__ == "__main__":
    main()
