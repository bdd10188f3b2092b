"""Images in no class folders, with tables next to them that say their classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from keensight.core.records import Dataset, Part, Reading, Sample, Skipped
from keensight.data.sources.assemble import OneClass, assemble
from keensight.data.sources.file_index import FileReader
from keensight.data.sources.layouts import Layout
from keensight.data.sources.listing import Listing
from keensight.data.sources.names import natural_key
from keensight.data.sources.tree_names import loose_split_of, split_of
from keensight.errors import DataError

OpenTables = Callable[..., Dataset]
"""Reads tables together, each given by its path and its split."""
_USUAL = ("labels", "label", "metadata", "annotations", "train_labels", "trainlabels", "data", "classes", "images")
NOT_LISTED = "in no table"


def open_beside(root: Path, listing: Listing, layout: Layout, open_tables: OpenTables) -> Dataset:
    """Read the images by the table next to them, or by one table for each split.

    Args:
        root: The folder.
        listing: What is in it.
        layout: Its images and its tables.
        open_tables: Reads one or several tables.

    Raises:
        DataError: several tables may be meant, or none can be read; the hint names them.
    """
    chosen = choose_tables(layout.tables, set(layout.parts.values()))
    if not chosen:
        raise DataError(
            f"{root} holds {len(listing.files)} images but no class folders, and several tables: "
            f"{', '.join(layout.tables[:6])}",
            f"open the table with the labels instead: {root / layout.tables[0]}",
        )
    opened, refused = _open(root, chosen, open_tables)
    if not opened:
        table, error = refused[0]
        raise DataError(
            f"{root} holds {len(listing.files)} images but no class folders, and the table next to them cannot be "
            f"used: {error.message}",
            f"open the table itself, {root / table}, with label= and path=; {error.hint}",
        ) from error
    return _together(root, listing, layout, opened, refused)


def choose_tables(tables: Sequence[str], parts: set[Part]) -> list[tuple[str, Part | None]]:
    """The tables to read, each with the split that it is for; none if several could be meant.

    Examples:
        >>> from keensight.data.sources.folder_tables import choose_tables
        >>> choose_tables(["train.csv", "test.csv"], set())
        [('train.csv', 'train'), ('test.csv', 'test')]
    """
    if len(tables) == 1:
        return [(tables[0], None)]
    inside = [(table, split_of(table.split("/")[-2])) for table in tables if "/" in table]
    if parts and Counter(part for _, part in inside if part) == Counter(parts):
        return [(table, part) for table, part in inside if part]
    named = [(table, loose_split_of(_stem(table))) for table in tables]
    if len({part for _, part in named if part}) == sum(part is not None for _, part in named) > 1:
        return [(table, part) for table, part in named if part]
    usual = [table for table in tables if _stem(table).strip("_").lower() in _USUAL]
    if len(usual) != 1:
        usual = [table for table, part in named if part == "train"]
    return [(usual[0], None)] if len(usual) == 1 else []


def _stem(table: str) -> str:
    return PurePosixPath(table.removesuffix(".gz")).stem


Opened = list[tuple[tuple[str, ...], Part | None, Dataset]]
"""Tables that were read together, the split that all of their rows are in, and their images."""
Refused = list[tuple[str, DataError]]


def _open(root: Path, tables: Sequence[tuple[str, Part | None]], open_tables: OpenTables) -> tuple[Opened, Refused]:
    """Read the tables together, so that one decides for all what a cell means; or the ones that can be read."""
    if len(tables) > 1:
        with suppress(DataError):
            together = open_tables([(root / table, part) for table, part in tables])
            return [(tuple(table for table, _ in tables), None, together)], []
    opened: Opened = []
    refused: Refused = []
    for table, part in tables:
        try:
            opened.append(((table,), part, open_tables([(root / table, None)])))
        except OneClass as error:
            opened.append(((table,), part, error.dataset))
        except DataError as error:
            refused.append((table, error))
    usable = [(table, part) for table, part in tables if any(table in names for names, _, _ in opened)]
    if refused and len(usable) > 1:
        return _open(root, usable, open_tables)[0], refused
    return opened, refused


def _together(root: Path, listing: Listing, layout: Layout, opened: Opened, refused: Refused) -> Dataset:
    samples = [
        _moved(root, sample, dataset, part, layout.parts) for _, part, dataset in opened for sample in dataset.samples
    ]
    if len({sample.split for sample in samples}) == 1:  # the only labeled one is divided
        samples = [replace(sample, split=None) for sample in samples]
    samples.sort(key=lambda sample: natural_key(sample.path))
    used = {sample.path for sample in samples}
    names = {table for tables, _, _ in opened for table in tables}
    unlisted = [Skipped(found.path, NOT_LISTED) for found in listing.files if found.path not in used]
    others = [item for item in listing.skipped if item.path not in names]
    rows = [item for _, _, dataset in opened for item in dataset.skipped]
    first = opened[0][2]
    classes = sorted({name for _, _, dataset in opened for name in dataset.labels.names}, key=natural_key)
    stored = {found.path: found.stored for found in listing.files if found.stored}
    return assemble(
        root.resolve().name or "images", "table", samples, FileReader(root, stored),
        skipped=[*rows, *unlisted, *others], classes=classes, task=first.task,
        reading=_reading(opened, refused, unlisted, layout),
    )  # fmt: skip


def _moved(root: Path, sample: Sample, dataset: Dataset, part: Part | None, parts: Mapping[str, Part]) -> Sample:
    """A sample of a table, with its path from the folder that users gave."""
    base = dataset.reader.root if isinstance(dataset.reader, FileReader) else root
    path = os.path.relpath(base / sample.path, root).replace(os.sep, "/")
    return replace(sample, path=path, split=sample.split or part or parts.get(path))


def _reading(opened: Opened, refused: Refused, unlisted: Sequence[Skipped], layout: Layout) -> Reading:
    told = [dataset.reading for _, _, dataset in opened if dataset.reading is not None]
    tables = [table for tables, _, _ in opened for table in tables]
    layouts = dict.fromkeys(reading.layout for reading in told)
    cue = f"{' and '.join(tables)} {'gives' if len(tables) == 1 else 'give'} the classes of images in no class folders"
    folders = Counter(item.path.rpartition("/")[0] for item in unlisted)
    warnings = [
        f"{n:,} {'image' if n == 1 else 'images'} in {folder or '.'}/ not used: {NOT_LISTED}; `keensight predict` "
        "classifies them after training"
        for folder, n in folders.most_common(5)
    ]
    warnings += [f"{table} is not used: {error.message}" for table, error in refused]
    return Reading(
        f"images and {' and '.join(layouts)}",
        "; ".join(filter(None, (*(reading.cue for reading in told[:1]), cue))),
        told[0].override if told else "",
        tuple(dict.fromkeys(note for reading in told for note in reading.notes)),
        (*dict.fromkeys(warning for reading in told for warning in reading.warnings), *warnings),
    )
