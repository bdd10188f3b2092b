"""List a folder: its image files, and everything else with a reason."""

from __future__ import annotations

import glob
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from keensight.core.records import Skipped
from keensight.core.sources import Images, Source, Unread, singles
from keensight.data.sources.names import PATH_NAMES, is_image_name, junk_reason, natural_key, readable_path, suffix_of
from keensight.errors import DataError

UNKNOWN_TYPE = "not an image type that can be read"
UNREADABLE_FOLDER = "the folder cannot be read"
SEEN_BEFORE = "a link to a folder that was already read"


@dataclass(frozen=True, slots=True)
class Found:
    """One image file as the directory lists it; ``path`` is relative, with ``/``."""

    path: str
    size: int = 0
    mtime_ns: int = 0
    error: str | None = None
    """Why it cannot be read, where that is known without opening it."""
    stored: str = ""
    """The path as the file system has it, where that is not UTF-8 and ``path`` says it in Latin-1; else empty."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All of a folder, in natural order."""

    files: tuple[Found, ...]
    folders: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    others: tuple[Skipped, ...] = ()
    """Those of ``skipped`` that may have been meant as images: neither hidden, nor put there by an operating system."""


@dataclass(slots=True)
class _Walk:
    root: Path
    files: list[Found] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    others: list[Skipped] = field(default_factory=list)
    pending: deque[str] = field(default_factory=deque)
    links: deque[str] = field(default_factory=deque)
    """Symbolic links to folders, followed last, so that a real folder never loses its place to a link."""
    seen: set[tuple[int, int]] = field(default_factory=set)

    def refuse(self, path: str, reason: str) -> None:
        """Skip what may have been meant as an image, or as a folder of such."""
        self.others.append(Skipped(path, reason))


def list_images(root: Path) -> Listing:
    """List the image files below ``root``, recursively.

    Each real folder is read once, however many symbolic links lead to it, so that a loop of links ends.
    Hidden files, leftovers of operating systems, files without an image's extension and unreadable folders are
    returned as skipped. Names that are not UTF-8 are read as Latin-1; where that gives a path that
    is taken already, ``(2)`` is added to it.
    """
    walk = _Walk(root)
    walk.pending.append("")
    while walk.pending or walk.links:
        _enter(walk, (walk.pending or walk.links).popleft())
    return Listing(
        tuple(sorted(_distinct(walk.files), key=lambda found: natural_key(found.path))),
        tuple(sorted(walk.folders, key=natural_key)),
        tuple(sorted((*walk.skipped, *walk.others), key=lambda skipped: natural_key(skipped.path))),
        tuple(sorted(walk.others, key=lambda skipped: natural_key(skipped.path))),
    )


def _distinct(files: list[Found]) -> Iterator[Found]:
    """The files, each with its own path: a name that is not UTF-8 may read as one that is."""
    taken = {found.path for found in files if not found.stored}
    for found in files:
        name, number = PurePosixPath(found.path), 2
        while found.stored and found.path in taken:
            found = replace(found, path=str(name.with_stem(f"{name.stem} ({number})")))
            number += 1
        taken.add(found.path)
        yield found


def _enter(walk: _Walk, folder: str) -> None:
    full = walk.root / folder
    try:
        status = full.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in walk.seen:
            walk.skipped.append(Skipped(readable_path(folder), SEEN_BEFORE))
            return
        walk.seen.add(identity)
        with os.scandir(full) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        walk.refuse(readable_path(folder), f"{UNREADABLE_FOLDER}: {error.strerror or error}")
        return
    if folder:
        walk.folders.append(readable_path(folder))
    for entry in listed:
        _take(walk, f"{folder}/{entry.name}" if folder else entry.name, entry)


def _take(walk: _Walk, path: str, entry: os.DirEntry[str]) -> None:
    reason = junk_reason(entry.name)
    if reason is not None:
        walk.skipped.append(Skipped(readable_path(path), reason))
    elif _is_folder(entry):
        (walk.links if entry.is_symlink() else walk.pending).append(path)
    elif not is_image_name(entry.name) and not _is_unnamed_dicom(walk.root / path, entry):
        suffix = suffix_of(entry.name) or "no extension"
        walk.refuse(readable_path(path), f"{UNKNOWN_TYPE} ({suffix})")
    else:
        _take_file(walk, path, entry)


def _is_unnamed_dicom(path: Path, entry: os.DirEntry[str]) -> bool:
    """Whether a file without an extension, or named by a UID, begins as a DICOM image does."""
    suffix = suffix_of(entry.name)[1:]
    if (suffix and not suffix.isdigit()) or entry.name.upper() == "DICOMDIR":
        return False
    try:
        if not entry.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or into a folder that may not be entered
        return False


def _take_file(walk: _Walk, path: str, entry: os.DirEntry[str]) -> None:
    shown = readable_path(path)
    stored = "" if shown == path else path
    try:
        if entry.is_file():
            status = entry.stat()
            walk.files.append(Found(shown, status.st_size, status.st_mtime_ns, stored=stored))
        elif entry.is_symlink():
            walk.files.append(Found(shown, error="a broken symbolic link", stored=stored))
        else:
            walk.refuse(shown, "not a regular file")
    except OSError as error:
        walk.files.append(Found(shown, error=f"cannot be read: {error.strerror or error}", stored=stored))


COMPANIONS = frozenset(
    {
        ".aae", ".csv", ".htm", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".npy", ".npz", ".parquet", ".pq",
        ".py", ".toml", ".tsv", ".txt", ".xml", ".xmp", ".yaml", ".yml",
    }
)  # fmt: skip
"""Extensions of files that are often next to images and clearly not images."""

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

    A folder is searched through; a pattern (``*``, ``?``, ``[...]``, ``**``) is expanded. A file is taken
    as it is, whatever its name, and so is one that does not exist: its row has an error.

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
        several = f"{len(matches)} columns that could be the paths" if matches else "no column of paths"
        raise DataError(
            f"the table has {several}; its columns are: {', '.join(columns)}",
            "give the column itself, such as frame['path'], or name it path",
        )
    return singles(frame.iloc[:, matches[0]])
