"""Out-of-distribution detection between the sets of the wide bench, and how many good images it refuses.

    python benchmarks/wide/ood.py [--half chosen|shown]

On the features of `quick`, each set with classes and a frame of 224 px takes its turn as the one that is known: its
training images give the subspace, its validation images the threshold, as in a training. Its test images are scored
against up to 200 test images of each other set of the same half and frame. The result goes to
``benchmarks/results/wide-ood-HALF.json``.
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
from quick_features import quick_features
from record import save
from sets import add_options, ensure

from keensight.assess.anomaly import auroc
from keensight.assess.intervals import wilson
from keensight.core import ood
from keensight.workflow.prototypes import TRAIN_IMAGES, VAL_IMAGES

FRAME = (224, 224)
"""Of sets with other frames, images would be told apart by their padding alone."""
OTHERS = 200


def spread(rows: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most ``most`` of them, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)]


def known(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """What a set's detector does with its own test images, and with those of each other set."""
    own = found[name]
    subspace = ood.fit(spread(own["train"], TRAIN_IMAGES), spread(own["val"], VAL_IMAGES))
    scores = ood.score(own["test"], subspace)
    refused = wilson(int(ood.odd(scores, subspace).sum()), len(scores))
    areas, caught = {}, []
    for other, vectors in found.items():
        if other != name:
            strange = ood.score(spread(vectors["test"], OTHERS), subspace)
            both = np.concatenate([scores, strange])
            areas[other] = round(auroc(both, np.arange(len(both)) >= len(scores)).value, 4)
            caught.append(float(ood.odd(strange, subspace).mean()))
    worst = min(areas, key=lambda one: areas[one])
    return {
        "expected": round(subspace.refused, 4),
        "refused": [round(x, 4) for x in (refused.value, refused.low, refused.high)],
        "n": len(scores),
        "auroc": round(float(np.mean(list(areas.values()))), 4),
        "lowest": [worst, areas[worst]],
        "found": round(float(np.mean(caught)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    arguments = parser.parse_args()
    found = {}
    for source in pick(arguments.names, arguments.half, arguments.kind):
        if source.task != "anomaly":
            features = quick_features(ensure(source, arguments.out, arguments.mirror))
            if features.frame == FRAME:
                found[source.name] = features.vectors
    results = {name: known(name, found) for name in found}
    save(f"wide-ood-{arguments.half}", sum(one["n"] for one in results.values()), {"sets": results})


if __name__ == "__main__":
    main()
