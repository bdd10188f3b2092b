"""Trees of images within an archive: whatever :mod:`.folders` reads from a folder, read in place."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from keensight.core.files import temporary_folder
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Reading
from keensight.data.sources.assemble import OneClass
from keensight.data.sources.containers.archives import Archive, archive_kind
from keensight.data.sources.file_index import Elsewhere, reading_from
from keensight.data.sources.folders import open_tree
from keensight.data.sources.listing import Listing
from keensight.data.sources.names import suffix_of
from keensight.data.sources.tree_names import list_tables
from keensight.errors import DataError

_SIDE_FILES = frozenset(
    {
        ".csv", ".gz", ".json", ".jsonl", ".names", ".ndjson", ".parquet", ".pq", ".tsv", ".txt", ".xlsx", ".xml",
        ".yaml", ".yml",
    }
)  # fmt: skip
"""Files that may say the classes of images."""
_MAX_SIDE_BYTES = 256 << 20


def open_archive(archive: Archive, options: dict[str, Any], progress: Progress | None = None) -> Dataset:
    """Read an archive of what :func:`.folders.open_folder` reads from a folder, with the same options.

    While it is opened, a temporary folder has its tables, and empty files in place of its images if there are tables.

    Raises:
        DataError: as :func:`.folders.open_folder`.
    """
    listing = archive.listing()
    with _outline(archive, listing) as folder, reading_from(Elsewhere(folder, archive.path, archive.read)):
        try:
            return _of_archive(open_tree(folder, listing, progress=progress, **options), archive)
        except OneClass as error:
            raise OneClass(_of_archive(error.dataset, archive)) from None
        except DataError as error:
            message, hint = (text.replace(str(folder), archive.path.name) for text in (error.message, error.hint or ""))
            raise DataError(message, hint or None) from error


def _of_archive(dataset: Dataset, archive: Archive) -> Dataset:
    reading = dataset.reading or Reading(dataset.kind)
    kind = archive_kind(archive.path.name)
    errors = Counter(error for sample in dataset.samples if (error := archive.members[sample.path].error))
    warned = [f"{n:,} {'image' if n == 1 else 'images'} cannot be read: {error}" for error, n in errors.most_common()]
    told = replace(reading, layout=f"{kind} archive: {reading.layout}", warnings=(*reading.warnings, *warned))
    return replace(dataset, reader=archive, reading=told)


@contextmanager
def _outline(archive: Archive, listing: Listing) -> Iterator[Path]:
    """A temporary folder of the archive's name, with its tables and the names of its images."""
    with temporary_folder() as temporary:
        folder = temporary.resolve() / (archive.path.name.split(".")[0] or "archive")
        others = [item.path for item in listing.others]
        try:
            folder.mkdir()
            _write_side_files(archive, folder, others)
            if list_tables(others, {name.rpartition("/")[0] for name in others}):
                _write_names(archive, folder, listing)
        except OSError as error:  # a name that is too long here, a file and a folder of the same name, a full disk
            raise DataError(
                f"the tables of {archive.path.name} cannot be copied to a temporary folder: {error}",
                "unpack it and give the folder",
            ) from error
        yield folder


def _write_side_files(archive: Archive, folder: Path, others: list[str]) -> None:
    """Copy what may say the classes of images, the smallest first, up to a limit."""
    names = [name for name in others if suffix_of(name) in _SIDE_FILES]
    left = _MAX_SIDE_BYTES
    for name in sorted(names, key=lambda name: archive.members[name].size):
        left -= archive.members[name].size
        if left < 0:
            return
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.read(name))


def _write_names(archive: Archive, folder: Path, listing: Listing) -> None:
    """Files of the names and sizes of the images, which take no space on the disk."""
    changed = archive.path.stat().st_mtime_ns
    for found in listing.files:
        path = folder / found.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.truncate(path, found.size)
        os.utime(path, ns=(changed, changed))
