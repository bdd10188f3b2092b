"""List a folder: its image files, and everything else with a reason."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path, PurePosixPath

from keensight.core.records import Skipped
from keensight.data.sources.names import is_image_name, junk_reason, natural_key, readable_path, suffix_of

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
    changed_ns: int = 0
    """When its inode last changed, which nobody can set back; 0: not known."""


def changed_ns(status: os.stat_result) -> int:
    """When an inode last changed; 0 on Windows, where that field is when the file was created."""
    return status.st_ctime_ns if os.name == "posix" else 0


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
        if found.stored and found.path in taken:
            name = PurePosixPath(found.path)
            others = (str(name.with_stem(f"{name.stem} ({number})")) for number in count(2))
            found = replace(found, path=next(path for path in others if path not in taken))
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
            walk.files.append(Found(shown, status.st_size, status.st_mtime_ns, None, stored, changed_ns(status)))
        elif entry.is_symlink():
            walk.files.append(Found(shown, error="a broken symbolic link", stored=stored))
        else:
            walk.refuse(shown, "not a regular file")
    except OSError as error:
        walk.files.append(Found(shown, error=f"cannot be read: {error.strerror or error}", stored=stored))
