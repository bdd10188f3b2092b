"""Tables of paths and labels (CSV, TSV, Excel, JSON, Parquet, pandas) as datasets."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.progress import Progress
from keensight.core.records import NO_METADATA, SEPARATOR, Dataset, Part, Sample, Skipped
from keensight.core.task import Task
from keensight.data.sources.assemble import assemble
from keensight.data.sources.file_index import Facts, FileReader, examine
from keensight.data.sources.listing import Found
from keensight.data.sources.names import clean_label, is_encodable, natural_key, part_of, printable
from keensight.data.sources.notices import Notices, count, listed, unlabeled
from keensight.data.sources.pixel_tables import holds_pixels, open_pixels
from keensight.data.sources.table_columns import Columns, find_columns, flagged_split, squashed, truth
from keensight.data.sources.table_files import FRAME, Table, read_table, table_of
from keensight.data.sources.table_labels import WORDS, Labels, read_labels
from keensight.data.sources.table_paths import Located, below_one_folder, locate
from keensight.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


NO_LABEL = "no label"
"""Reason under which a line without a label is skipped."""
_TWICE = "listed twice"
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
_BOXES = (frozenset({"xmin", "ymin", "xmax", "ymax"}), frozenset({"x1", "y1", "x2", "y2"}), frozenset({"bbox"}))
"""Columns of tables with a row for each box of an image."""
_OFTEN = 0.1


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, its label cleaned; ``label`` and ``group`` are None where their cell is empty.

    ``labels`` is None but for a multi-label table.
    """

    path: str
    label: str | None
    group: str | None
    split: Part | None
    metadata: Mapping[str, Any]
    labels: tuple[str, ...] | None = None
    source: int = 0
    """The table that it is in, of several."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The lines of a table as rows, and what is reported of them."""

    rows: list[Row]
    skipped: list[Skipped]
    classes: tuple[str, ...] | None
    """The classes or labels in order, where the table gives one."""
    notices: Notices


@dataclass(frozen=True, slots=True)
class _Given:
    """A table and where it is from."""

    table: Table
    root: Path
    name: str
    split: Part | None = None


def open_tables(
    files: Sequence[tuple[Path, Part | None]],
    *,
    label: str | None = None,
    path: str | None = None,
    group: str | None = None,
    labels: Sequence[str] = (),
    progress: Progress | None = None,
) -> Dataset:
    """A dataset from the file of a table, or from several that are read in the same way.

    Args:
        files: The tables, each with the split that all of its rows are in; None: as the table says.
        label: As for :func:`from_frame`, and so are ``path``, ``group`` and ``labels``.
        path: The column with the path.
        group: The column with group IDs.
        labels: Columns of 0 and 1.
        progress: Where to report while files are read.

    Raises:
        DataError: a table cannot be read, or as for :func:`from_frame`; or a column of the first is not in another.
    """
    if not (path or group or labels) and holds_pixels(files[0][0]):
        return open_pixels(files, label=label)
    given = [_Given(read_table(file), file.parent, file.name, split) for file, split in files]
    options = {"label": label, "path": path, "group": group, "labels": labels}
    return _dataset(given, options, given[0].name, files[0][0], progress)


def from_frame(  # noqa: PLR0913 - public options, by keyword
    frame: pd.DataFrame,
    root: str | Path,
    *,
    label: str | None = None,
    path: str | None = None,
    group: str | None = None,
    labels: Sequence[str] = (),
    name: str = "table",
    source: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """A dataset from a pandas table of paths and labels.

    Args:
        frame: One row per image: a path, a label, and optionally a ``split``, a group and further columns,
            which become metadata.
        root: The folder that relative paths start from. If a path is outside it, samples are named relative to their
            common folder.
        label: The column with the class; default: found by name or content. Where some of its cells are lists such as
            ``cat|dog``, the set is multi-label, and an empty cell means none of the labels.
        path: The column with the path; default: found by name or content.
        group: The column with group IDs; images with the same ID are kept in the same split.
        labels: Columns of 0 and 1 (true and false, an empty cell is 0), one per label of a multi-label set; default:
            all such columns, if there are two or more and no label column; they are classes if each row has exactly
            one 1.
        name: Name of the dataset.
        source: The table's file, under whose name digests are cached; default: ``root``.
        progress: Where to report while files are read.

    Raises:
        DataError: a column is missing or ambiguous, no file exists, or fewer than two classes are left.

    Examples:
        >>> import pandas as pd
        >>> table = pd.read_csv("photos.csv")
        >>> ks.from_frame(table[table.camera != "c2"], ".", label="kind")
        <Dataset table: 80 images, 2 classes>
    """
    options = {"label": label, "path": path, "group": group, "labels": labels}
    given = _Given(table_of(frame, name), Path(root), name)
    return _dataset([given], options, name, source or Path(root), progress)


def _dataset(
    given: Sequence[_Given], options: Mapping[str, Any], name: str, source: Path, progress: Progress | None
) -> Dataset:
    read = _read(given, options)
    labeled, rejected = _labeled(read.rows)
    whole, notices = _one_row_per_image(labeled, given[0].table)
    place = _located(given, whole)
    rows, files, repeated = _distinct(whole, place.files)
    facts = examine(source, place.base, files, progress)
    samples = [_sample(*one) for one in zip(rows, files, facts, strict=True)]
    samples.sort(key=lambda sample: natural_key(sample.path))
    skipped = [*read.skipped, *rejected, *repeated]
    notices = read.notices + notices + place.notices + _losses(len(read.rows), skipped) + _several_classes(rows, files)
    multilabel = any(row.labels is not None for row in rows)
    notes = tuple(note for one in given for note in one.table.notes)
    if len(given) > 1:
        notes = (f"read together: {' and '.join(one.name for one in given)}", *notes)
    return assemble(
        name, "table", samples, FileReader(place.base), skipped=skipped, classes=read.classes,
        task=Task.MULTILABEL if multilabel else Task.MULTICLASS,
        reading=(Notices(notes=notes) + notices).reading(given[0].table.layout),
    )  # fmt: skip


def _read(given: Sequence[_Given], options: Mapping[str, Any]) -> Rows:
    """The rows of all tables: the first one's columns, and labels that are understood together."""
    first, *others = given
    columns = find_columns(first.table, first.name, **options)
    needed = [columns.path, columns.label, columns.group, *columns.indicators]
    for other in others:
        lost = [column for column in needed if column is not None and column not in other.table.columns]
        if lost:
            raise DataError(
                f"{other.name} has no column {lost[0]!r}, which {first.name} has",
                "give it the same columns; images without labels are for `keensight predict`",
            )
    if not others:
        return read_rows(first.table, columns, first.name)
    read = read_rows(_joined([one.table for one in given]), columns, first.name)
    return _with_sources(read, given)


def _joined(tables: Sequence[Table]) -> Table:
    names = dict.fromkeys(name for table in tables for name in table.columns)
    columns = {
        name: [cell for table in tables for cell in table.columns.get(name) or [None] * len(table)] for name in names
    }
    lines = [table.line(row) for table in tables for row in range(len(table))]
    return replace(tables[0], columns=columns, lines=lines, text=any(table.text for table in tables))


def _with_sources(read: Rows, given: Sequence[_Given]) -> Rows:
    sources = [number for number, one in enumerate(given) for _ in range(len(one.table))]
    rows = [
        replace(row, source=sources[row.source], split=given[sources[row.source]].split or row.split)
        for row in read.rows
    ]
    return replace(read, rows=rows)


def read_rows(table: Table, columns: Columns, name: str) -> Rows:
    """All lines with a path; those without are returned as skipped.

    Raises:
        DataError: the split column holds something else than train, val or test.
    """
    cells = {column: _without_words(table, column) for column in table.columns if column != columns.label}
    nothing: list[Any] = [None] * len(table)
    found, classes = _labels(table, columns, name)
    groups = cells[columns.group] if columns.group else nothing
    parts = _parts(cells, columns, name) or nothing
    others = {column: _metadata(values) for column, values in cells.items() if column not in columns.used}
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for i, path in enumerate(cells[columns.path]):
        if not isinstance(path, str) or not path.strip():
            skipped.append(Skipped(f"line {table.line(i)}", "no path"))
        elif not is_encodable(path):
            skipped.append(Skipped(printable(path), "its name is not valid UTF-8: rename it"))
        else:
            metadata = {column: values[i] for column, values in others.items()} if others else NO_METADATA
            several = None if found.several is None else found.several[i]
            rows.append(Row(path.strip(), found.texts[i], _text(groups[i]), parts[i], metadata, several, i))
    unused = Notices(notes=(f"other columns: {listed(others)}",)) if others else Notices()
    return Rows(rows, skipped, classes, columns.notices + found.notices + unused)


def _without_words(table: Table, column: str) -> Sequence[Any]:
    cells = table.columns[column]
    return [None if cell in WORDS else cell for cell in cells] if table.text else cells


def _labels(table: Table, columns: Columns, name: str) -> tuple[Labels, tuple[str, ...] | None]:
    if columns.indicators:
        return _of_indicators(table, columns, name)
    if columns.label is None:
        return Labels([None] * len(table)), None
    others = (cells for column, cells in table.columns.items() if column != columns.label)
    elsewhere = frozenset().union(*(WORDS.intersection(cells) for cells in others)) if table.text else frozenset()
    cells = table.columns[columns.label]
    return read_labels(cells, columns.label, words_may_be_missing=table.text, elsewhere=elsewhere), None


def _of_indicators(table: Table, columns: Columns, name: str) -> tuple[Labels, tuple[str, ...]]:
    """Columns of 0 and 1: classes where each row has exactly one 1, else labels."""
    titles = tuple(clean_label(column) or column for column in columns.indicators)
    held = [truth(table.columns[column], column, name) for column in columns.indicators]
    lists = [
        tuple(title for title, there in zip(titles, line, strict=True) if there) for line in zip(*held, strict=True)
    ]
    joined: list[str | None] = [SEPARATOR.join(items) for items in lists]
    one_each = bool(lists) and all(len(items) == 1 for items in lists)
    named = listed(columns.indicators)
    if one_each and not columns.asked:
        notices = Notices(
            (f"each row has exactly one 1 in the columns {named}: they are classes",),
            (f"--labels {','.join(columns.indicators)}",),
        )
        return Labels(joined, notices=notices), titles
    if columns.asked:
        words = "each row has exactly one 1: without --labels, they are classes" if one_each else ""
        return Labels(joined, lists, Notices(notes=(words,) if words else ())), titles
    return Labels(joined, lists, Notices((f"the columns {named} contain 0 and 1: they are labels",))), titles


def _metadata(values: Sequence[Any]) -> list[Any]:
    """Cells as numbers where every one reads as one and would be written the same way again; else as they are."""
    texts = [value for value in values if value is not None]
    if not texts or not all(isinstance(value, str) and _NUMBER.fullmatch(value) for value in texts):
        return [value if value is None or isinstance(value, (str, int, float)) else _shown(value) for value in values]
    kind = int if all("." not in value for value in texts) else float
    return [None if value is None else kind(value) for value in values]


def _shown(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _text(value: Any) -> str | None:
    """A group as text; pandas turns whole numbers into floats where a cell is empty."""
    if value is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _parts(cells: Mapping[str, Sequence[Any]], columns: Columns, name: str) -> list[Part | None]:
    if columns.flags:
        held = {flag: truth(cells[flag], flag, name) for flag in columns.flags}
        return [flagged_split(dict(zip(held, values, strict=True))) for values in zip(*held.values(), strict=True)]
    if columns.split is None:
        return []
    values = cells[columns.split]
    known: dict[Any, Part | None] = {None: None}
    for value in set(values) - {None}:
        known[value] = part_of(str(value))
        if known[value] is None:
            raise DataError(
                f"the split column of {name} holds {value!r}",
                "expected train, val or test (or an empty cell); rename the column to keep it as metadata",
            )
    return [known[value] for value in values]


def _labeled(rows: Iterable[Row]) -> tuple[list[Row], list[Skipped]]:
    labeled: list[Row] = []
    rejected: list[Skipped] = []
    for row in rows:
        if row.label is None:
            rejected.append(Skipped(row.path, NO_LABEL))
        else:
            labeled.append(row)
    return labeled, rejected


def _one_row_per_image(rows: Sequence[Row], table: Table) -> tuple[list[Row], Notices]:
    """Of a table with a row for each box, one row for each image.

    Raises:
        DataError: an image has boxes of several classes.
    """
    names = {squashed(column) for column in table.columns}
    classes: dict[str, dict[str | None, Row]] = defaultdict(dict)
    for row in rows:
        classes[row.path].setdefault(row.label, row)
    if len(classes) == len(rows) or not any(boxes <= names for boxes in _BOXES):
        return list(rows), Notices()
    several = [(path, found) for path, found in classes.items() if len(found) > 1]
    if several:
        path, found = several[0]
        raise DataError(
            f"the table has boxes, and {len(several):,} of {len(classes):,} images have boxes of several classes, such "
            f"as {path} ({listed(map(str, found), 3)})",
            "to classify objects, crop the boxes; to classify images, write one row for each image, with its class or "
            "its labels as cat|dog",
        )
    note = f"{count(len(rows), 'box', 'boxes')} in {count(len(classes), 'image', 'images')} of one class each"
    return [next(iter(found.values())) for found in classes.values()], Notices(notes=(note,))


def _located(given: Sequence[_Given], rows: Sequence[Row]) -> Located:
    """The files of all rows, below one folder."""
    if len(given) == 1:
        only = given[0]
        paths = [row.path for row in rows]
        if only.table.layout != FRAME:
            return locate(only.root, paths, only.name)
        hint = f"relative paths start from {only.root}; ks.from_frame(frame, folder) sets another folder"
        return locate(only.root, paths, only.name, hint=hint)
    full: dict[int, str] = {}
    notices = Notices()
    for number, one in enumerate(given):
        places = [i for i, row in enumerate(rows) if row.source == number]
        found = locate(one.root, [rows[i].path for i in places], one.name)
        full |= {i: os.path.join(found.base, file.path) for i, file in zip(places, found.files, strict=True)}  # noqa: PTH118
        notices = notices + found.notices
    located = below_one_folder(given[0].root, [full[i] for i in range(len(rows))])
    return replace(located, notices=notices)


def _distinct(rows: Sequence[Row], files: Sequence[Found]) -> tuple[list[Row], list[Found], list[Skipped]]:
    """A line that says the same as an earlier one is dropped."""
    kept: dict[tuple[str, str | None, Part | None], tuple[Row, Found]] = {}
    repeated: list[Skipped] = []
    for row, file in zip(rows, files, strict=True):
        if (key := (file.path, row.label, row.split)) in kept:
            repeated.append(Skipped(row.path, _TWICE))
        else:
            kept[key] = (row, file)
    return [row for row, _ in kept.values()], [file for _, file in kept.values()], repeated


def _losses(n: int, skipped: Collection[Skipped]) -> Notices:
    """Rows that are left out."""
    pathless = sum(item.reason != NO_LABEL and item.reason != _TWICE for item in skipped)
    warnings = unlabeled(sum(item.reason == NO_LABEL for item in skipped), n)
    if pathless:
        lost = count(pathless, "row has no usable path and is", "rows have no usable path and are")
        warnings += (f"{lost} left out",)
    return Notices(warnings=warnings)


def _several_classes(rows: Sequence[Row], files: Sequence[Found]) -> Notices:
    """A set with a row for each label of an image looks like one of images with contradicting classes."""
    held: dict[str, set[str]] = defaultdict(set)
    for row, file in zip(rows, files, strict=True):
        held[file.path].add(row.label or "")
    several = [path for path, labels in held.items() if len(labels) > 1]
    if len(several) <= _OFTEN * len(held) or any(row.labels is not None for row in rows):
        return Notices()
    shown = listed(sorted(held[several[0]]), 3)
    warning = (
        f"{len(several):,} of {len(held):,} images are listed with several classes, such as {several[0]} ({shown}); if "
        "these are labels, write one row for each image with its labels as cat|dog"
    )
    return Notices(warnings=(warning,))


def _sample(row: Row, found: Found, facts: Facts) -> Sample:
    return Sample(
        found.path, row.label or "", facts.digest, found.size,
        group=row.group, split=row.split, metadata=row.metadata, info=facts.info, error=facts.error,
        labels=row.labels or (),
    )  # fmt: skip
