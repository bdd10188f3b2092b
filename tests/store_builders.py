"""Records, bundles and runs for tests, made by code; the model is a zip file that Keras has never seen."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keensight.assess.metrics import evaluate
from keensight.core.evaluation import Evaluated
from keensight.core.predictions import Predictions
from keensight.core.records import BundleManifest, Dataset, ImageInfo, ImageSpec, LabelSet, Sample, Skipped, Split
from keensight.core.task import Task
from keensight.store.bundle import SCHEMA, Bundle, write_bundle
from keensight.store.create_run import create_run
from keensight.store.npz import SelfTest
from keensight.store.run import Run

LABELS = LabelSet(("ant", "bee | wasp", "Ñandú"))
LAYER = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}, "registered_name": None,
         "build_config": {"input_shape": [None, 4]}}  # fmt: skip
CONFIG: dict[str, Any] = {
    "module": "keras.src.models.functional",
    "class_name": "Functional",
    "config": {"layers": [LAYER]},
    "registered_name": "Functional",
    "compile_config": {"optimizer": {"module": "keras.optimizers", "class_name": "SGD", "config": {}}},
}


def write_model(path: Path, *, config: Any = CONFIG, weights: bytes = bytes(range(256)) * 64) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)


def manifest(labels: LabelSet = LABELS, **changes: Any) -> BundleManifest:
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "name": "insects",
        "task": Task.MULTICLASS,
        "labels": labels,
        "image": ImageSpec(28, 32, "pad"),
        "model": "cnn",
        "normalisation": "x / 127.5 - 1",
        "temperature": 1.0,
        "decision": {"rule": "most probable class"},
        "provenance": {
            "run": "insects-1",
            "command": "keensight train insects",
            "seed": 7,
            "versions": {"keensight": "0.1.0", "keras": "3.15.1"},
            "data": {"name": "insects", "digest": "ab" * 32, "split": "stratified", "train": 70, "val": 15, "test": 15},
        },
        "files": {},
    }
    return BundleManifest(**(values | changes))


def exam(classes: int = 3) -> SelfTest:
    probabilities = np.full((2, classes), 1 / classes, dtype=np.float32)
    return SelfTest(("a/1.png", "grey copy"), (b"\x89PNG first", b"\x89PNG the second one"), probabilities)


def make_bundle(directory: Path, **changes: Any) -> Bundle:
    return write_bundle(directory, manifest=manifest(**changes), save_model=write_model, exam=exam())


def make_run(directory: Path | None, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "name": "insects",
        "source": "insects",
        "model": "cnn",
        "command": "keensight train insects",
        "seed": 7,
        "versions": {"keensight": "0.1.0"},
        "config_toml": "[train]\nepochs = 3\n",
    }
    return create_run(directory, **(values | changes))


def dataset(n: int = 12, labels: LabelSet = LABELS) -> Dataset:
    samples = [
        Sample(
            path=f'{labels.names[i % len(labels)]}/bild {i}, "é".jpg',
            label=labels.names[i % len(labels)],
            digest=f"{i:064x}",
            size=1000 + i,
            group=f"group {i // 3}" if i % 2 else None,
            split="test" if i == 3 else None,
            metadata={"age": i, "site": "Zürich", "ratio": i / 7, "empty": None} if i % 3 else {},
            info=ImageInfo("JPEG", "RGB", 400 + i, 300, 1, 1 + i % 8),
        )
        for i in range(n - 1)
    ]
    samples.append(Sample("ant/broken.jpg", labels.names[0], "", error="the file is empty"))
    return Dataset("insects", "folder", labels, tuple(samples), (Skipped("Thumbs.db", "no image"),))


def split(n: int = 12) -> Split:
    return Split(tuple(range(0, n - 5)), (n - 5, n - 4), (n - 3, n - 2), "stratified by class, seed 7")


def evaluation(data: Dataset, parts: Split, seed: int = 0) -> Evaluated:
    rng = np.random.default_rng(seed)
    rows = parts.part("test")
    probabilities = rng.dirichlet(np.ones(len(data.labels)), len(rows)).astype(np.float32)
    paths = tuple(data.samples[row].path for row in rows)
    scored = replace(evaluate(probabilities, data.targets()[rows], data.labels), seconds=0.5)
    predictions = Predictions(paths, data.labels, probabilities, indices=rows, truth=data.targets()[rows])
    return Evaluated.of(scored, predictions, data)
