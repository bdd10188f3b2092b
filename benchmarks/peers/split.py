"""The split that Keensight makes of a set, as a CSV of path, label and split, so that all peers use the same images.

    python benchmarks/peers/split.py SOURCE --out split.csv [--group patient_id] [--seed 0]

SOURCE is a folder or a table; parts that it gives are kept. Paths in the CSV are absolute.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

import keensight as ks
from keensight.core.records import PARTS


def write(source: Path, out: Path, *, group: str | None, label: str | None, seed: int) -> Counter[str]:
    """Write the CSV; returns the number of images in each part."""
    data = ks.open(source, group=group, label=label)
    parts = ks.split(data, audit=ks.audit(data), seed=seed)
    root = (source if source.is_dir() else source.parent).resolve()
    with out.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "label", "split"])
        for part in PARTS:
            for index in parts.part(part):
                sample = data.samples[index]
                table.writerow([root / sample.path, sample.label, part])
    return Counter({part: len(parts.part(part)) for part in PARTS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--group", help="column whose equal values stay together")
    parser.add_argument("--label", help="column of the class")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        dict(write(arguments.source, arguments.out, group=arguments.group, label=arguments.label, seed=arguments.seed))
    )


if __name__ == "__main__":
    main()
