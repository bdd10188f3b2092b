"""Images of shapes with three independent labels, and records of multi-label sets, made by code."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keensight.assess.multilabel import evaluate
from keensight.core.evaluation import Evaluated
from keensight.core.predictions import Predictions
from keensight.core.records import Dataset, LabelSet, Sample

SHAPES = ("bar", "dot", "frame")


def shape_image(rng: np.random.Generator, held: NDArray[np.bool_], side: int = 28) -> NDArray[np.uint8]:
    """Noise with a red bar, a green dot and a blue frame, each only where it is held."""
    image = rng.integers(0, 60, (side, side, 3))
    if held[0]:
        row = int(rng.integers(3, side - 5))
        image[row : row + 3, 3:-3, 0] = 230
    if held[1]:
        y, x = rng.integers(4, side - 10, 2)
        image[y : y + 6, x : x + 6, 1] = 230
    if held[2]:
        image[[0, 1, -1, -2], :, 2] = image[:, [0, 1, -1, -2], 2] = 230
    return image.astype(np.uint8)


def write_shapes(folder: Path, n: int = 240, seed: int = 0, *, lists: bool = False) -> Path:
    """A folder of images and ``table.csv``: 0/1 columns, or one column of ``bar|dot`` lists."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    held = rng.random((n, 3)) < (0.5, 0.35, 0.25)
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label") if lists else ("path", *SHAPES))
        for i, row in enumerate(held):
            Image.fromarray(shape_image(rng, row)).save(folder / f"{i}.png")
            names = "|".join(name for name, there in zip(SHAPES, row, strict=True) if there)
            writer.writerow((f"{i}.png", names) if lists else (f"{i}.png", *row.astype(int)))
    return folder / "table.csv"


def labelled(rows: NDArray[np.bool_], names: tuple[str, ...] | None = None, seed: int = 0) -> Dataset:
    """A multi-label dataset without images, from a truth table (n, labels)."""
    names = names or tuple(f"l{j}" for j in range(rows.shape[1]))
    samples = []
    for i, row in enumerate(rows):
        held = tuple(name for name, there in zip(names, row, strict=True) if there)
        digest = hashlib.sha256(f"{seed} {i}".encode()).hexdigest()
        samples.append(Sample(f"{seed}/{i}.png", "|".join(held), digest, labels=held))
    return Dataset("labelled", "table", LabelSet(names), tuple(samples), task="multilabel")


def scored(n: int = 40, seed: int = 0) -> Evaluated:
    """An evaluation with predictions and dataset; some labels are missed, some wrongly added, one never occurs."""
    rng = np.random.default_rng(seed)
    truth = rng.random((n, 4)) < (0.5, 0.3, 0.2, 0.0)
    data = labelled(truth, ("bar", "dot", "a long name of a label, & more", "never"))
    probabilities = np.clip(truth * 0.5 + rng.random((n, 4)) * 0.6, 0, 1).astype(np.float32)
    thresholds = (0.5, 0.55, 0.6, 0.9)
    found = evaluate(probabilities, truth, data.labels, thresholds)
    paths = tuple(sample.path for sample in data.samples)
    predictions = Predictions(
        paths, data.labels, probabilities, thresholds=thresholds, indices=np.arange(n), truth=data.indicators()
    )
    return Evaluated.of(found, predictions, data)
