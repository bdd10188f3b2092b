"""``metadata.csv`` (or ``.tsv``, ``.jsonl`` and so on) next to class folders: groups, labels and further columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keensight.core.records import Sample, Skipped
from keensight.data.sources.notices import Notices
from keensight.data.sources.table_columns import Columns, find_columns
from keensight.data.sources.table_files import read_table
from keensight.data.sources.table_paths import match
from keensight.data.sources.tables import Row, read_rows
from keensight.errors import DataError

NAME = "metadata.csv"
SUFFIXES = (".csv", ".tsv", ".jsonl", ".xlsx", ".parquet")
"""Extensions of such a table, the first that is there."""


def find_metadata(root: Path, top: str) -> Path | None:
    """The table next to the class folders (in ``top`` below ``root``) or at the source's root."""
    places = (folder / f"metadata{suffix}" for folder in (root / top, root) for suffix in SUFFIXES)
    return next((path for path in places if path.is_file()), None)


def attach(
    samples: Sequence[Sample],
    table: Path | None,
    *,
    source: Path,
    label: str | None = None,
    path: str | None = None,
    group: str | None = None,
) -> tuple[list[Sample], list[Skipped], Notices]:
    """Add the table's columns to the samples listed in it.

    Args:
        samples: Their paths start from ``source``.
        table: ``metadata.csv``, whose paths start from its own folder; None where there is none.
        source: The folder that the user opened.
        label: Take the class from this column; images that are not in it are skipped then.
        path: The column with the paths; default: found by name.
        group: The column with group IDs; images with the same ID are kept in the same split.

    Raises:
        DataError: a column was given but the table or column does not exist, or no row matches an image.
    """
    wanted = label or group or path
    if table is None:
        if wanted:
            raise DataError(
                f"{source} has no {NAME} to look up the column {wanted!r}",
                f"put a {NAME} with the columns path and {wanted} next to the class folders, or open a table instead",
            )
        return list(samples), [], Notices()
    try:
        columns, rows, notices = _read(table, label=label, path=path, group=group)
        matches = _matched(samples, rows, table, source)
    except DataError as error:
        if wanted:
            raise
        return list(samples), [Skipped(table.name, error.message)], Notices()
    return *_merge(samples, matches, columns), notices + _coverage(matches, table.name)


def _coverage(matches: Sequence[Row | None], name: str) -> Notices:
    lost = sum(row is None for row in matches)
    return Notices(notes=(f"{lost:,} of {len(matches):,} images are not in {name}",) if lost else ())


def _matched(samples: Sequence[Sample], rows: Sequence[Row], table: Path, source: Path) -> list[Row | None]:
    """The row of each sample: by its path from the table's folder, or, if no path fits, by its name.

    Raises:
        DataError: no row matches a sample, or samples of several folders have the same names.
    """
    prefix = table.parent.relative_to(source).as_posix()
    start = "" if prefix == "." else f"{prefix}/"
    known = {_key(start + row.path): row for row in rows}
    found = [known.get(_key(sample.path)) for sample in samples]
    if any(found):
        return found
    files, _ = match([sample.path for sample in samples], [row.path for row in rows], table.name)
    known = {file: row for file, row in zip(files, rows, strict=True) if file is not None}
    if not known:
        raise DataError(
            f"no line of {table.name} matches an image of {source}",
            f"paths in it start from its own folder, such as {samples[0].path}",
        )
    return [known.get(sample.path) for sample in samples]


def _read(table: Path, *, label: str | None, path: str | None, group: str | None) -> tuple[Columns, list[Row], Notices]:
    found = read_table(table)
    columns = find_columns(found, table.name, path=path, label=label, group=group, need_label=False)
    read = read_rows(found, columns, table.name)
    if any(row.labels is not None for row in read.rows):
        raise DataError(
            f"the column {label!r} of {table.name} contains lists of labels, but each folder is one class",
            f"open the table itself for a multi-label set: {table}",
        )
    of_file = Notices(notes=tuple(f"{table.name}: {note}" for note in found.notes))
    return columns, read.rows, of_file + read.notices


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path.replace("\\", "/").removeprefix("./"))


def _merge(
    samples: Sequence[Sample], matches: Sequence[Row | None], columns: Columns
) -> tuple[list[Sample], list[Skipped]]:
    merged: list[Sample] = []
    skipped: list[Skipped] = []
    for sample, row in zip(samples, matches, strict=True):
        if columns.label is not None and (row is None or row.label is None):
            skipped.append(Skipped(sample.path, f"{NAME} has no {columns.label}"))
        elif row is None:
            merged.append(sample)
        else:
            label = sample.label if row.label is None else row.label
            split = sample.split or row.split
            merged.append(replace(sample, label=label, group=row.group, split=split, metadata=row.metadata))
    return merged, skipped
