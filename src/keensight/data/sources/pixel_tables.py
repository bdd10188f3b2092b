"""Tables that contain the pixels themselves: a column for each, or all of an image in one cell."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.records import Dataset, Part, Reading
from keensight.core.text_tables import decode
from keensight.data.sources.arrays import from_arrays
from keensight.data.sources.names import part_of
from keensight.data.sources.notices import unlabeled
from keensight.data.sources.table_columns import label_column, split_column
from keensight.data.sources.table_files import Table, looks_like_path, read_table, table_suffix
from keensight.data.sources.table_labels import read_labels
from keensight.errors import DataError

_FEWEST = 49
"""Pixels of an image; with fewer columns it is a table of something else."""
_HEAD = 1_000_000
_PIXEL = re.compile(r"(pixel|pix|px|p|x|v|f)?_?\d+([x_]\d+)?", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,3}(\.0+)?")
_SPLITS: dict[str, Part] = {"publictest": "val", "privatetest": "test"}
"""Words of FER2013 for its validation and test images."""


@dataclass(frozen=True, slots=True)
class _Pixels:
    """The images of one file, uint8 (n, side * side), and its other columns."""

    values: NDArray[np.uint8]
    columns: dict[str, list[Any]]
    cue: str


def holds_pixels(file: Path) -> bool:
    """Whether the first rows of a table are numbers in columns named ``pixel0``, ``1x1`` or not at all."""
    return _layout(file) is not None


def open_pixels(files: Sequence[tuple[Path, Part | None]], *, label: str | None = None) -> Dataset:
    """A dataset of square gray images from tables of their pixels, 0 to 255.

    Args:
        files: The tables, each with the split that all of its rows are in; None: as the table says.
        label: The column with the class; default: found by its name, or the only other column.

    Raises:
        DataError: the pixels are no squares of whole numbers from 0 to 255, or there is no label.
    """
    found = [(_read(file), part) for file, part in files]
    sides = {pixels.values.shape[1] for pixels, _ in found}
    name = files[0][0].name
    if len(sides) > 1:
        raise DataError(f"the tables {name} and others have images of different sizes", "give them one size")
    side = math.isqrt(sides.pop())
    texts: list[str | None] = []
    splits: list[Part | None] = []
    for (pixels, part), (file, _) in zip(found, files, strict=True):
        table = Table(pixels.columns, text=True)
        column = label or label_column(table, file.name)
        if column not in table.columns:
            raise DataError(
                f"{file.name} has no column {column!r} (label)", "set it with --label COLUMN (label= in Python)"
            )
        texts += read_labels(table.columns[column], column, words_may_be_missing=True).texts
        splits += [part or said for said in _splits(table, column)]
    kept = [i for i, text in enumerate(texts) if text is not None]
    images = np.concatenate([pixels.values for pixels, _ in found])[kept].reshape(-1, side, side)
    dataset = from_arrays(
        images, [text for text in texts if text is not None], name=name, kind="table",
        splits=[splits[i] for i in kept] if any(splits) else None,
    )  # fmt: skip
    reading = Reading(
        "table of pixels",
        f"{found[0][0].cue} of {side} × {side} pixels",
        warnings=unlabeled(len(texts) - len(kept), len(texts)),
    )
    return replace(dataset, reading=reading)


def _splits(table: Table, label: str) -> list[Part | None]:
    column = split_column(table, {label}, _SPLITS)
    nothing: list[Part | None] = [None] * len(table)
    return nothing if column is None else [
        None if cell is None else part_of(str(cell)) or _SPLITS[str(cell).strip().lower()]
        for cell in table.columns[column]
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Layout:
    delimiter: str
    header: bool
    names: list[str]
    pixels: list[int]
    """Columns of single pixels; of a column of whole images, its number alone."""
    packed: bool


def _layout(file: Path) -> _Layout | None:
    if table_suffix(file.name) not in (".csv", ".tsv", ".txt"):
        return None
    try:
        with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as stream:
            head = decode(stream.read(_HEAD))[0]
        delimiter = max((",", "\t", ";", " "), key=head.partition("\n")[0].count)
        lines = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
        rows = [row for _, row in zip(range(2), lines, strict=False)]
    except (OSError, ValueError, EOFError, zlib.error, csv.Error):
        return None
    if len(rows) < 2 or any(map(looks_like_path, (*rows[0], *rows[1]))):
        return None
    names = [cell.strip() for cell in rows[0]]
    packed = [i for i, cell in enumerate(rows[1]) if _numbers(cell.split()) and len(cell.split()) >= _FEWEST]
    if packed:
        return _Layout(delimiter, True, names, packed[:1], packed=True)
    if _numbers(names):
        return _Layout(delimiter, False, names, list(range(len(names))), packed=False) if len(names) > _FEWEST else None
    pixels = [i for i, name in enumerate(names) if _PIXEL.fullmatch(name)]
    if len(pixels) < _FEWEST or len(names) - len(pixels) > 5:
        return None
    return _Layout(delimiter, True, names, pixels, packed=False)


def _numbers(cells: Sequence[str]) -> bool:
    return bool(cells) and all(_NUMBER.fullmatch(cell.strip()) for cell in cells)


def _read(file: Path) -> _Pixels:
    layout = _layout(file)
    if layout is None:
        raise DataError(f"{file.name} is not a table of pixels", "give tables of the same columns")
    try:
        found = _packed(file, layout) if layout.packed else _columns(file, layout)
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{file.name} is a table of pixels, but not all of them are whole numbers from 0 to 255",
            "save the images as files, or as an .npz of images and labels",
        ) from error
    n = found.values.shape[1]
    if math.isqrt(n) ** 2 != n:
        thirds = n % 3 == 0 and math.isqrt(n // 3) ** 2 == n // 3
        why = "three colors in an unknown order" if thirds else "not the number of pixels of a square image"
        raise DataError(
            f"{file.name} is a table of {n:,} pixels in each row, {why}",
            "save the images as files, or as an .npz of images (n, height, width, 3) and labels",
        )
    return found


def _packed(file: Path, layout: _Layout) -> _Pixels:
    table = read_table(file)
    name = list(table.columns)[layout.pixels[0]]
    values = np.array([np.array(str(cell or "").split(), dtype=np.uint8) for cell in table.columns[name]])
    if values.ndim != 2:
        raise ValueError("images of different sizes")
    others = {column: list(cells) for column, cells in table.columns.items() if column != name}
    return _Pixels(values, others, f"column {name} contains images")


def _columns(file: Path, layout: _Layout) -> _Pixels:
    import pandas as pd

    places = range(len(layout.names))
    kinds: dict[Any, Any] = dict.fromkeys(places, str) | dict.fromkeys(layout.pixels, np.float32)
    with np.errstate(over="ignore"):  # such a number becomes infinite, and is refused
        frame = pd.read_csv(
            file, sep=layout.delimiter, header=None, names=list(places), skiprows=1 if layout.header else 0,
            dtype=kinds, keep_default_na=False,
        )  # fmt: skip
    if not isinstance(frame.index, pd.RangeIndex):  # so pandas takes the first cell of longer lines
        raise ValueError("lines are longer than the header")
    pixels = layout.pixels if layout.header else _without_label(frame, file.name)
    others = {
        layout.names[i] if layout.header else "label": [str(cell) or None for cell in frame[i].tolist()]
        for i in range(len(layout.names)) if i not in set(pixels)
    }  # fmt: skip
    return _Pixels(_bytes(frame[pixels].to_numpy(np.float32)), others, f"{len(pixels):,} columns are images")


def _bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    if not (np.isfinite(values).all() and (values >= 0).all() and (values <= 255).all()):
        raise ValueError("outside 0 to 255")
    found = values.astype(np.uint8)
    if (found != values).any():
        raise ValueError("fractions")
    return found


def _without_label(frame: Any, name: str) -> list[int]:
    """The columns of pixels where there is no header: all but the first or last, whichever has classes."""
    last = frame.shape[1] - 1
    varied = [i for i in (0, last) if 2 <= frame[i].nunique() <= len(frame) / 2]
    if len(varied) != 1:
        raise DataError(
            f"{name} is a table of pixels without a header, and its label could be the first or the last column",
            "write a header: label, pixel0, pixel1 and so on",
        )
    return [i for i in range(last + 1) if i != varied[0]]
