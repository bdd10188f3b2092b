"""Tables of paths and labels."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sources import Case, pictures

LABELS = ["cat"] * 4 + ["dog"] * 4
PLACES = [f"{number}.png" for number in range(1, 9)]
IMAGES = "{1-8}.png"
Line = Callable[[int, str], str]


def table(
    line: Line,
    header: str = "path,label",
    *,
    name: str = "photos.csv",
    encoding: str = "utf-8",
    images: Sequence[str] = (IMAGES,),
) -> Callable[[Path], Any]:
    """A text table with a line for each of eight images; ``line`` gets their number, 1 to 8, and class."""

    def build(root: Path) -> Path:
        pictures(root, *images)
        lines = [*([header] if header else []), *(line(number, label) for number, label in enumerate(LABELS, start=1))]
        data = ("\n".join(lines) + "\n").encode(encoding)
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return root / name

    return build


def frame(write: str, name: str, **columns: Any) -> Callable[[Path], Any]:
    """A table of pandas, written by its method ``write``."""

    def build(root: Path) -> Path:
        import pandas as pd

        pictures(root, IMAGES)
        options = {"index": False} if write == "to_excel" else {}
        getattr(pd.DataFrame({"path": PLACES, "label": LABELS} | columns), write)(root / name, **options)
        return root / name

    return build


def _document(root: Path) -> Path:
    pictures(root, IMAGES)
    (root / "labels.json").write_text(json.dumps(dict(zip(PLACES, LABELS, strict=True))))
    return root / "labels.json"


def _pixels(side: int, columns: int) -> Callable[[Path], Any]:
    def build(root: Path) -> Path:
        header = ["label", *(f"pixel{i}" for i in range(columns))]
        lines = [[label, *[str(10 * number)] * columns] for number, label in enumerate(LABELS)]
        (root / "digits.csv").write_text("\n".join(",".join(line) for line in [header, *lines]) + "\n")
        return root / "digits.csv"

    assert columns in (side * side, 3 * side * side)
    return build


def _case(name: str, layout: str, build: Callable[[Path], Any], outcome: Any, sentence: str, **fields: Any) -> Case:
    return Case("Tables", name, layout, build, outcome, sentence, **fields)


def _plain(number: int, label: str) -> str:
    return f"{number}.png,{label}"


CASES = [
    _case("CSV", "path,label", table(_plain), "read", "CSV table, 2 classes, 8 images"),
    _case(
        "CSV with semicolons", "path;label", table(lambda i, c: f"{i}.png;{c}", "path;label"),
        "read", "delimiter semicolon",
    ),
    _case(
        "CSV with vertical bars", "path|label", table(lambda i, c: f"{i}.png|{c}", "path|label"),
        "read", "delimiter vertical bar",
    ),
    _case(
        "CSV in UTF-16 (Excel's Unicode text)", "path, tab, label",
        table(lambda i, c: f"{i}.png\t{c}", "path\tlabel", encoding="utf-16"),
        "read", "encoding UTF-16; delimiter tab",
    ),
    _case(
        "CSV in Windows-1252", "path,label: 1.png,Kätzchen", table(lambda i, c: f"{i}.png,{c}ä", encoding="cp1252"),
        "read", "encoding Windows-1252", classes=("catä", "dogä"),
    ),
    _case(
        "CSV without header", "1.png,cat", table(_plain, ""), "read",
        "no header: its columns are called path, label",
    ),
    _case(
        "CSV whose lines end with a delimiter", "path,label / 1.png,cat,", table(lambda i, c: f"{i}.png,{c},"),
        "read", "2 classes, 8 images",
    ),
    _case(
        "CSV with more cells than the header names", "path,label / 1.png,cat,new",
        table(lambda i, c: f"{i}.png,{c},new"), "refused", "line 2 has 3 cells, more than the header, which names 2",
    ),
    _case("CSV with gzip", "photos.csv.gz", table(_plain, name="photos.csv.gz"), "read", "CSV table, 2 classes"),
    _case(
        "TSV", "path, tab, label", table(lambda i, c: f"{i}.png\t{c}", "path\tlabel", name="photos.tsv"),
        "read", "TSV table, 2 classes",
    ),
    _case(
        "a text list", "1.png cat", table(lambda i, c: f"{i}.png {c}", "", name="photos.txt"),
        "read", "text list, 2 classes, 8 images",
    ),
    _case("Excel", "photos.xlsx", frame("to_excel", "photos.xlsx"), "read", "Excel table, 2 classes", needs="openpyxl"),
    _case(
        "Excel 97", "photos.xls", table(_plain, name="photos.xls"), "refused", "save it as CSV or .xlsx",
    ),
    _case(
        "JSON lines", '{"file_name": "1.png", "label": "cat"}',
        table(lambda i, c: json.dumps({"file_name": f"{i}.png", "label": c}), "", name="metadata.jsonl"),
        "read", "JSON lines, 2 classes, 8 images",
    ),
    _case("JSON of paths and classes", '{"1.png": "cat"}', _document, "read", "JSON records, 2 classes"),
    _case("Parquet", "photos.parquet", frame("to_parquet", "photos.parquet"), "read", "Parquet table, 2 classes"),
    _case(
        "images in a folder beside the table", "images/1.png; photos.csv: 1.png,cat",
        table(_plain, images=[f"images/{IMAGES}"]), "read", "images found in images/",
    ),
    _case(
        "names without extension", "images/1.png; photos.csv: 1,cat",
        table(lambda i, c: f"{i},{c}", "image_id,dx", images=[f"images/{IMAGES}"]),
        "read", "8 paths written without extension",
    ),
    _case(
        "names in other capital letters", "1.PNG; photos.csv: 1.png,cat", table(_plain, images=["{1-8}.PNG"]),
        "read", "8 paths written in other capital letters",
    ),
    _case(
        "paths of Windows", r"photos.csv: images\1.png,cat",
        table(lambda i, c: rf"images\{i}.png,{c}", images=[f"images/{IMAGES}"]), "read", "2 classes, 8 images",
    ),
    _case(
        "absolute paths of another machine", r"photos.csv: C:\data\pets\1.png,cat",
        table(lambda i, c: rf"C:\data\pets\{i}.png,{c}", images=[f"images/{IMAGES}"]),
        "read", "images found in images/",
    ),
    _case(
        "names that are in two folders", "a/1.png, b/1.png; photos.csv: 1.png,cat",
        table(_plain, images=[f"a/{IMAGES}", f"b/{IMAGES}"]), "refused", "in several folders: a (8) and b (8)",
    ),
    _case(
        "web addresses", "https://example.org/1.png,cat", table(lambda i, c: f"https://example.org/{i}.png,{c}"),
        "refused", "are web addresses",
    ),
    _case(
        "a column of the split", "path,label,split", table(
            lambda i, c: f"{i}.png,{c},{('train', 'valid', 'test', 'train')[i % 4]}", "path,label,split"
        ), "read", "3 predefined splits",
    ),
    _case(
        "a column is_valid", "filename,label,is_valid",
        table(lambda i, c: f"{i}.png,{c},{i % 4 == 0}", "filename,label,is_valid"),
        "read", "column is_valid read as split: true is validation",
    ),
    _case(
        "a column of folds", "path,label,fold", table(lambda i, c: f"{i}.png,{c},{i % 4}", "path,label,fold"),
        "read", "column fold (4 folds) is not used as split",
    ),
    _case(
        "one-hot columns", "image,cat,dog: 1.png,1,0",
        table(lambda i, c: f"{i}.png,{int(c == 'cat')},{int(c == 'dog')}", "image,cat,dog"),
        "read", "each row has exactly one 1 in the columns cat, dog: they are classes",
    ),
    _case(
        "columns of 0 and 1", "image,cat,indoors: 1.png,1,0",
        table(lambda i, c: f"{i}.png,{int(c == 'cat')},{i % 2}", "image,cat,indoors"),
        "read", "2 labels, 8 images", classes=("cat", "indoors"),
    ),
    _case(
        "lists with vertical bars", "1.png,cat|indoors",
        table(lambda i, c: f"{i}.png,{c}{'|indoors' * (i % 2)}"), "read", "3 labels", classes=("cat", "dog", "indoors"),
    ),
    _case(
        "lists with commas", '1.png,"cat,indoors"',
        table(lambda i, c: f'{i}.png,"{c}{",indoors" * (i % 2)}"'), "read",
        "column label contains lists of labels separated by commas", classes=("cat", "dog", "indoors"),
    ),
    _case(
        "lists of Python", "1.png,\"['cat', 'indoors']\"",
        table(lambda i, c: f"{i}.png,\"['{c}', 'indoors']\""), "read", "column label contains lists of labels",
        classes=("cat", "dog", "indoors"),
    ),
    _case(
        "lists in Parquet", 'label: ["cat", "indoors"]',
        frame("to_parquet", "photos.parquet", label=[[label, "indoors"] for label in LABELS]),
        "read", "column label contains lists of labels", classes=("cat", "dog", "indoors"),
    ),
    _case(
        "class names with commas", '1.png,"cat, small"', table(lambda i, c: f'{i}.png,"{c}, small"'), "told",
        "each is taken for one class", classes=("cat, small", "dog, small"),
    ),
    _case(
        "a class called NA", "1.png,NA", table(lambda i, c: f"{i}.png,{'NA' if c == 'dog' else c}"), "read",
        "NA in column label is a class (4 rows)", classes=("NA", "cat"),
    ),
    _case(
        "missing labels", "1.png,nan", table(lambda i, c: f"{i}.png,{'nan' if i in (1, 8) else c}"), "told",
        "2 of 8 images have no label and are left out", images=6,
    ),
    _case(
        "missing files", "photos.csv: 9.png,cat", table(_plain, images=["{1-7}.png"]), "told",
        "1 image cannot be read: the file is missing",
    ),
    _case(
        "numbers with and without a fraction", "1.png,1.0 / 2.png,1",
        table(lambda i, c: f"{i}.png,{i // 5}{'.0' * (i % 2)}"), "read", "are one class", classes=("0", "1"),
    ),
    _case(
        "a class column of an unusual name", "filename,animal_race,vaccinated,neutered",
        table(lambda i, c: f"{i}.png,{c},{i % 2},{i % 3 % 2}", "filename,animal_race,vaccinated,neutered"),
        "read", "column animal_race is taken for the class",
    ),
    _case(
        "two columns that may be the class", "filename,animal_race,mood",
        table(lambda i, c: f"{i}.png,{c},{('calm', 'wild')[i % 2]}", "filename,animal_race,mood"),
        "refused", "2 columns that could be the label: animal_race, mood",
    ),
    _case(
        "number and name of the class", "path,class_id,class_name",
        table(lambda i, c: f"{i}.png,{LABELS.index(c)},{c}", "path,class_id,class_name"),
        "read", "are the same classes: class_name names them",
    ),
    _case(
        "a row for each box", "filename,class,xmin,ymin,xmax,ymax",
        table(lambda i, c: f"{i}.png,{c},0,0,4,4\n{i}.png,{c},1,1,4,4", "filename,class,xmin,ymin,xmax,ymax"),
        "read", "16 boxes in 8 images of one class each",
    ),
    _case(
        "boxes of several classes", "filename,class,xmin,ymin,xmax,ymax",
        table(lambda i, c: f"{i}.png,{c},0,0,4,4\n{i}.png,person,1,1,4,4", "filename,class,xmin,ymin,xmax,ymax"),
        "refused", "have boxes of several classes",
    ),
    _case(
        "pixels of gray squares", "label,pixel0,pixel1 to pixel63", _pixels(8, 64), "read",
        "table of pixels, 2 classes, 8 images; 64 columns are images of 8 × 8 pixels",
    ),
    _case(
        "pixels in three colors", "label,pixel0,pixel1 to pixel191", _pixels(8, 192), "refused",
        "three colors in an unknown order",
    ),
]  # fmt: skip
