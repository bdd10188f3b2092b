"""Single images from what a user gives to predict: files, folders, patterns, tables, arrays."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keensight.core.sources import Images, Source, Unread, singles
from keensight.data.sources.listing import list_images
from keensight.data.sources.names import junk_reason, natural_key, suffix_of
from keensight.errors import DataError

COMPANIONS = frozenset(
    {
        ".aae", ".csv", ".htm", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".npy", ".npz", ".parquet", ".pq",
        ".py", ".toml", ".tsv", ".txt", ".xml", ".xmp", ".yaml", ".yml",
    }
)  # fmt: skip
"""Extensions of files that are often next to images and clearly not images."""

LISTS = frozenset({".csv", ".tsv", ".txt", ".lst", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".xlsx", ".gz"})
"""Extensions of files that may list images, where they are given themselves."""
_HINT = "give image files, folders or patterns such as photos/*.jpg"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The images found, and the number of ignored files by extension."""

    images: list[Source]
    companions: Mapping[str, int] = field(default_factory=dict)


def find_inputs(given: Images) -> Inputs:
    """Single images from what a user gives: as :func:`~keensight.core.sources.singles`, and of tables and folders.

    A pandas table is read by its column of paths. Every file of a folder or pattern counts, even if it is not an image
    or cannot be read: its row has an error. Hidden files, those of operating systems and ``COMPANIONS`` do not.

    Raises:
        DataError: there are no images, or something else was given; a table has no column of paths, or several.
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
        raise DataError("no images were given", _HINT)
    return Inputs(found, companions)


def listed(given: Images) -> list[Source]:
    """Single images as :func:`~keensight.core.sources.singles` has them, also of a table; folders stay folders.

    Raises:
        DataError: as for :func:`find_inputs`, but that there may be none.
    """
    return _of_table(given) if hasattr(given, "columns") and hasattr(given, "iloc") else singles(given)


def find_images(path: str | Path) -> Inputs:
    """What ``path`` stands for, in natural order.

    A folder is searched through; a pattern (``*``, ``?``, ``[...]``, ``**``) is expanded; of a table or a text list the
    images that it lists are taken. Any other file is taken as it is, whatever its name, and so is one that does not
    exist: its row has an error.

    Raises:
        DataError: a folder or a pattern holds no image, or a table has no column of paths.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir costs twice as much, and this runs once an image
        found = _without_companions(_in_folder(Path(path)))
    elif glob.has_magic(str(path)) and not Path(path).exists():
        found = _without_companions(_matching(str(path)))
    else:
        return Inputs(_in_table(Path(path)) if suffix_of(str(path)) in LISTS else [Path(path)])
    if not found.images:
        beside = f": {in_words(found.companions)}" if found.companions else ""
        raise DataError(f"{path} contains no images{beside}", _HINT)
    return found


def in_words(companions: Mapping[str, int]) -> str:
    """``3 files are not images (2 .txt, 1 .csv)``."""
    n = sum(companions.values())
    listed = ", ".join(f"{count:,} {ending}" for ending, count in sorted(companions.items()))
    return f"{n:,} files are not images ({listed})" if n > 1 else f"1 file is not an image ({next(iter(companions))})"


def _in_folder(folder: Path) -> list[Source]:
    listing = list_images(folder)
    found: dict[str, Source] = {file.path: folder / (file.stored or file.path) for file in listing.files}
    for other in listing.others:  # what a file is, its content tells; a folder, or a name as it is shown, has none
        place = folder / other.path
        readable = place.exists() and not place.is_dir()
        found[other.path] = place if readable else Unread(other.reason, str(place))
    return [found[path] for path in sorted(found, key=natural_key)]


def _in_table(file: Path) -> list[Source]:
    """The images that a table lists; a text file that is no list is taken as it is."""
    from keensight.data.sources.table_columns import path_column
    from keensight.data.sources.table_files import is_table_name, read_table
    from keensight.data.sources.table_paths import locate

    if not file.is_file() or not is_table_name(file.name):
        return [file]
    try:
        table = read_table(file)
        column, _ = path_column(table, file.name)
    except DataError:
        if suffix_of(file.name) in (".csv", ".tsv", ".parquet", ".xlsx", ".jsonl"):
            raise
        return [file]
    paths = [cell if isinstance(cell, str) else "" for cell in table.columns[column]]
    places = locate(file.parent, [path for path in paths if path], file.name)
    found = iter([places.base / one.path for one in places.files])
    return [next(found) if path else Unread("the path is missing") for path in paths]


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
    from keensight.data.sources.table_columns import path_column
    from keensight.data.sources.table_files import table_of

    try:
        column, _ = path_column(table_of(frame, "the table"), "the table")
    except DataError as error:
        columns = ", ".join(map(str, frame.columns[:20]))
        raise DataError(
            f"{error.message}; its columns are: {columns}",
            "give the column itself, such as frame['path'], or name it path",
        ) from error
    return singles(frame[next(name for name in frame.columns if str(name) == column)])
