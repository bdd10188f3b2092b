"""Tables (CSV, TSV, Parquet, pandas): the meaning of their columns, and their rows as plain values."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.files import MISSING
from keensight.core.progress import Progress
from keensight.core.records import SEPARATOR, Dataset, Part, Sample, Skipped
from keensight.core.registry import did_you_mean
from keensight.core.task import Task
from keensight.data.sources.assemble import assemble
from keensight.data.sources.file_index import Facts, FileReader, examine, stat_files
from keensight.data.sources.listing import Found
from keensight.data.sources.names import (
    LABEL_NAMES,
    PATH_NAMES,
    clean_label,
    is_encodable,
    is_image_name,
    natural_key,
    part_of,
    printable,
)
from keensight.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet", ".pq"})

_MISSING = ("", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL")
"""Empty cells. pandas' list also has "None", which is a common class name (no defect)."""


NO_LABEL = "no label"
"""Reason under which a line without a label is skipped."""

_INDICATORS = {
    **dict.fromkeys(("0", "0.0", "false", "False", "FALSE"), False),
    **dict.fromkeys(("1", "1.0", "true", "True", "TRUE"), True),
}
"""What a cell of a 0/1 column may hold, as text; an empty cell says no."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of path, label, split and group; the others are metadata."""

    path: str
    label: str | None
    group: str | None
    split: str | None
    indicators: tuple[str, ...] = ()
    """Columns of 0 and 1, one per label; ``label`` is None then."""


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


def read_table(path: Path) -> pd.DataFrame:
    """Read CSV (comma, semicolon or tab), TSV or Parquet; cells of text tables stay text, so ``007`` stays so.

    Raises:
        DataError: the file is empty, damaged or no table.
    """
    import pandas as pd

    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return pd.read_parquet(path)
        frame: pd.DataFrame = pd.read_csv(
            path, sep=_separator(path), dtype=str, keep_default_na=False, na_values=list(_MISSING), encoding="utf-8-sig"
        )
        return frame
    except (ValueError, OSError) as error:  # pandas' and Arrow's parse errors are ValueErrors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path.name} cannot be read as a table: {reason}", "expected CSV or TSV in UTF-8, or Parquet"
        ) from error


def _separator(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as stream:
        header = stream.readline(1_000_000)
    return max((",", ";", "\t"), key=header.count)


def find_columns(  # noqa: PLR0913 - one a column that the user may name
    frame: pd.DataFrame,
    name: str,
    *,
    path: str | None,
    label: str | None,
    group: str | None,
    labels: Sequence[str] = (),
    need_label: bool = True,
) -> Columns:
    """Find the columns: as set by the user, else by common names.

    Where a label is needed and no column has the name of one, two and more columns that hold only 0 and 1 (or true
    and false, or nothing) are taken for one label each.

    Raises:
        DataError: a column is missing, or several could be meant; the hint lists the columns.
    """
    names = [str(column) for column in frame.columns]
    found = Columns(
        path=_find(names, path, PATH_NAMES, "path", name),
        label=None,
        group=_find(names, group, (), "group", name) if group else None,
        split=next((column for column in names if column.strip().lower() == "split"), None),
    )
    if label and labels:
        raise DataError(f"both label= and labels= are given for {name}", "give label= or labels=")
    if labels:
        columns = tuple(dict.fromkeys(_find(names, wanted, (), "label", name) for wanted in labels))
        return _with_indicators(found, columns, name)
    if need_label and label is None and not any(column.strip().lower() in LABEL_NAMES for column in names):
        taken = {found.path, found.group, found.split}
        columns = tuple(column for column in names if column not in taken and _is_indicator(frame[column]))
        if len(columns) > 1:
            return _with_indicators(found, columns, name)
    if need_label or label:
        found = replace(found, label=_find(names, label, LABEL_NAMES, "label", name))
    if found.path == found.label:
        raise DataError(
            f"the column {found.path!r} of {name} cannot be both path and label", f"columns: {', '.join(names)}"
        )
    return found


def _with_indicators(found: Columns, columns: tuple[str, ...], name: str) -> Columns:
    odd = [column for column in columns if SEPARATOR in column or not is_encodable(column)]
    if len(columns) < 2 or odd:
        raise DataError(
            f"{name}: {f'the label {odd[0]!r} holds a {SEPARATOR!r}' if odd else 'one label column is not enough'}",
            "rename the column" if odd else "give two or more, or a column of classes with label=",
        )
    return replace(found, indicators=columns)


def _is_indicator(column: pd.Series[Any]) -> bool:
    found = {str(value) for value in _cells(column) if value is not None}
    return bool(found) and found <= _INDICATORS.keys()


def _find(columns: Sequence[str], wanted: str | None, common: Sequence[str], role: str, table: str) -> str:
    listed = f"the columns are: {', '.join(columns)}" if columns else "the table has no columns"
    if wanted is not None:
        if wanted not in columns:
            hint = did_you_mean(wanted, columns) if columns else listed
            raise DataError(f"{table} has no column {wanted!r} ({role})", hint)
        return wanted
    matches = [column for column in columns if column.strip().lower() in common]
    if not matches:
        raise DataError(f"{table} has no {role} column with a usual name", f"set it with {role}=; {listed}")
    if len(matches) > 1:
        raise DataError(
            f"{table} has {len(matches)} columns that could be the {role}: {', '.join(matches)}",
            f"choose one with {role}=; {listed}",
        )
    return matches[0]


def read_rows(frame: pd.DataFrame, columns: Columns, name: str) -> tuple[list[Row], list[Skipped]]:
    """All lines with a path; those without are returned as skipped.

    Raises:
        DataError: the split column holds something else than train, val or test.
    """
    cells = {str(column): _cells(frame[column]) for column in frame.columns}
    nothing: list[Any] = [None] * len(frame)
    paths = [os.fspath(path) if isinstance(path, os.PathLike) else path for path in frame[columns.path]]
    labels = [_label(cell) for cell in cells[columns.label]] if columns.label else nothing
    several = _several(cells, columns, labels, name)
    groups = cells[columns.group] if columns.group else nothing
    parts = _parts(cells[columns.split], name) if columns.split else nothing
    used = {columns.path, columns.label, columns.group, columns.split, *columns.indicators}
    others = {column: _numbers(values) for column, values in cells.items() if column not in used}
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for i, path in enumerate(paths):
        if not isinstance(path, str) or not path.strip():
            skipped.append(Skipped(f"line {i + 2}", "no path"))  # counted from 1, and line 1 is the header
        elif not is_encodable(path):
            skipped.append(Skipped(printable(path), "its name is not valid UTF-8: rename it"))
        else:
            metadata = {column: values[i] for column, values in others.items()}
            label = labels[i] if several is None else SEPARATOR.join(several[i])
            held = None if several is None else several[i]
            rows.append(Row(path.strip(), label, _text(groups[i]), parts[i], metadata, held))
    return rows, skipped


def _several(
    cells: Mapping[str, list[Any]], columns: Columns, labels: Sequence[str | None], name: str
) -> list[tuple[str, ...]] | None:
    """The labels of each line where the table gives any number of them: 0/1 columns, or lists such as ``cat|dog``."""
    if columns.indicators:
        held = [_truth(cells[column], column, name) for column in columns.indicators]
        titles = [clean_label(column) or column for column in columns.indicators]
        return [
            tuple(title for title, there in zip(titles, line, strict=True) if there) for line in zip(*held, strict=True)
        ]
    if not any(label is not None and SEPARATOR in label for label in labels):
        return None
    lists = [{clean_label(item) for item in (label or "").split(SEPARATOR)} - {""} for label in labels]
    return [tuple(sorted(items, key=natural_key)) for items in lists]


def _truth(values: Sequence[Any], column: str, name: str) -> list[bool]:
    odd = next((value for value in values if value is not None and str(value) not in _INDICATORS), None)
    if odd is not None:
        raise DataError(
            f"the label column {column!r} of {name} holds {odd!r}", "each cell must be 0, 1, true, false or empty"
        )
    return [value is not None and _INDICATORS[str(value)] for value in values]


def _cells(column: pd.Series[Any]) -> list[Any]:
    """A column as plain values: text, numbers, truth values, None where a cell is empty."""
    pairs = zip(column.tolist(), column.isna().tolist(), strict=True)
    return [None if empty else _plain(value) for value, empty in pairs]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, (str, int)) else str(value)


def _numbers(values: list[Any]) -> list[Any]:
    """Text cells as numbers where every one reads as one and would be written the same way again."""
    texts = [value for value in values if value is not None]
    if not texts or not all(isinstance(value, str) and _NUMBER.fullmatch(value) for value in texts):
        return values
    kind = int if all("." not in value for value in texts) else float
    return [None if value is None else kind(value) for value in values]


def _text(value: Any) -> str | None:
    """A label or group as text; pandas turns whole numbers into floats where a cell is empty."""
    if value is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _label(value: Any) -> str | None:
    text = _text(value)
    if text is not None and not is_encodable(text):
        text = printable(text)
    return None if text is None else clean_label(text) or None


def _parts(values: Iterable[Any], name: str) -> list[Part | None]:
    known: dict[Any, Part | None] = {None: None}
    for value in set(values) - {None}:
        known[value] = part_of(str(value))
        if known[value] is None:
            raise DataError(
                f"the split column of {name} holds {value!r}",
                "expected train, val or test (or an empty cell); rename the column to keep it as metadata",
            )
    return [known[value] for value in values]


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
        label: The column with the class; default: found by name. Where some of its cells are lists such as
            ``cat|dog``, the set is multi-label, and an empty cell means none of the labels.
        path: The column with the path; default: found by name.
        group: The column with group IDs; images with the same ID are kept in the same split.
        labels: Columns of 0 and 1 (true and false, an empty cell is 0), one per label of a multi-label set; default:
            all such columns, if there are two or more and no label column.
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
    frame = _named(frame, name)
    columns = find_columns(frame, name, path=path, label=label, group=group, labels=labels)
    rows, skipped = read_rows(frame, columns, name)
    rows, rejected = _usable(rows)
    base, paths = _locate(Path(root), [row.path for row in rows])
    files = stat_files(base, paths)
    _refuse_all_missing(files, base, name)
    facts = examine(source or Path(root), base, files, progress)
    samples = [_sample(*given) for given in zip(rows, files, facts, strict=True)]
    samples.sort(key=lambda sample: natural_key(sample.path))
    multilabel = any(row.labels is not None for row in rows)
    return assemble(
        name, "table", samples, FileReader(base), skipped=[*skipped, *rejected],
        classes=[clean_label(column) or column for column in columns.indicators] or None,
        task=Task.MULTILABEL if multilabel else Task.MULTICLASS,
    )  # fmt: skip


def _named(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    frame = frame.rename(columns=str)
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise DataError(f"{name} has more than one column {twice[0]!r}", "give each column its own name")
    return frame


def _usable(rows: Sequence[Row]) -> tuple[list[Row], list[Skipped]]:
    """Lines with a label; a line that says the same as an earlier one is dropped."""
    usable: dict[tuple[str, str, Part | None], Row] = {}
    rejected: list[Skipped] = []
    for row in rows:
        if row.label is None:
            rejected.append(Skipped(row.path, NO_LABEL))
        elif (key := (row.path, row.label, row.split)) in usable:
            rejected.append(Skipped(row.path, "listed twice"))
        else:
            usable[key] = row
    return list(usable.values()), rejected


def _locate(root: Path, paths: Sequence[str]) -> tuple[Path, list[str]]:
    """The folder that all files lie below, ``root`` where it holds them all, and their paths from there."""
    base = os.path.abspath(root)  # noqa: PTH100 - keeps symbolic links, as Path.resolve would not
    full = [os.path.normpath(os.path.join(base, _spelling(base, path))) for path in paths]  # noqa: PTH118
    if not all(path.startswith(os.path.join(base, "")) for path in full):  # noqa: PTH118
        try:
            base = os.path.commonpath([base if p == base else os.path.dirname(p) for p in full])  # noqa: PTH120
        except ValueError as error:  # several drives of Windows
            raise DataError("the images are on different drives", "move them into one folder") from error
    skip = len(os.path.join(base, ""))  # noqa: PTH118
    return Path(base), [path[skip:].replace(os.sep, "/") for path in full]


def _spelling(base: str, path: str) -> str:
    """The way in which an existing file is spelled: tables made on Windows or macOS may differ from the disk."""
    if path.isascii() and "\\" not in path:
        return path
    spellings = [path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path), path.replace("\\", "/")]
    return next((p for p in spellings if os.path.lexists(os.path.join(base, p))), path)  # noqa: PTH118


def _refuse_all_missing(files: Sequence[Found], base: Path, name: str) -> None:
    if not files or not all(found.error == MISSING for found in files):
        return
    hint = "paths are relative to the table's folder; move the table or correct the paths"
    if not any(is_image_name(found.path) for found in files):
        hint = "the paths have no image extension such as .jpg: add it"
    raise DataError(f"not one of the {len(files)} files listed in {name} exists, such as {base / files[0].path}", hint)


def _sample(row: Row, found: Found, facts: Facts) -> Sample:
    return Sample(
        found.path, row.label or "", facts.digest, found.size,
        group=row.group, split=row.split, metadata=row.metadata, info=facts.info, error=facts.error,
        labels=row.labels or (),
    )  # fmt: skip
