"""Cells of a label column as class names or lists of labels: what is a list, what is missing, what is one class."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keensight.core.records import SEPARATOR
from keensight.data.sources.names import clean_label, is_encodable, natural_key, printable
from keensight.data.sources.notices import Notices, count, listed

_BY_MACHINES = frozenset({"nan", "NaN", "NAN", "null", "NULL"})
_NEVER = frozenset({"", "#N/A", "<NA>"})
_BY_PEOPLE = frozenset({"NA", "N/A", "n/a"})
WORDS = _BY_MACHINES | _NEVER | _BY_PEOPLE
"""Cells of a text table that may say that there is nothing. "None" is a common class name (no defect)."""
_WHOLE = re.compile(r"([-+]?\d+)\.0+")
_OF_NUMPY = re.compile(r"\[\s*('[^']*'\s*)+\]")
_NUMBER = re.compile(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of all rows."""

    texts: list[str | None]
    """Class names; None where there is none. Of a multi-label set, the labels joined."""
    several: list[tuple[str, ...]] | None = None
    """Of a multi-label set, the labels of each row."""
    notices: Notices = Notices()


def read_labels(
    cells: Sequence[Any], column: str, *, words_may_be_missing: bool, elsewhere: frozenset[str] = frozenset()
) -> Labels:
    """Understand a label column as a whole.

    Args:
        cells: The column.
        column: Its name.
        words_may_be_missing: Whether the cells come from a text table, where ``NA`` may say that there is no label.
        elsewhere: Words such as ``NA`` that other columns contain, too: there they are missing values.
    """
    lists = _lists(cells)
    if lists is not None:
        return _of_lists(lists, column)
    missing, notices = (
        _missing_words(cells, column, elsewhere) if words_may_be_missing else (frozenset({""}), Notices())
    )
    texts = [None if cell is None or str(cell) in missing else label_text(cell) for cell in cells]
    if any(text is not None and SEPARATOR in text for text in texts):
        return _several([(text or "").split(SEPARATOR) for text in texts], notices)
    separator, more = _separator([text for text in texts if text is not None], column)
    if separator is not None:
        return _several([(text or "").split(separator) for text in texts], notices + more)
    return _singles(texts, column, notices + more)


def label_text(value: Any) -> str | None:
    """A label as text, cleaned; whole numbers without a fraction; None: it is empty."""
    if value is None:
        return None
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return sys.intern(clean_label(text if is_encodable(text) else printable(text))) or None


def _singles(texts: list[str | None], column: str, notices: Notices) -> Labels:
    """One class each: ``1.0`` is ``1`` where that occurs, too, or all numbers of the column are whole."""
    values = {text for text in texts if text is not None}
    numbers = {value for value in values if _NUMBER.fullmatch(value)}
    whole = {value: match[1] for value in numbers if (match := _WHOLE.fullmatch(value))}
    both = sorted(set(whole.values()) & values, key=natural_key)
    if both:
        notices = notices + Notices(notes=(f"{both[0]} and {both[0]}.0 in column {column} are one class",))
    if not all(value in whole or value.lstrip("+-").isdigit() for value in numbers):
        whole = {value: number for value, number in whole.items() if number in values}
    return Labels([None if text is None else whole.get(text, text) for text in texts], notices=notices)


def _several(lists: Sequence[Sequence[str]], notices: Notices) -> Labels:
    cleaned = [{clean_label(item) for item in items} - {""} for items in lists]
    held = [tuple(sorted(items, key=natural_key)) for items in cleaned]
    return Labels([SEPARATOR.join(items) for items in held], held, notices)


def _of_lists(lists: list[tuple[Any, ...] | None], column: str) -> Labels:
    held = [None if items is None else [text for item in items if (text := label_text(item))] for items in lists]
    if all(items is None or len(items) == 1 for items in held):
        notices = Notices(notes=(f"each list in column {column} has one label: they are classes",))
        return _singles([items[0] if items else None for items in held], column, notices)
    notices = Notices((f"column {column} contains lists of labels",))
    return _several([[item.replace(SEPARATOR, "/") for item in items or ()] for items in held], notices)


def _lists(cells: Sequence[Any]) -> list[tuple[Any, ...] | None] | None:
    """The cells as lists, where all that are not empty are such: of Parquet or JSON, or as text ``["cat", "dog"]``."""
    found: list[tuple[Any, ...] | None] = []
    for cell in cells:
        parsed = _list(cell)
        if parsed is None and cell is not None and cell != "":
            return None
        found.append(parsed)
    return found if any(items is not None for items in found) else None


def _list(cell: Any) -> tuple[Any, ...] | None:
    if isinstance(cell, tuple):
        return cell
    if not isinstance(cell, str) or not (cell.startswith("[") and cell.endswith("]")):
        return None
    if _OF_NUMPY.fullmatch(cell):  # which Python would take for one long text
        return tuple(re.findall(r"'([^']*)'", cell))
    for parse in (json.loads, ast.literal_eval):
        try:
            items = parse(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(items, list) and not any(isinstance(item, (list, dict)) for item in items):
            return tuple(items)
    return None


def _missing_words(cells: Sequence[Any], column: str, elsewhere: frozenset[str]) -> tuple[frozenset[str], Notices]:
    """The words by which this column says that there is no label.

    ``NA`` is a class (a region, "not applicable") if it is at least as frequent as the rarest class, and no other
    column contains it. ``nan`` and ``null``, which programs write, must also not be needed for missing labels, because
    some cells are empty. All of it is notices.
    """
    counts = Counter(str(cell) for cell in cells if cell is not None)
    empty = len(cells) - counts.total()
    rarest = min((n for word, n in counts.items() if word not in WORDS), default=0)
    classes = {
        word for word in (_BY_PEOPLE | (_BY_MACHINES if empty else frozenset())) & counts.keys()
        if counts[word] >= max(rarest, 2) and word not in elsewhere
    }  # fmt: skip
    missing = frozenset(WORDS - classes)
    kept = sorted(classes)
    gone = sorted(missing & counts.keys())
    notes = [
        f"{word} in column {column} is a class ({count(counts[word], 'row', 'rows')}); to leave out these rows, empty "
        "the cells"
        for word in kept
    ]
    if gone:
        words = listed(f"{word} ({counts[word]:,})" for word in gone)
        notes.append(f"read as no label in column {column}: {words}; if it is a class, give it another name")
    return missing, Notices(notes=tuple(notes))


def _separator(texts: Sequence[str], column: str) -> tuple[str | None, Notices]:
    """The separator of lists in one cell, if the column as a whole leaves no doubt.

    A comma or semicolon separates labels where the lists differ in length and their items come again in other lists;
    a space only where, besides, single items have cells of their own and there are fewer items than lists.
    """
    values = set(texts)
    for separator in (",", ";", " "):
        if not any(separator in value for value in values):
            continue
        lists = [tuple(item for part in value.split(separator) if (item := part.strip())) for value in values]
        if _are_tags(lists, strict=separator == " "):
            word = {",": "commas", ";": "semicolons", " ": "spaces"}[separator]
            cue = f"column {column} contains lists of labels separated by {word}"
            return separator, Notices((cue,), ("class names without them",))
        if separator != " " and not all(_is_decimal(value) for value in values):
            held = sum(separator in value for value in values)
            warning = (
                f"{count(held, 'class name', 'class names')} in column {column} contain {separator!r}, such as "
                f"{next(value for value in sorted(values) if separator in value)!r}: each is taken for one class; if "
                "they are lists of labels, write them as cat|dog"
            )
            return None, Notices(warnings=(warning,))
    return None, Notices()


def _is_decimal(value: str) -> bool:
    return re.fullmatch(r"[-+]?\d+,\d+", value) is not None


def _are_tags(lists: Sequence[tuple[str, ...]], *, strict: bool) -> bool:
    several = [items for items in lists if len(items) > 1]
    if not several or len({len(items) for items in lists}) < 2:
        return False
    occurrences = Counter(item for items in lists for item in set(items))
    again = all(occurrences[item] > 1 for items in several for item in items)
    if not strict:
        return again
    alone = {items[0] for items in lists if len(items) == 1}
    return again and len(alone) > 1 and len(occurrences) < len(lists)
