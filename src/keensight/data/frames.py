"""A dataset from a table whose lines name image files."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keensight.core.files import MISSING
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Part, Sample, Skipped
from keensight.data.assemble import assemble
from keensight.data.index import Facts, FileReader, examine, stat_files
from keensight.data.listing import Found
from keensight.data.names import clean_label, is_image_name, natural_key
from keensight.data.tables import NO_LABEL, Row, find_columns, read_rows
from keensight.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def from_frame(
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
        frame: One line an image: a path, a label, and as you like a ``split``, a group and further columns,
            which become metadata.
        root: The folder that relative paths start from. Where a path leads out of it, samples are named
            from the folder that all of them share.
        label: The column with the class; default: found by name. Where some of its cells are lists such as
            ``cat|dog``, the set is multi-label, and an empty cell means none of the labels.
        path: The column with the path; default: found by name.
        group: The column whose equal values never straddle a split.
        labels: Columns of 0 and 1 (true and false, an empty cell is 0), one a label of a multi-label set; default:
            all such columns, where there are two or more and no column has the name of a label.
        name: What to call the dataset.
        source: The table's file, under whose name digests are remembered; default: ``root``.
        progress: Told while files are read.

    Raises:
        DataError: a column is missing or ambiguous, no file exists, or fewer than two classes are left.
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
        task="multilabel" if multilabel else "multiclass",
    )  # fmt: skip


def _named(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    frame = frame.rename(columns=str)
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise DataError(f"{name} has more than one column {twice[0]!r}", "give each column a name of its own")
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
            raise DataError("the images lie on different drives", "bring them together below one folder") from error
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
    hint = "paths start from the table's folder; move the table or correct the paths"
    if not any(is_image_name(found.path) for found in files):
        hint = "the paths have no image extension such as .jpg: add it"
    raise DataError(f"not one of the {len(files)} files that {name} names exists, such as {base / files[0].path}", hint)


def _sample(row: Row, found: Found, facts: Facts) -> Sample:
    return Sample(
        found.path, row.label or "", facts.digest, found.size,
        group=row.group, split=row.split, metadata=row.metadata, info=facts.info, error=facts.error,
        labels=row.labels or (),
    )  # fmt: skip
