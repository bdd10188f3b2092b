"""Files of tables as columns of plain cells: CSV and other text, JSON, Excel, Parquet; packed with gzip or not."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.sanitize import unguarded
from keensight.core.sources import is_missing
from keensight.core.text_tables import DELIMITERS, read_cells
from keensight.data.sources.containers.archives import most_expanded, refuse_bomb
from keensight.data.sources.names import is_image_name
from keensight.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_TEXT = {".csv": "CSV table", ".tsv": "TSV table", ".txt": "text list", ".lst": "text list"}
_JSON = {".jsonl": "JSON lines", ".ndjson": "JSON lines", ".json": "JSON records"}
_PARQUET = {".parquet": "Parquet table", ".pq": "Parquet table"}
_EXCEL = {".xlsx": "Excel table", ".xlsm": "Excel table"}
LAYOUTS = _TEXT | _JSON | _PARQUET | _EXCEL
"""Extensions of tables, with what they are called."""
_OTHERS = frozenset({".xls", ".ods", ".numbers", ".feather", ".arrow", ".sav", ".dta", ".rds", ".db", ".sqlite"})
"""Extensions of tables that are not read."""
TABLE_SUFFIXES = frozenset(LAYOUTS) - {".txt", ".lst", ".json"}
"""Extensions of files that are nothing but tables; ``LAYOUTS`` has those that may be one."""
FRAME = "pandas table"
"""What a table in memory is called."""
_DAMAGE = (
    ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RecursionError, MemoryError
)  # fmt: skip
"""What Python's and Arrow's readers raise for a damaged table: most of Arrow's errors are ValueErrors."""
_WEB = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_EXPECTED = "expected CSV, TSV, Excel (.xlsx), JSON lines, JSON records or Parquet"

Cells = Mapping[str, Sequence[Any]]
"""Columns by name; a cell is a text, a number, a truth value, a tuple of such, or None where it is empty."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as plain cells."""

    columns: Cells
    layout: str = "table"
    """What it is called: ``CSV table``."""
    lines: Sequence[int] = ()
    """The line of the file in which each row is; default: counted from 2, below a header."""
    text: bool = False
    """Whether all cells were text, so that ``NA`` may be a missing value."""
    header: bool = True
    """Whether the file names its columns."""
    notes: tuple[str, ...] = field(default=())
    """What is reported of the file: its encoding and delimiter, where they are not the usual ones."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def line(self, row: int) -> int:
        """The line of a row, counted from 1."""
        return self.lines[row] if self.lines else row + 2


def table_suffix(name: str) -> str:
    """The extension in lower case, without that of gzip: ``.csv`` of ``labels.csv.gz``."""
    return os.path.splitext(name.lower().removesuffix(".gz"))[1]  # noqa: PTH122 - a name, not a file


def is_table_name(name: str) -> bool:
    """Whether a file with this name is a table, or may be one (``.txt``, ``.json``)."""
    return table_suffix(name) in LAYOUTS or table_suffix(name) in _OTHERS


def is_web_address(text: str) -> bool:
    """Whether a cell is the address of something that is not on this machine."""
    return bool(_WEB.match(text)) and not text.lower().startswith("file:")


def looks_like_path(text: str) -> bool:
    """Whether a cell is the path or address of an image file."""
    return is_image_name(text) or is_web_address(text)


def read_table(path: Path) -> Table:
    """Read a table; cells of text tables stay text, so ``007`` stays so.

    Raises:
        DataError: the file is empty, damaged or no table.
    """
    suffix = table_suffix(path.name)
    if suffix in _OTHERS:
        raise DataError(f"{path.name} is a table of a format that is not read ({suffix})", "save it as CSV or .xlsx")
    read: Callable[[Path], Table] = next(
        (reader for kinds, reader in ((_JSON, _read_json), (_PARQUET, _read_parquet), (_EXCEL, _read_excel))
         if suffix in kinds),
        _read_text,
    )  # fmt: skip
    try:
        table = read(path)
        if not table.columns:
            raise ValueError("it is empty")
    except _DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path.name} cannot be read as a table: {reason}", _EXPECTED) from error
    return table


def table_of(frame: pd.DataFrame, name: str) -> Table:
    """A table of pandas as plain cells.

    Raises:
        DataError: two columns have the same name.
    """
    frame = frame.rename(columns=str)
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise DataError(f"{name} has more than one column {twice[0]!r}", "give each column its own name")
    return Table({str(column): plain_cells(frame[column].tolist()) for column in frame.columns}, FRAME)


def plain_cells(values: Iterable[Any]) -> list[Any]:
    """Cells as plain values: texts, numbers, truth values, tuples of such; None where one is empty."""
    return [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, (str, bool, int)):
        return value
    if is_missing(value):
        return None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # of NumPy: a number, or an array of them
        value = value.tolist()
        return tuple(plain_cells(value)) if isinstance(value, list) else _plain(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(plain_cells(value))
    return str(value) if not isinstance(value, (bytes, Mapping)) else value


def _read_bytes(path: Path) -> bytes:
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    limit = most_expanded(path.stat().st_size)
    with gzip.open(path) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it expands to more than {limit >> 20:,} MiB, as bombs do")
    return data


def _read_text(path: Path) -> Table:
    suffix = table_suffix(path.name)
    found = read_cells(_read_bytes(path), looks_like_path, "\t" if suffix == ".tsv" else None)
    rows = [list(map(unguarded, row)) for row in found.rows]
    notes = []
    if found.encoding != "UTF-8":
        notes.append(f"encoding {found.encoding}")
    if found.delimiter != {".tsv": "\t", ".txt": " ", ".lst": " "}.get(suffix, ","):
        notes.append(f"delimiter {DELIMITERS[found.delimiter]}")
    return replace(_with_names(rows, found.lines, path, notes), text=True)


def _with_names(rows: Sequence[Sequence[Any]], lines: Sequence[int], path: Path, notes: Sequence[str]) -> Table:
    """A table of rows, of which the first has the names unless it contains the path of an image."""
    if not rows:
        raise ValueError("it is empty")
    header = not any(map(_is_path, rows[0]))
    width = len(rows[0]) if header else max(map(len, rows))
    if header:
        names, rows, lines = [str(cell or "") for cell in rows[0]], rows[1:], lines[1:]
        if _has_row_names(rows, width):
            rows = [row[1:] for row in rows]
        _refuse_longer(rows, lines, width)
    else:
        names = _made_names(rows, width)
        notes = [*notes, f"no header: its columns are called {', '.join(names)}" if width > 1 else "no header"]
    cells = [plain_cells(row[i] if i < len(row) and row[i] != "" else None for row in rows)
             for i in range(width)]  # fmt: skip
    layout = LAYOUTS.get(table_suffix(path.name), "table")
    return Table(_named(names, cells), layout, lines, header=header, notes=tuple(notes))


def _is_path(cell: Any) -> bool:
    return isinstance(cell, str) and looks_like_path(cell)


def _has_row_names(rows: Sequence[Sequence[Any]], width: int) -> bool:
    """Whether R wrote the number of each row before it, without a name for that column."""
    return bool(rows) and all(len(row) == width + 1 and row[0] == str(i) for i, row in enumerate(rows, start=1))


def _refuse_longer(rows: Sequence[Sequence[Any]], lines: Sequence[int], width: int) -> None:
    longer = next((i for i, row in enumerate(rows) if len(row) > width), None)
    if longer is not None:
        raise ValueError(
            f"line {lines[longer]} has {len(rows[longer])} cells, more than the header, which names {width}: put "
            "quotation marks around a cell that contains the delimiter"
        )


def _made_names(rows: Sequence[Sequence[Any]], width: int) -> list[str]:
    """Names of the columns of a file without a header: the path, and the label where it is the only other one."""
    counts = [sum(_is_path(row[i]) for row in rows if i < len(row)) for i in range(width)]
    path = max(range(width), key=counts.__getitem__)
    return ["path" if i == path else "label" if width == 2 else f"column {i + 1}" for i in range(width)]


def _named(names: Sequence[str], cells: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """The columns by name; a column without a name is numbered, or dropped where it is empty, too.

    A name that occurs twice gets a number, but where both columns contain the same.
    """
    columns: dict[str, Sequence[Any]] = {}
    for i, (name, column) in enumerate(zip(names, cells, strict=True), start=1):
        if not name and all(cell is None for cell in column):
            continue
        title, number = name or f"column {i}", 1
        while title in columns and columns[title] != column:
            title, number = f"{name} ({number + 1})", number + 1
        columns[title] = column
    return columns


def _read_json(path: Path) -> Table:
    from keensight.core.text_tables import decode

    text, encoding = decode(_read_bytes(path))
    suffix = table_suffix(path.name)
    try:
        records, lines = _records(json.loads(text)), list[int]()
    except json.JSONDecodeError:
        records, lines = _of_lines(text)
    if not records:
        raise ValueError("it contains no records")
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {str(name): plain_cells(record.get(name) for record in records) for name in names}
    notes = () if encoding == "UTF-8" else (f"encoding {encoding}",)
    return Table(columns, LAYOUTS[suffix], lines or range(1, len(records) + 1), notes=notes)


def _of_lines(text: str) -> tuple[list[Mapping[str, Any]], list[int]]:
    records: list[Mapping[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} is not JSON: {error.msg}") from error
            if not isinstance(record, dict):
                raise ValueError(f"line {number} is not a JSON object such as {{...}}")
            records.append(record)
            lines.append(number)
    return records, lines


def _records(document: Any) -> list[Mapping[str, Any]]:
    """Records of a JSON document: a list of objects, an object of columns, or one of paths and labels."""
    if isinstance(document, dict) and "images" in document and "annotations" in document:
        raise ValueError("it contains annotations in the COCO format, not a row for each image")
    if isinstance(document, dict):
        values = list(document.values())
        if values and all(isinstance(value, list) for value in values) and not any(map(is_image_name, document)):
            if len({len(value) for value in values}) == 1:
                return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
        elif values and all(isinstance(value, dict) for value in values):
            return _of_objects(document)
        elif sum(map(is_image_name, document)) > len(document) / 2:
            return [{"path": path, "label": label} for path, label in document.items()]
        else:
            return [document]
    if isinstance(document, list) and all(isinstance(record, dict) for record in document):
        return document
    raise ValueError("it is not a list of objects such as {...}, one for each image")


def _of_objects(document: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Objects by path of the image, or columns of cells by row, as pandas writes them."""
    if any(map(is_image_name, document)):
        return [{"path": path, **record} for path, record in document.items()]
    rows = dict.fromkeys(row for column in document.values() for row in column)
    return [{name: column.get(row) for name, column in document.items()} for row in rows]


def _read_parquet(path: Path) -> Table:
    from pyarrow import parquet

    found = parquet.read_table(path)
    columns = {
        str(name): plain_cells(found.column(i).to_pylist())
        for i, name in enumerate(found.column_names)
        if not name.startswith("__index_level_")
    }
    return Table(columns, LAYOUTS[table_suffix(path.name)])


def _read_excel(path: Path) -> Table:
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f"{path.name} is an Excel table, for which openpyxl is needed",
            "pip install 'keensight[excel]', or save it as CSV",
        ) from error
    with zipfile.ZipFile(path) as archive:
        refuse_bomb(path, sum(member.file_size for member in archive.infolist()))
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheets = [(sheet.title, _trimmed_rows(sheet.iter_rows(values_only=True))) for sheet in book.worksheets]
        book.close()
    except Exception as error:  # openpyxl lets any error of a damaged file through
        raise ValueError("it is not an Excel file, or damaged") from error
    filled = [(title, rows) for title, rows in sheets if rows]
    if not filled:
        raise ValueError("it is empty")
    title, rows = filled[0]
    others = [other for other, _ in filled[1:]]
    notes = [f"sheet {title}; not used: {', '.join(others)}"] if others else []
    cells = [row for _, row in rows]
    cells[0] += [None] * (max(map(len, cells)) - len(cells[0]))  # remarks beside a table have no name
    return _with_names(cells, [line for line, _ in rows], path, notes)


def _trimmed_rows(rows: Iterable[Sequence[Any]]) -> list[tuple[int, list[Any]]]:
    """Numbered rows without empty cells at their ends, and without empty rows."""
    found = []
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() or None if isinstance(cell, str) else cell for cell in row]
        while cells and cells[-1] is None:
            cells.pop()
        if cells:
            found.append((number, cells))
    return found
