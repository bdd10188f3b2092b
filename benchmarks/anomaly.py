"""Anomaly detection from normal images only: area under the ROC curve, compared with simple baselines.

python benchmarks/anomaly.py SOURCE [--group COLUMN] [--normal CLASS] [-n 5]

For each seed's split: the detector of `--task anomaly`; the mean distance to the five nearest normal training images
on embeddings of the same network; and the mean squared distance to the mean normal image, in pixels.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from record import save

import keensight as ks
from keensight.assess.anomaly import auroc
from keensight.core.config import RunConfig
from keensight.core.progress import Silent
from keensight.workflow import anomaly, steps
from keensight.workflow.anomaly_split import as_anomalies
from keensight.workflow.features import caches, images_of
from keensight.workflow.prepare import Prepared

NEAREST = 5


def embeddings(data, pixels, parts):
    from keensight.nets.training.images import features

    model = steps.build(data, pixels.spec, "efficientnet_lite0")
    rows = np.arange(len(data))
    return features(model, images_of(data, parts, pixels), rows, caches(Silent()))


def nearest(vectors, train, test):
    centre, scale = vectors[train].mean(axis=0), vectors[train].std(axis=0) + 1e-6
    known, asked = ((vectors[rows] - centre) / scale for rows in (train, test))
    squares = (asked**2).sum(axis=1)[:, None] - 2 * asked @ known.T + (known**2).sum(axis=1)
    return np.sqrt(np.maximum(np.sort(squares, axis=1)[:, :NEAREST], 0)).mean(axis=1)


def from_mean_image(pixels, train, test):
    images = [pixels.take(rows).astype(np.float32) for rows in (train, test)]
    return ((images[1] - images[0].mean(axis=0)) ** 2).mean(axis=(1, 2, 3))


def draw(data, pixels, vectors, normal, seed):
    two = as_anomalies(data, normal)
    parts = ks.split(two, seed=seed)
    rows = parts.part("test")
    odd = np.array([two.samples[int(row)].label == "anomalous" for row in rows])
    train = np.array([row for row in parts.part("train") if two.samples[int(row)].label == "normal"])
    config = RunConfig().with_values({"model.name": "efficientnet_lite0"})
    started = time.perf_counter()
    prepared = Prepared(data, pixels, ks.audit(data, pixels=pixels, probes=False), parts)
    detector = anomaly.learn(prepared, normal, config, Silent())
    learned = time.perf_counter()
    found = anomaly.measure(detector, prepared, normal, Silent())
    tested = time.perf_counter()
    return {
        "detector": found.auroc.value,
        "recall_at_threshold": found.recall.value,
        "false_alarms_at_threshold": found.false_alarms.value,
        "false_alarms_expected_at_most": found.limits.rate,
        "nearest_embeddings": auroc(nearest(vectors, train, rows), odd).value,
        "mean_image": auroc(from_mean_image(pixels, train, rows), odd).value,
        "normal_training_images": len(train),
        "test_images": len(rows),
        "seconds_to_learn": learned - started,
        "seconds_to_test": tested - learned,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--group")
    parser.add_argument("--normal")
    parser.add_argument("-n", type=int, default=5, help="splits")
    arguments = parser.parse_args()
    data = ks.open(arguments.source, group=arguments.group)
    normal = anomaly.normal_classes(data, RunConfig().with_values({"data.normal": arguments.normal}))
    spec = ks.image_spec(data, model="efficientnet_lite0", effort="quick")
    pixels = ks.prepare(data, spec)
    vectors = embeddings(data, pixels, ks.split(data))
    draws = [draw(data, pixels, vectors, normal, seed) for seed in range(arguments.n)]
    figures = {key: [round(float(f([one[key] for one in draws])), 3) for f in (np.mean, np.min, np.max)]
               for key in draws[0]}  # fmt: skip
    named = Path(arguments.source).resolve()
    name = named.parent.name if named.suffix else named.name
    save(f"anomaly-{name}", arguments.n, figures, "above both baselines")


if __name__ == "__main__":
    main()
