"""Tables (CSV, TSV, Parquet, pandas): which column holds what, and their lines as plain values."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.records import Part, Skipped
from keensight.data.names import clean_label, is_encodable, part_of, printable
from keensight.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet", ".pq"})

PATH_NAMES = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_file",
    "image_name", "img", "img_path", "relative_path",
)  # fmt: skip
LABEL_NAMES = (
    "label", "class", "target", "category", "class_id", "class_name", "classname", "label_name", "label_id", "species"
)  # fmt: skip

_MISSING = ("", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL")
"""Cells that hold nothing. Unlike pandas' own list this leaves out "None": it is a common class name (no defect)."""


NO_LABEL = "no label"
"""Reason under which a line without a label is skipped."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column plays which part; the others are metadata."""

    path: str
    label: str | None
    group: str | None
    split: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, its label cleaned; ``label`` and ``group`` are None where their cell is empty."""

    path: str
    label: str | None
    group: str | None
    split: Part | None
    metadata: Mapping[str, Any]


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


def find_columns(
    frame: pd.DataFrame, name: str, *, path: str | None, label: str | None, group: str | None, need_label: bool = True
) -> Columns:
    """Decide which column holds what: as named by the user, else by the field's common names.

    Raises:
        DataError: a column is missing, or several could be meant; the hint lists the columns.
    """
    names = [str(column) for column in frame.columns]
    found = Columns(
        path=_find(names, path, PATH_NAMES, "path", name),
        label=_find(names, label, LABEL_NAMES, "label", name) if need_label or label else None,
        group=_find(names, group, (), "group", name) if group else None,
        split=next((column for column in names if column.strip().lower() == "split"), None),
    )
    if found.path == found.label:
        raise DataError(
            f"the column {found.path!r} of {name} cannot be both path and label", f"columns: {', '.join(names)}"
        )
    return found


def _find(columns: Sequence[str], wanted: str | None, common: Sequence[str], role: str, table: str) -> str:
    listed = f"the columns are: {', '.join(columns)}" if columns else "the table has no columns"
    if wanted is not None:
        if wanted not in columns:
            raise DataError(f"{table} has no column {wanted!r} ({role})", listed)
        return wanted
    matches = [column for column in columns if column.strip().lower() in common]
    if not matches:
        raise DataError(f"{table} has no {role} column that can be told by its name", f"name it with {role}=; {listed}")
    if len(matches) > 1:
        raise DataError(
            f"{table} has {len(matches)} columns that could hold the {role}: {', '.join(matches)}",
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
    labels = cells[columns.label] if columns.label else nothing
    groups = cells[columns.group] if columns.group else nothing
    parts = _parts(cells[columns.split], name) if columns.split else nothing
    used = {columns.path, columns.label, columns.group, columns.split}
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
            rows.append(Row(path.strip(), _label(labels[i]), _text(groups[i]), parts[i], metadata))
    return rows, skipped


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
