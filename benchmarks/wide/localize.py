"""How well a detector's heatmaps find the defects that the masks of an image set show.

    python benchmarks/wide/localize.py RUN TABLE.csv

Over the test images that are good or have a mask (column ``mask``), in the frame of the network: area under the ROC
curve of the pixels, and per-region overlap up to a false positive rate of 30%. One line of JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from draws import GOOD
from numpy.typing import NDArray
from PIL import Image

import keensight as ks
from keensight.assess.anomaly import pixel_auroc, region_overlap
from keensight.errors import DataError
from keensight.nets.inputs import read_image


def enlarged(maps: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Heatmaps (n, rows, columns) in the frame, bilinear, as the report shows them."""
    bilinear = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(one).resize((width, height), bilinear)) for one in maps])


def masks(paths: list[Path | None], spec: ks.ImageSpec) -> NDArray[np.bool_]:
    """Which pixels of the frame are anomalous; None for a good image."""
    frame = ks.ImageSpec(spec.height, spec.width, spec.fit)
    found = np.zeros((len(paths), spec.height, spec.width), bool)
    for place, path in enumerate(paths):
        if path is not None:
            mask = read_image(path, frame)
            if mask.image is None:
                raise DataError(f"the mask {path} cannot be read: {mask.error}", "build the set again")
            found[place] = mask.image[..., 0] > 127
    return found


def localization(run: Path, table: Path) -> dict[str, float]:
    with table.open(encoding="utf-8", newline="") as stream:
        rows = [
            row for row in csv.DictReader(stream) if row["split"] == "test" and (row["label"] == GOOD or row["mask"])
        ]
    detector = ks.load_detector(run)
    maps = detector.predict([table.parent / row["path"] for row in rows]).maps
    held = masks([table.parent / row["mask"] if row["mask"] else None for row in rows], detector.spec)
    heat = enlarged(maps, detector.spec.height, detector.spec.width)
    return {"pixel_auroc": pixel_auroc(heat, held), "pro": region_overlap(heat, held)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("table", type=Path)
    arguments = parser.parse_args()
    print(json.dumps(localization(arguments.run, arguments.table)))


if __name__ == "__main__":
    main()
