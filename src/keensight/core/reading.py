"""Say how a source was read: one line for users, and the same for ``--json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from keensight.core.records import PARTS, Dataset, Skipped

EMPTY_CLASS = "a folder without images"
"""Reason under which a class folder without an image is skipped."""
_ROW_REASONS = frozenset({"no label", "listed twice"})
_SYSTEM = {"hidden": "hidden", "put there by the operating system": "of the operating system"}
_SHOWN = 6
"""Kinds of unused files that are named; the others are counted together."""


def reading_sentence(dataset: Dataset) -> str:
    """How a source was read, in one line: layout, splits, classes, images, unused files, cue and override.

    Examples:
        >>> from keensight.core.reading import reading_sentence
        >>> reading_sentence(ks.open("photos/"))
        'read as: folder per class, 2 classes, 120 images'
    """
    reading = dataset.reading
    facts = [
        reading.layout if reading else dataset.kind,
        _splits(dataset),
        _count(len(dataset.labels), dataset.task.noun, dataset.task.nouns),
        _count(len(dataset), "image", "images"),
    ]
    parts = [", ".join(fact for fact in facts if fact), *_unused(dataset.skipped)]
    if reading:
        parts += [*reading.notes, reading.cue, f"to read it otherwise: {reading.override}" if reading.override else ""]
    return f"read as: {'; '.join(part for part in parts if part)}"


def reading_lines(dataset: Dataset) -> list[str]:
    """:func:`reading_sentence`, then one line for each warning."""
    warnings = dataset.reading.warnings if dataset.reading else ()
    return [reading_sentence(dataset), *(f"warning: {warning}" for warning in warnings)]


def reading_document(dataset: Dataset) -> dict[str, Any]:
    """The value of ``reading`` in ``--json``."""
    reading = dataset.reading
    return {
        "sentence": reading_sentence(dataset),
        "layout": reading.layout if reading else dataset.kind,
        "cue": reading.cue if reading else "",
        "override": reading.override if reading else "",
        "notes": list(reading.notes) if reading else [],
        "warnings": list(reading.warnings) if reading else [],
    }


def _splits(dataset: Dataset) -> str:
    found = {sample.split for sample in dataset.samples} - {None}
    if not found:
        return ""
    named = "" if len(found) == len(PARTS) else f" ({', '.join(part for part in PARTS if part in found)})"
    return _count(len(found), "predefined split", "predefined splits") + named


def _unused(skipped: Iterable[Skipped]) -> Iterator[str]:
    rows, files, folders = Counter[str](), Counter[str](), 0
    for item in skipped:
        if item.reason == EMPTY_CLASS:
            folders += 1
        elif item.reason in _ROW_REASONS or item.path.startswith("line "):
            rows[item.reason] += 1
        else:
            files[_SYSTEM.get(item.reason) or PurePosixPath(item.path).suffix.lower() or "without extension"] += 1
    if files:
        yield f"{_count(files.total(), 'file', 'files')} not used: {_listed(files)}"
    if rows:
        yield f"{_count(rows.total(), 'row', 'rows')} not used: {_listed(rows)}"
    if folders:
        yield f"{_count(folders, 'folder', 'folders')} without images"


def _listed(counts: Counter[str]) -> str:
    common = counts.most_common()
    named = [f"{count:,} {kind}" for kind, count in common[:_SHOWN]]
    rest = sum(count for _, count in common[_SHOWN:])
    return ", ".join([*named, f"{rest:,} others"] if rest else named)


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
