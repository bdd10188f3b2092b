"""Are heatmaps faithful? Deletion curves against random order, on test images of a finished run.

python benchmarks/saliency.py RUN SOURCE [--methods hirescam gradcam layercam] [-n 100] [--last]

SOURCE is what RUN was trained on. Test images are drawn at random; each method blanks the places that it calls the
hottest for the predicted class first, by a blurred copy. Counted is on what share of the images the probability falls
faster (a smaller area under the curve) than with blocks as coarse as the network's map, and with single pixels, in
random order. With ``--last`` each method is measured with the network's last map alone too.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from deletion_curve import Deletion, deletion
from record import save

import keensight as ks
from keensight.assess.intervals import wilson
from keensight.core import pixels
from keensight.nets.gradcam import Explainer

BAR = "faster than random blocks and pixels on 80% of the images"


def figures(found: Deletion) -> dict[str, object]:
    n = len(found.heat)
    wins = {name: found.better_than(getattr(found, name)) for name in ("blocks", "pixels")}
    ends = wilson(round(wins["blocks"] * n), n)
    return {
        "beats_random_blocks": round(wins["blocks"], 3),
        "interval_95": [round(ends.low, 3), round(ends.high, 3)],
        "beats_random_pixels": round(wins["pixels"], 3),
        "area": round(float(found.area(found.heat).mean()), 3),
        "area_blocks": round(float(found.area(found.blocks).mean()), 3),
        "area_pixels": round(float(found.area(found.pixels).mean()), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("source")
    parser.add_argument("--methods", nargs="+", default=["hirescam"])
    parser.add_argument("--draws", type=int, default=3, help="random orders of each kind")
    parser.add_argument("--steps", type=int, default=13, help="points of a curve")
    parser.add_argument("-n", type=int, default=100, help="images")
    parser.add_argument("--last", action="store_true", help="with the last map alone too")
    arguments = parser.parse_args()
    run, data, classifier = ks.open_run(arguments.run), ks.open(arguments.source), ks.load(arguments.run)
    places = {sample.path: i for i, sample in enumerate(data.samples)}
    drawn = np.random.default_rng(0).permutation(run.predictions.paths)[: arguments.n]
    images = np.stack([pixels.decode(data.load(places[path]), classifier.spec) for path in drawn])
    targets = classifier.predict_array(images).argmax(axis=1)
    found = {}
    side = Explainer(classifier).side
    for method, finer in product(arguments.methods, [True, False] if arguments.last else [True]):
        heat = Explainer(classifier, method, finer=finer).heatmaps(images, targets)
        curves = deletion(
            classifier.predict_array, images, targets, heat, side=side, steps=arguments.steps, draws=arguments.draws
        )
        name = method if finer else f"{method}, last map alone"
        found[name] = figures(curves)
        print(name, found[name], flush=True)
    save(f"saliency-{run.record.model}-{data.name}", len(images), found, BAR)


if __name__ == "__main__":
    main()
