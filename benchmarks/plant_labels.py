"""Make a multi-label table of PlantVillage: the crop and the disease of each leaf are separate labels.

python benchmarks/plant_labels.py FOLDER TABLE.csv

FOLDER holds one folder a class, such as ``Tomato_Late_blight``. The table has the image's path and ``labels`` such as
``Late_blight|Tomato``; a healthy leaf has its crop only.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

CROPS = {"Pepper__bell": "Pepper", "Potato": "Potato", "Tomato": "Tomato"}


def labels_of(folder: str) -> tuple[str, ...]:
    """``Tomato__Target_Spot`` to ``("Target_Spot", "Tomato")``."""
    prefix = next(prefix for prefix in CROPS if folder.startswith(prefix))
    disease = folder.removeprefix(prefix).strip("_")
    return tuple(sorted({CROPS[prefix], disease} - {"healthy"}))


def main(folder: Path, table: Path) -> None:
    """Write the table."""
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label"))
        for image in sorted(folder.resolve().glob("*/*.*")):
            writer.writerow((image, "|".join(labels_of(image.parent.name))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
