"""Open public repositories of images as they are, and record what Keensight says of each.

python benchmarks/public_sources.py FOLDER

FOLDER contains a clone of each repository, named ``owner+name`` and checked out at its commit. No file is changed. The
result is ``benchmarks/public_sources.json``, which ``docs/generate.py`` shows in ``docs/sources.md``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import keensight as ks
from keensight.core.progress import Silent
from keensight.core.reading import reading_lines

RESULT = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Opened:
    """One repository, or a folder in it, and what was said."""

    repository: str
    commit: str
    layout: str
    """How its authors keep the images."""
    folder: str = ""
    option: str = ""
    """``label_level=leaf``, as the refusal said."""
    said: tuple[str, ...] = ()


REPOSITORIES = (
    Opened("SartajBhuvaji/Brain-Tumor-Classification-DataSet", "3ea9f4eae5", "Training and Testing, four classes each"),
    Opened("lzh109/laserFilm", "acf7debc4f", "data/good and data/bad, between scripts"),
    Opened("pan8915/DeepTexture", "522f46f683", "images/CLASS, next to a web page"),
    Opened("gnbaron/signature-recognition", "35d68f81c0", "data/training and data/test"),
    Opened("idinyte/SimpleNet_SDU", "fe0b8eaab1", "MVTec AD: train/good, test/CLASS, ground_truth"),
    Opened("abin24/Magnetic-tile-defect-datasets.", "cc4eb530b5", "CLASS/Imgs with a PNG mask next to each JPEG"),
    Opened("marcusklasson/GroceryStoreDataset", "fc80ba90f8", "dataset/train/Fruit/Apple, next to icons"),
    Opened("marcusklasson/GroceryStoreDataset", "fc80ba90f8", "the same", option="label_level=leaf"),
    Opened("prajnasb/observations", "cdcf4501bf", "splits deep inside, next to the images that they were made from"),
    Opened("ardamavi/Sign-Language-Digits-Dataset", "4b09433ef9", "Dataset/0 to 9, next to Examples"),
    Opened("ardamavi/Sign-Language-Digits-Dataset", "4b09433ef9", "the same", folder="Dataset"),
    Opened("MohamedAliHabib/Brain-Tumor-Detection", "30470ae8eb", "yes, no, and augmented data/yes and no"),
    Opened("MohamedAliHabib/Brain-Tumor-Detection", "30470ae8eb", "the same", option="label_level=leaf"),
    Opened("zae-bayern/elpv-dataset", "411fd729da", "src/.../images, labels.csv without header", folder="src"),
    Opened("zae-bayern/elpv-dataset", "411fd729da", "the same", folder="src", option="label=column 3"),
    Opened("zxaoyou/segmentation_WBC", "fa9c01622f", "Dataset 1 and 2, each with masks and a table of labels"),
    Opened("Shenggan/BCCD_Dataset", "d272fb14cd", "Pascal VOC boxes of several cells in each image"),
    Opened("stoy95536/KolektorSDD_Yolov8_Datasets", "81e5cf3330", "YOLO boxes of one class, and images without boxes"),
    Opened("karthajee/document-orientation-challenge", "01e94e6309", "train and test of loose images"),
)  # fmt: skip


def opened(place: Path, item: Opened) -> tuple[str, ...]:
    """The line and its warnings, or the error and its hint, without this machine's paths."""
    root = place / item.repository.replace("/", "+")
    options = dict([item.option.split("=")]) if item.option else {}
    try:
        lines = reading_lines(ks.open(root / item.folder, progress=Silent(), **options))
    except ks.KeensightError as error:
        lines = [f"error: {error.message}", f"hint: {error.hint}"]
    name = item.repository.split("/")[1]
    return tuple(line.replace(str(root), name).replace(root.name, name) for line in lines)


def main() -> None:
    """Open each repository and write what was said."""
    rows = []
    for item in REPOSITORIES:
        said = opened(Path(sys.argv[1]), item)
        rows.append(asdict(item) | {"said": said})
        print(item.repository, *said, sep="\n    ", flush=True)
    RESULT.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
