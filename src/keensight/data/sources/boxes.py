"""Files of boxes around objects (YOLO, COCO, Pascal VOC): read where each image has boxes of one class."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path, PurePosixPath

from keensight.core.decode_limits import MAX_BYTES
from keensight.core.files import read_bounded
from keensight.core.records import Skipped
from keensight.data.sources.layouts import Layout
from keensight.data.sources.names import clean_label
from keensight.errors import DataError, ImageError

_SUFFIXES = {"YOLO": (".txt", ".yaml", ".yml", ".names"), "COCO": (".json",), "Pascal VOC": (".xml",)}
NO_BOX = "no box around anything in it"
_OBJECT = re.compile(r"<object>.*?<name>([^<]*)</name>", re.DOTALL)
_NAMES = re.compile(r"^names\s*:[ \t]*(.*(?:\n(?:[ \t]+|-).*)*)", re.MULTILINE)
_ITEM = re.compile(r"(?:^|[\[{,\n])\s*(?:-\s*)?(?:(\d+)\s*:\s*)?(\"[^\"]*\"|'[^']*'|[^,\[\]{}\n'\"#]+)")

Classes = Iterator[tuple[str, set[str]]]
"""Images, each with the classes of its boxes."""


def box_classes(root: Path, layout: Layout, others: Sequence[str]) -> Layout:
    """The layout with the class of each image that has boxes; images without any are left out.

    Args:
        root: The folder.
        layout: Its images, and the kind of its boxes.
        others: The files that are no images.

    Raises:
        DataError: an image has boxes of several classes, or the names of the classes are nowhere.
    """
    readers: dict[str, Callable[[Path, Sequence[str], Sequence[str]], Classes]] = {
        "YOLO": _yolo, "COCO": _coco, "Pascal VOC": _voc,
    }  # fmt: skip
    found: dict[str, set[str]] = defaultdict(set)
    for image, classes in readers[layout.boxes](root, layout.unlabeled, others):
        found[image] |= classes
    several = [image for image in layout.unlabeled if len(found[image]) > 1]
    labeled = {image: next(iter(found[image])) for image in layout.unlabeled if len(found[image]) == 1}
    if several or not labeled:
        count = f"{len(several):,} of {len(layout.unlabeled):,} images"
        why = f"{count} have boxes of several classes, such as {several[0]}" if several else "no image has a box"
        raise DataError(
            f"{root} is an object detection set ({layout.boxes}): {why}",
            "Keensight classifies whole images: crop the boxes into a folder per class, or list the images in a CSV "
            "table with path and label",
        )
    skipped = tuple(Skipped(image, NO_BOX) for image in layout.unlabeled if image not in labeled)
    cue = "; ".join(filter(None, (layout.cue, "each image has boxes of one class, which is its class")))
    return replace(
        layout, name=f"{layout.boxes} boxes", depth=0, labels=labeled, unlabeled=(),
        skipped=(*layout.skipped, *skipped), cue=cue,
        tables=tuple(path for path in others if path.lower().endswith(_SUFFIXES[layout.boxes])),
    )  # fmt: skip


def _text(path: Path) -> str:
    try:
        return read_bounded(path, MAX_BYTES).decode("utf-8-sig", "replace") if path.stat().st_size else ""
    except (ImageError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}", "repair or remove it") from error


def _beside(images: Sequence[str], others: Iterable[str], suffix: str) -> Iterator[tuple[str, str]]:
    """Images, each with the file of its boxes: next to it, or in a folder that stands for ``images``."""
    files: dict[str, list[str]] = defaultdict(list)
    for path in others:
        if path.lower().endswith(suffix):
            files[PurePosixPath(path).stem].append(path)
    for image in images:
        candidates = files.get(PurePosixPath(image).stem, [])
        if candidates:
            folders = set(image.split("/")[:-1])
            yield image, max(candidates, key=lambda path: len(folders & set(path.split("/")[:-1])))


def _yolo(root: Path, images: Sequence[str], others: Sequence[str]) -> Classes:
    names = _yolo_names(root, others)
    if not names:
        raise DataError(
            f"{root} is an object detection set (YOLO) without the names of its classes",
            "add data.yaml with names, or classes.txt with one name per line; a classification set has a folder per "
            "class, or a CSV table with path and label",
        )
    for image, file in _beside(images, others, ".txt"):
        numbers = {line.split()[0] for line in _text(root / file).splitlines() if line.strip()}
        yield image, {names.get(number, number) for number in numbers}


def _yolo_names(root: Path, others: Sequence[str]) -> dict[str, str]:
    for path in sorted(others, key=lambda path: path.count("/")):
        name = PurePosixPath(path).name.lower()
        if name.endswith((".yaml", ".yml")) and (found := _NAMES.search(_text(root / path))):
            items = _ITEM.findall(found[1])
            names = [(number or str(i), text.strip().strip("'\"")) for i, (number, text) in enumerate(items)]
            return {number: clean_label(text) for number, text in names if text}
        if name in ("classes.txt", "obj.names", "_darknet.labels", "classes.names", "labels.txt"):
            lines = [line.strip() for line in _text(root / path).splitlines()]
            return {str(i): clean_label(line) for i, line in enumerate(lines) if line}
    return {}


def _voc(root: Path, images: Sequence[str], others: Sequence[str]) -> Classes:
    for image, file in _beside(images, others, ".xml"):
        yield image, {clean_label(unescape(name)) for name in _OBJECT.findall(_text(root / file))}


def _coco(root: Path, images: Sequence[str], others: Sequence[str]) -> Classes:
    by_name: dict[str, list[str]] = defaultdict(list)
    for image in images:
        by_name[PurePosixPath(image).name].append(image)
    for file in others:
        if not file.lower().endswith(".json"):
            continue
        try:
            document = json.loads(_text(root / file))
            names = {item["id"]: clean_label(str(item["name"])) for item in document["categories"]}
            paths = {item["id"]: str(item["file_name"]) for item in document["images"]}
            pairs = [(paths[item["image_id"]], names[item["category_id"]]) for item in document["annotations"]]
        except (ValueError, KeyError, TypeError, RecursionError):  # another JSON file
            continue
        for path, name in pairs:
            located = _located(path, file, by_name)
            if located is not None:
                yield located, {name}


def _located(path: str, file: str, by_name: Mapping[str, Sequence[str]]) -> str | None:
    """The image that a COCO file means: in its own folder, in one that its name contains, or the only one so named."""
    candidates = by_name.get(PurePosixPath(path.replace("\\", "/")).name, ())
    folder, _, name = file.rpartition("/")
    near = [image for image in candidates if image == f"{folder}/{path}".lstrip("/")]
    near = near or [image for image in candidates if image.split("/")[-2:-1] and image.split("/")[-2] in name]
    return (near or [*candidates])[0] if near or len(candidates) == 1 else None
