"""What a user names for prediction: files, folders, patterns and tables of paths, to image files."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keensight.core.sources import Images, Source, Unread, singles
from keensight.data.listing import list_images
from keensight.data.names import junk_reason, natural_key, suffix_of
from keensight.data.tables import PATH_NAMES
from keensight.errors import DataError

COMPANIONS = frozenset(
    {
        ".aae", ".csv", ".htm", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".npy", ".npz", ".parquet", ".pq",
        ".py", ".toml", ".tsv", ".txt", ".xml", ".xmp", ".yaml", ".yml",
    }
)  # fmt: skip
"""Endings of files that lie beside images and that nobody takes for one."""

_HINT = "give image files, folders or patterns such as photos/*.jpg"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Images that were found, and how many files beside them are of no interest, by their ending."""

    images: list[Source]
    companions: Mapping[str, int] = field(default_factory=dict)


def find_inputs(given: Images) -> Inputs:
    """Single images from what a user gives: as :func:`~keensight.core.sources.singles`, and of tables and folders.

    A pandas table is read by its column of paths. Of a folder or pattern every file counts, also one that is no
    image or that cannot be read: its row will say so. Hidden files, those of operating systems and ``COMPANIONS`` do
    not.

    Raises:
        DataError: there is no image, or something else was given; a table has no column of paths, or several.
    """
    found: list[Source] = []
    companions: Counter[str] = Counter()
    for image in listed(given):
        if isinstance(image, (str, Path)):
            inputs = find_images(image)
            found += inputs.images
            companions.update(inputs.companions)
        else:
            found.append(image)
    if not found:
        raise DataError("no image was given", _HINT)
    return Inputs(found, companions)


def listed(given: Images) -> list[Source]:
    """Single images as :func:`~keensight.core.sources.singles` has them, also of a table; folders stay folders.

    Raises:
        DataError: as for :func:`find_inputs`, but that there may be none.
    """
    return _of_table(given) if hasattr(given, "columns") and hasattr(given, "iloc") else singles(given)


def find_images(path: str | Path) -> Inputs:
    """What ``path`` stands for, in natural order.

    A folder is searched through; a pattern (``*``, ``?``, ``[...]``, ``**``) is expanded. A file is taken
    as it is, whatever its name, and so is one that does not exist: its row will say so.

    Raises:
        DataError: a folder or a pattern holds no image.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir costs twice as much, and this runs once an image
        found = _without_companions(_in_folder(Path(path)))
    elif glob.has_magic(str(path)) and not Path(path).exists():
        found = _without_companions(_matching(str(path)))
    else:
        return Inputs([Path(path)])
    if not found.images:
        beside = f": {in_words(found.companions)}" if found.companions else ""
        raise DataError(f"{path} holds no image{beside}", _HINT)
    return found


def in_words(companions: Mapping[str, int]) -> str:
    """``3 files are no images (2 .txt, 1 .csv)``."""
    n = sum(companions.values())
    listed = ", ".join(f"{count:,} {ending}" for ending, count in sorted(companions.items()))
    return f"{n:,} files are no images ({listed})" if n > 1 else f"1 file is no image ({next(iter(companions))})"


def _in_folder(folder: Path) -> list[Source]:
    listing = list_images(folder)
    found: dict[str, Source] = {file.path: folder / (file.stored or file.path) for file in listing.files}
    for other in listing.others:  # what a file is, its content tells; a folder, or a name as it is shown, has none
        place = folder / other.path
        readable = place.exists() and not place.is_dir()
        found[other.path] = place if readable else Unread(other.reason, str(place))
    return [found[path] for path in sorted(found, key=natural_key)]


def _matching(pattern: str) -> list[Source]:
    matches = [
        match
        for match in glob.glob(pattern, recursive=True)
        if not os.path.isdir(match) and junk_reason(os.path.basename(match)) is None  # noqa: PTH112, PTH119
    ]
    return [Path(match) for match in sorted(matches, key=natural_key)]


def _without_companions(found: Iterable[Source]) -> Inputs:
    images: list[Source] = []
    companions: Counter[str] = Counter()
    for image in found:
        ending = suffix_of(str(image)) if isinstance(image, Path) else ""
        if ending in COMPANIONS:
            companions[ending] += 1
        else:
            images.append(image)
    return Inputs(images, companions)


def _of_table(frame: Any) -> list[Source]:
    columns = [str(column) for column in frame.columns]
    matches = [place for place, column in enumerate(columns) if column.strip().lower() in PATH_NAMES]
    if len(matches) != 1:
        several = f"{len(matches)} columns that could hold the paths" if matches else "no column of paths"
        raise DataError(
            f"the table has {several}; its columns are: {', '.join(columns)}",
            "give the column itself, such as frame['path'], or call it path",
        )
    return singles(frame.iloc[:, matches[0]])
