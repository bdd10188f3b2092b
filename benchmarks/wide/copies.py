"""Augmented copies on the sets of the wide bench: planted ones, and what is found in the sets as they are.

    python benchmarks/wide/copies.py [NAME ...] [--half chosen|shown] [--planted]

As in a training, the audit looks for duplicates, then neighbors by the features of `quick` are registered. Groups are
given where a set has them, and its splits are kept. The result goes to ``benchmarks/results/copies-HALF.json``.

With ``--planted``, five copies are made of one image each of up to 40 groups of a set, rotated by up to 20 degrees,
shifted and zoomed by up to 10 and 15%, sheared, flipped and of another brightness, with edges smeared as by Keras'
ImageDataGenerator; the result goes to ``copies-planted-HALF.json``.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from baselines import NETWORK, read
from image_sources import pick
from record import save
from sets import add_options, ensure

import keensight as ks
from keensight.core.audit import AuditReport
from keensight.core.config import RunConfig
from keensight.core.progress import Silent
from keensight.core.records import Dataset
from keensight.data.audit.duplicates import ties
from keensight.workflow.augmented_copies import tie_augmented_copies

ORIGINALS, COPIES, CLASSES = 40, 5, 4


def searched(table: Path, group: str | None) -> tuple[Dataset, AuditReport, AuditReport, float]:
    """A set, its audit before and after the search by features, and the processor seconds of that search."""
    data = ks.open(table, label="label", group=group, progress=Silent())
    spec = ks.image_spec(data, model=NETWORK, effort="quick")
    pixels = ks.prepare(data, spec, progress=Silent())
    report = ks.audit(data, pixels=pixels, probes=False, progress=Silent())
    split, config = ks.split(data, audit=report), RunConfig().with_values({"model.name": NETWORK})
    tie_augmented_copies(data, pixels, report, split, config, Silent())  # computes the features
    started = time.process_time()
    after, _ = tie_augmented_copies(data, pixels, report, split, config, Silent())
    return data, report, after, time.process_time() - started


def as_it_is(table: Path) -> dict[str, Any]:
    """How many images of a set have a copy, and how many of its validation and test images one in training."""
    columns = read(table)
    grouped = len(set(columns["group"])) < len(columns["path"])
    data, before, after, seconds = searched(table, "group" if grouped else None)
    known, found = (frozenset(i for tie in ties(report, data) for i in tie) for report in (before, after))
    split = [sample.split for sample in data.samples]
    leaked = dict.fromkeys(("val", "test"), 0)
    for tie in ties(after, data):
        held = [split[i] for i in tie]
        for part in leaked:
            leaked[part] += held.count(part) if "train" in held else 0
    return {
        "n": len(data), "by_pixels": len(known), "by_features": len(found - known), "seconds": round(seconds, 1),
        "val": [leaked["val"], split.count("val")], "test": [leaked["test"], split.count("test")],
        "told": [one.kind for one in after.findings if one.kind in ("near-leak", "augmented-copies")],
    }  # fmt: skip


def planted(table: Path, folder: Path) -> dict[str, Any]:
    """How many of the images are tied to another copy of their original, and how many pairs of originals."""
    rng = np.random.default_rng(0)
    chosen = _originals(read(table), rng)
    rows = [("path", "label", "original")]
    for number, (path, label) in enumerate(chosen):
        with Image.open(table.parent / path) as image:
            plain = image.convert("RGB")
            plain.thumbnail((640, 640))
        pixels = np.asarray(plain)
        for copy in range(COPIES + 1):
            name = f"{rng.integers(2**60):015x}.jpg"
            Image.fromarray(augmented(pixels, rng) if copy else pixels).save(folder / name, quality=92)
            rows.append((name, label, str(number)))
    with (folder / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    data, _, after, seconds = searched(folder / "table.csv", None)
    origin = [str(sample.metadata["original"]) for sample in data.samples]
    groups = [tie for tie in ties(after, data) if len({origin[i] for i in tie}) == 1]
    tied = {i for tie in groups for i in tie}
    mixed = sum(len({origin[i] for i in tie}) > 1 for tie in ties(after, data))
    return {"n": len(data), "originals": len(chosen), "tied": len(tied), "mixed": mixed, "seconds": round(seconds, 1)}


def _originals(columns: dict[str, Sequence[str]], rng: np.random.Generator) -> list[tuple[str, str]]:
    """One image of each group, of the four classes with most groups."""
    first: dict[str, tuple[str, str]] = {}
    for i in rng.permutation(len(columns["path"])):
        first.setdefault(columns["group"][i], (columns["path"][i], columns["label"][i]))
    held: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path, label in first.values():
        held[label].append((path, label))
    largest = sorted(held.values(), key=len, reverse=True)[:CLASSES]
    return [one for some in largest for one in some[: ORIGINALS // len(largest)]]


def augmented(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random affine change, flip and brightness."""
    from scipy.ndimage import affine_transform

    angle, shear = np.deg2rad(rng.uniform(-20, 20)), np.deg2rad(rng.uniform(-10, 10))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ [[1, np.sin(shear)], [0, np.cos(shear)]] @ np.diag(rng.uniform(0.85, 1.15, 2))
    middle, size = (np.array(image.shape[:2]) - 1) / 2, np.array(image.shape[:2])
    offset = middle - linear @ (middle + rng.uniform(-0.1, 0.1, 2) * size)
    channels = [
        affine_transform(image[..., k].astype(np.float32), linear, offset, order=1, mode="nearest") for k in range(3)
    ]
    changed = (np.stack(channels, axis=-1) * rng.uniform(0.8, 1.2)).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(changed[:, ::-1]) if rng.random() < 0.5 else changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--planted", action="store_true", help="make augmented copies")
    arguments = parser.parse_args()
    results = {}
    for source in pick(arguments.names, arguments.half, arguments.kind):
        if source.task != "anomaly":
            table = ensure(source, arguments.out, arguments.mirror)
            with tempfile.TemporaryDirectory() as folder:
                results[source.name] = planted(table, Path(folder)) if arguments.planted else as_it_is(table)
            print(source.name, results[source.name], file=sys.stderr, flush=True)
    name = f"copies-{'planted-' if arguments.planted else ''}{arguments.half}"
    save(name, sum(one["n"] for one in results.values()), {"sets": results})


if __name__ == "__main__":
    main()
