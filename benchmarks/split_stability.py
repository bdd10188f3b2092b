"""How many images change splits when others are added or removed, near-duplicates included.

    python benchmarks/split_stability.py DATA

DATA holds datasets as folders. Of each a random 5% of the images is taken away, several times, and both sets are
audited and split with the same seed; splits that a source gives are ignored. Counted are the images in both that are
in another split. To add the images back moves the same ones the other way.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from record import save

import keensight as ks
from keensight.core.progress import Silent
from keensight.core.records import PARTS, Dataset, Part
from keensight.data.sources.readers import open_source

SETS = (
    ("clothing_small", None), ("chest_xray", None), ("chest_xray", "patient_id"), ("gtsrb43", "track_id"),
    ("plantvillage15", None), ("deeppcb_crops", None), ("deeppcb_crops", "board_group"), ("orl_faces", None),
)  # fmt: skip
TAKEN = 0.05


def opened(folder: Path, group: str | None) -> Dataset:
    data = open_source(folder, group=group)
    return replace(data, samples=tuple(replace(sample, split=None) for sample in data.samples))


def places(data: Dataset) -> dict[str, Part]:
    """The split of each image, by its path."""
    report = ks.audit(data, pixels=ks.prepare(data, progress=Silent()), probes=False, progress=Silent())
    split = ks.split(data, audit=report)
    return {data.samples[i].path: part for part in PARTS for i in split.part(part)}


def measure(data: Dataset, draws: int) -> dict[str, Any]:
    """Moves over all draws, among the images that stay."""
    before = places(data)
    counts = {"stayed": 0, "moved": 0, "train_to_test": 0, "test_to_train": 0}
    for seed in range(draws):
        kept = np.sort(np.random.default_rng(seed).permutation(len(data))[round(TAKEN * len(data)) :])
        after = places(replace(data, samples=tuple(data.samples[i] for i in kept)))
        for path, part in after.items():
            counts["stayed"] += 1
            counts["moved"] += part != before[path]
            counts["train_to_test"] += (before[path], part) == ("train", "test")
            counts["test_to_train"] += (before[path], part) == ("test", "train")
    return {"n": len(data), **counts, "moved_fraction": round(counts["moved"] / counts["stayed"], 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=4)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for name, group in SETS:
        named = f"{name}, groups: {group}" if group else name
        figures[named] = measure(opened(arguments.data / name, group), arguments.draws)
        print(named, figures[named], file=sys.stderr, flush=True)
    bar = "0 for classes of 30 and more, except near-duplicates"
    save("split-stability", sum(one["n"] for one in figures.values()), figures, bar)


if __name__ == "__main__":
    main()
