"""Walk a folder once: its image files, and whatever is none, with the reason."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from keensight.core.records import Skipped
from keensight.data.names import is_encodable, is_image_name, junk_reason, natural_key, printable, suffix_of


@dataclass(frozen=True, slots=True)
class Found:
    """One image file as the directory lists it; ``path`` is relative, with ``/``."""

    path: str
    size: int = 0
    mtime_ns: int = 0
    error: str | None = None
    """Why it cannot be read, where that is known without opening it."""


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
    Hidden files, leftovers of operating systems, files without an image's extension, unreadable folders
    and names that are not UTF-8 are returned as skipped.
    """
    walk = _Walk(root)
    walk.pending.append("")
    while walk.pending or walk.links:
        _enter(walk, (walk.pending or walk.links).popleft())
    return Listing(
        tuple(sorted(walk.files, key=lambda found: natural_key(found.path))),
        tuple(sorted(walk.folders, key=natural_key)),
        tuple(sorted((*walk.skipped, *walk.others), key=lambda skipped: natural_key(skipped.path))),
        tuple(sorted(walk.others, key=lambda skipped: natural_key(skipped.path))),
    )


def _enter(walk: _Walk, folder: str) -> None:
    full = walk.root / folder
    try:
        status = full.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in walk.seen:
            walk.skipped.append(Skipped(folder, "a link to a folder that was read already"))
            return
        walk.seen.add(identity)
        with os.scandir(full) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        walk.refuse(folder, f"the folder cannot be read: {error.strerror or error}")
        return
    if folder:
        walk.folders.append(folder)
    for entry in listed:
        _take(walk, f"{folder}/{entry.name}" if folder else entry.name, entry)


def _take(walk: _Walk, path: str, entry: os.DirEntry[str]) -> None:
    reason = junk_reason(entry.name)
    if not is_encodable(entry.name):
        walk.refuse(printable(path), "its name is not valid UTF-8: rename it")
    elif reason is not None:
        walk.skipped.append(Skipped(path, reason))
    elif _is_folder(entry):
        (walk.links if entry.is_symlink() else walk.pending).append(path)
    elif not is_image_name(entry.name):
        suffix = suffix_of(entry.name) or "no extension"
        walk.refuse(path, f"not an image type that can be read ({suffix})")
    else:
        _take_file(walk, path, entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or into a folder that may not be entered
        return False


def _take_file(walk: _Walk, path: str, entry: os.DirEntry[str]) -> None:
    try:
        if entry.is_file():
            status = entry.stat()
            walk.files.append(Found(path, status.st_size, status.st_mtime_ns))
        elif entry.is_symlink():
            walk.files.append(Found(path, error="a broken symbolic link"))
        else:
            walk.refuse(path, "not a regular file")
    except OSError as error:
        walk.files.append(Found(path, error=f"cannot be read: {error.strerror or error}"))
