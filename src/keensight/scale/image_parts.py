"""The images of a prediction on several workers, in parts that can be sent: as paths, or as rows of Parquet files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any

from keensight.core.files import sha256_text, temporary_folder
from keensight.core.parallel import ordered
from keensight.core.sources import Source, Unread, name_of
from keensight.data.sources import remote
from keensight.data.sources.containers.embedded import PARQUET_SUFFIXES, image_bytes, image_columns
from keensight.data.sources.names import natural_key, suffix_of
from keensight.data.sources.prediction_inputs import COMPANIONS, LISTS, find_images
from keensight.data.sources.remote import Remote, address_of
from keensight.data.sources.table_columns import path_column, squashed
from keensight.data.sources.table_files import is_table_name, read_table
from keensight.errors import DataError, ImageError

_MOST, _FEWEST, _PARTS = 1000, 50, 32
"""Images of a part, at most and at least, and the parts that few images are divided into."""
_FETCHED = 8
"""Images that are fetched from another machine at a time, as each takes a while to arrive."""
_CELLS = 32
"""Rows of a Parquet file that are decoded at a time."""
_NAMES = frozenset({"path", "file", "filename", "filepath", "imagepath", "imageid", "key", "name", "id", "url"})

Place = Path | Remote | Unread


@dataclass(frozen=True, slots=True)
class Files:
    """Images that are files."""

    places: tuple[Place, ...]
    first: int
    """Number of the first image."""

    def __len__(self) -> int:
        return len(self.places)

    @property
    def local(self) -> bool:
        """Whether files of this computer are among them."""
        return any(isinstance(place, Path) for place in self.places)

    def as_text(self) -> str:
        """To be sent to a worker."""
        return json.dumps({"places": [_plain(place) for place in self.places], "first": self.first})

    def summary(self) -> str:
        """What it is, for people."""
        return f"the images from {_name(self.places[0], self.first)} to {_name(self.places[-1], self.first)}"

    def images(self, base: Path) -> Iterator[tuple[str, Source]]:
        """Their names in results, and what to decode; relative paths start from ``base``."""
        names = (_name(place, number) for number, place in enumerate(self.places, self.first))
        fetch = partial(_fetched, base=base)
        far = any(isinstance(place, Remote) for place in self.places)
        sources = ordered(fetch, self.places, _FETCHED) if far else map(fetch, self.places)
        yield from zip(names, sources, strict=True)


@dataclass(frozen=True, slots=True)
class Cells:
    """Images in the cells of a Parquet file."""

    file: Path | Remote
    column: str
    names: str | None
    """Column of their names; None: they have none."""
    groups: tuple[int, ...]
    """Row groups."""
    first: int
    """Number of the first row in the file."""
    rows: int

    def __len__(self) -> int:
        return self.rows

    @property
    def local(self) -> bool:
        """Whether the file is on this computer."""
        return isinstance(self.file, Path)

    def as_text(self) -> str:
        """To be sent to a worker."""
        what = [self.column, self.names, self.groups, self.first, self.rows]
        return json.dumps({"cells": [_plain(self.file), *what]})

    def summary(self) -> str:
        """What it is, for people."""
        return f"rows {self.first:,} to {self.first + self.rows - 1:,} of {_name(self.file)}"

    def images(self, base: Path) -> Iterator[tuple[str, Source]]:
        """Their names in results, and what to decode; a relative path of the file starts from ``base``."""
        columns = [self.column] if self.names is None else [self.column, self.names]
        file = base / self.file if isinstance(self.file, Path) else self.file
        shown = PurePath(_name(self.file)).name
        row = self.first
        with _parquet(file) as opened:
            for batch in opened.iter_batches(batch_size=_CELLS, row_groups=list(self.groups), columns=columns):
                for cells in batch.to_pylist():
                    yield _name_in(cells, self) or f"{shown}#{row}", _image(cells[self.column])
                    row += 1


Part = Files | Cells


def from_text(text: str) -> Part:
    """A part as it was before :meth:`Files.as_text` or :meth:`Cells.as_text`."""
    found = json.loads(text)
    if "places" in found:
        return Files(tuple(map(_place, found["places"])), found["first"])
    file, column, names, groups, first, rows = found["cells"]
    place = _place(file)
    assert not isinstance(place, Unread), "Parquet files are opened before parts are made of them"
    return Cells(place, column, names, tuple(groups), first, rows)


def divided(given: Sequence[str]) -> list[Part]:
    """The images that a user gives as parts, whose number depends on nothing but the images.

    Args:
        given: Files, folders, patterns and lists of files as for :func:`keensight.predict`; addresses such as
            ``s3://bucket/photos``; and Parquet files, or folders of them, with a column of paths or of encoded images.

    Raises:
        DataError: there are no images, or an address cannot be opened.
    """
    found: list[Path | Remote | Unread | Cells] = []
    for one in given:
        found += _of(one)
    if not found:
        raise DataError("no images were given", "give image files, folders, patterns or addresses")
    total = sum(len(one) if isinstance(one, Cells) else 1 for one in found)
    size = min(_MOST, max(_FEWEST, total // _PARTS))
    return list(_parts(found, size))


def digest(parts: Iterable[Part]) -> str:
    """A digest of the images' names and order."""
    return sha256_text("\n".join(part.as_text() for part in parts))


def _parts(found: Sequence[Place | Cells], size: int) -> Iterator[Part]:
    first = 0
    for file, run in groupby(found, key=lambda one: one.file if isinstance(one, Cells) else None):
        many = list(run)
        for part in _files(many, size, first) if file is None else _groups(many, size):
            yield part
            first += len(part)


def _files(places: Sequence[Any], size: int, first: int) -> Iterator[Files]:
    for begin in range(0, len(places), size):
        yield Files(tuple(places[begin : begin + size]), first + begin)


def _groups(cells: Sequence[Any], size: int) -> Iterator[Cells]:
    """Row groups together until they have so many images; one is never divided, as it would be read several times."""
    waiting: list[Cells] = []
    for number, group in enumerate(cells, 1):
        waiting.append(group)
        if sum(map(len, waiting)) >= size or number == len(cells):
            yield _joined(waiting)
            waiting = []


def _joined(cells: Sequence[Cells]) -> Cells:
    first = cells[0]
    groups = tuple(group for one in cells for group in one.groups)
    return Cells(first.file, first.column, first.names, groups, first.first, sum(map(len, cells)))


def _of(one: str) -> list[Any]:
    place = address_of(one)
    return _of_path(Path(one), one) if place is None else _of_address(place)


def _of_path(path: Path, given: str) -> list[Any]:
    if path.is_dir() and (tables := _only_parquet(file for file in path.rglob("*") if file.is_file())):
        return [one for table in tables for one in _of_table(table, table)]
    if path.is_file() and suffix_of(path.name) in LISTS and is_table_name(path.name):
        return _of_table(path, path)
    return list(find_images(given).images)


def _of_address(place: Remote) -> list[Any]:
    files = remote.files_below(place)
    if files is not None:
        tables = _only_parquet(files)
        if tables:
            return [one for file in tables for one in _of_remote_table(file)]
        images = [file for file in files if suffix_of(file.key) not in COMPANIONS]
        if not images:
            raise DataError(f"{place.name} contains no images", "give a folder of images or of Parquet files")
        return images
    return _of_remote_table(place) if suffix_of(place.key) in LISTS else [place]


def _only_parquet(files: Iterable[Any]) -> list[Any]:
    """The files of a Parquet dataset, as Ray and Spark write it; empty if there are others."""
    data = []
    for file in files:
        name = _name(file)
        if not PurePath(name).name.startswith(("_", ".")):
            if suffix_of(name) not in PARQUET_SUFFIXES:
                return []
            data.append(file)
    return sorted(data, key=lambda file: natural_key(_name(file)))


def _of_remote_table(file: Remote) -> list[Any]:
    if suffix_of(file.key) in PARQUET_SUFFIXES and (cells := _cells(file)):
        return cells
    with temporary_folder() as folder:
        return _of_table(remote.fetch(file, folder), file)


def _of_table(local: Path, file: Path | Remote) -> list[Any]:
    """The images that a table has or lists; ``local`` is the file itself, or a copy of it."""
    if suffix_of(local.name) in PARQUET_SUFFIXES and (cells := _cells(file)):
        return cells
    if isinstance(file, Path) and not _lists_addresses(local):
        return list(find_images(file).images)
    table = read_table(local)
    column, _ = path_column(table, local.name)
    return [_listed(cell, file) for cell in table.columns[column]]


def _lists_addresses(path: Path) -> bool:
    try:
        table = read_table(path)
        column, _ = path_column(table, path.name)
    except DataError:
        return False  # the one who opens it says why
    return any(isinstance(cell, str) and address_of(cell) for cell in table.columns[column])


def _listed(cell: Any, table: Path | Remote) -> Place:
    if not isinstance(cell, str) or not cell:
        return Unread("the path is missing")
    there = address_of(cell)
    if there is not None:
        return there
    return table.folder.inside(cell) if isinstance(table, Remote) else table.parent / cell


def _cells(file: Path | Remote) -> list[Cells]:
    """The row groups of a Parquet file with encoded images; empty: it has no such column."""
    with _parquet(file) as opened:
        columns = image_columns(_source_of(file))
        if not columns:
            return []
        column, names = columns[0], _name_column(opened.schema_arrow, columns[0])
        found, first = [], 0
        for group in range(opened.num_row_groups):
            rows = opened.metadata.row_group(group).num_rows
            if rows:
                found.append(Cells(file, column, names, (group,), first, rows))
            first += rows
        return found


def _name_column(schema: Any, images: str) -> str | None:
    import pyarrow as pa

    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    return next((name for name in texts if name != images and squashed(name) in _NAMES), None)


@contextmanager
def _parquet(file: Path | Remote) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(_source_of(file)) as opened:
            yield opened
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{_name(file)} cannot be read as Parquet: {str(error).splitlines()[0]}", "copy or download it again"
        ) from error


def _source_of(file: Path | Remote) -> Any:
    return remote.stream_of(file) if isinstance(file, Remote) else file


def _name_in(cells: dict[str, Any], part: Cells) -> str | None:
    image = cells[part.column]
    own = image.get("path") if isinstance(image, dict) else None
    found = own or (cells[part.names] if part.names is not None else None)
    return found if isinstance(found, str) and found else None


def _image(cell: Any) -> Source:
    try:
        return image_bytes(cell)
    except ImageError as error:
        return Unread(error.message)


def _fetched(place: Place, base: Path) -> Source:
    if isinstance(place, Path):
        return base / place
    if isinstance(place, Unread):
        return place
    try:
        return remote.read(place)
    except ImageError as error:
        return Unread(error.message)


def _name(place: Place, number: int = 0) -> str:
    return place.name if isinstance(place, Remote) else name_of(place, number)


def _plain(place: Place) -> Any:
    if isinstance(place, Path):
        return str(place)
    return [place.root, place.key] if isinstance(place, Remote) else {"reason": place.reason, "path": place.path}


def _place(found: Any) -> Place:
    if isinstance(found, str):
        return Path(found)
    return Remote(*found) if isinstance(found, list) else Unread(found["reason"], found["path"])
