"""Which column of a table means what: by the user, by its name, by what it contains."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from keensight.core.records import PARTS, SEPARATOR, Part
from keensight.core.registry import did_you_mean
from keensight.data.sources.group_columns import named_like_a_group
from keensight.data.sources.names import is_encodable, part_of
from keensight.data.sources.notices import Notices, count, listed
from keensight.data.sources.table_files import Table, looks_like_path
from keensight.errors import DataError

_PATHS = (
    frozenset({
        "path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "imagefilename", "imagename", "img",
        "imgpath", "imgfile", "imgname", "relativepath", "relpath", "fname", "photo", "photopath", "picture",
    }),
    frozenset({"imageid", "imgid", "isicid", "idcode", "photoid", "pictureid", "fileid", "imageindex"}),
    frozenset({"id", "name", "url", "uri", "imageurl", "imageuri", "imgurl"}),
)  # fmt: skip
_LABELS = (
    frozenset({
        "label", "labels", "class", "classes", "target", "targets", "category", "categoryid", "categoryname", "classid",
        "classname", "classlabel", "classidx", "labelname", "labelid", "labelidx", "species", "tag", "tags", "y", "gt",
        "groundtruth", "truelabel",
    }),
    frozenset({
        "annotation", "diagnosis", "dx", "breed", "disease", "finding", "findings", "findinglabels", "condition",
        "pathology", "emotion", "expression", "genus", "variety", "cultivar", "grade", "level", "stage", "severity",
        "type", "kind", "celltype", "lesiontype", "defect", "defecttype", "material", "scene", "weather", "object",
        "character", "digit", "letter",
    }),
)  # fmt: skip
"""Names of columns that contain the path and the label, without spaces and punctuation: the first that occur count."""
_SPLITS = frozenset({"split", "set", "subset", "partition", "phase", "usage", "datasplit", "dataset", "traintest"})
_FLAGS: dict[str, Part] = {
    "istest": "test", "isvalid": "val", "isval": "val", "isvalidation": "val", "isholdout": "test",
    "istrain": "train", "istraining": "train", "istrainingimage": "train",
}  # fmt: skip
"""Columns of 0 and 1 that say which images are in a split."""
_FOLDS = frozenset({"fold", "folds", "kfold", "cvfold", "foldid"})
_FACTS = frozenset({
    "sex", "gender", "age", "agegroup", "view", "viewposition", "side", "laterality", "eye", "country", "city",
    "hospital", "device", "scanner", "manufacturer", "modality", "license", "licence", "author", "credit", "quality",
    "orientation", "format", "mode", "date", "time", "datetime", "year", "month", "weekday", "season", "annotator",
    "reader", "rater", "source", "localization", "anatomsite", "anatomsitegeneral", "comment", "comments", "note",
    "notes", "caption", "description", "magnification", "stain", "resolution", "color", "colour", "dxtype",
})  # fmt: skip
"""Names of columns that are never taken for the class because of what they contain."""
INDICATORS = {
    **dict.fromkeys(("0", "0.0", "false", "False", "FALSE"), False),
    **dict.fromkeys(("1", "1.0", "true", "True", "TRUE"), True),
}
"""What a cell of a 0/1 column may hold, as text; an empty cell is 0."""
_SIGNS = {**dict.fromkeys(("-1", "-1.0"), False), **dict.fromkeys(("1", "1.0"), True)}
_MISSING = frozenset({"", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL"})
_NUMBER = re.compile(r"[-+]?\d*[.,]?\d+([eE][-+]?\d+)?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*")
_MANY = 4
"""From so many 0/1 columns on, they and a column of classes are equally plausible."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of path, label, group and split; the others are metadata."""

    path: str
    label: str | None
    group: str | None
    split: str | None
    flags: tuple[str, ...] = ()
    """In place of ``split``, columns such as ``is_valid``."""
    indicators: tuple[str, ...] = ()
    """Columns of 0 and 1, one per label; ``label`` is None then."""
    asked: bool = False
    """Whether the user named the columns of 0 and 1, which makes the set multi-label."""
    notices: Notices = field(default_factory=Notices)

    @property
    def used(self) -> frozenset[str]:
        """All columns that are not metadata."""
        named = (self.path, self.label, self.group, self.split, *self.flags, *self.indicators)
        return frozenset(column for column in named if column is not None)


def find_columns(  # noqa: PLR0913 - one a column that the user may name
    table: Table,
    name: str,
    *,
    path: str | None,
    label: str | None,
    group: str | None,
    labels: Sequence[str] = (),
    need_label: bool = True,
) -> Columns:
    """Find the columns: as set by the user, else by usual names, else by what they contain.

    Where a label is needed and no column has the name of one, a column of class names is taken, or two and more
    columns that hold only 0 and 1 (or true and false, or nothing) for one label each.

    Raises:
        DataError: a column is missing, or several could be meant; the hint lists the columns.
    """
    if label and labels:
        raise DataError(f"both label= and labels= are given for {name}", "give label= or labels=")
    place, notices = path_column(table, name, path)
    split, flags, more = _split_columns(table, {place, label, group, *labels})
    found = Columns(
        place, None, _wanted(table, group, "group", name) if group else None, split, flags, notices=notices + more
    )
    if labels:
        columns = tuple(dict.fromkeys(_wanted(table, wanted, "label", name) for wanted in labels))
        return _with_indicators(replace(found, asked=True), columns, name)
    if label is not None:
        found = replace(found, label=_wanted(table, label, "label", name))
    elif need_label:
        found = _label_columns(table, found, name)
    if found.path == found.label:
        raise DataError(f"the column {found.path!r} of {name} cannot be both path and label", _columns_in_words(table))
    return found


def path_column(table: Table, name: str, wanted: str | None = None) -> tuple[str, Notices]:
    """The column of paths.

    Raises:
        DataError: there is none, or several could be meant.
    """
    if wanted is not None:
        return _wanted(table, wanted, "path", name), Notices()
    for names in _PATHS:
        matches = [column for column in table.columns if squashed(column) in names]
        filled = [column for column in matches if _paths(table, column) > 0.5]
        if len(matches) > 1 and len(filled) == 1:
            return filled[0], Notices((f"of {listed(matches)}, only {filled[0]} contains names of images",))
        if matches:
            return _only(matches, "path", table, name), Notices()
    filled = [column for column in table.columns if _paths(table, column) > 0.5]
    if not filled:
        raise DataError(
            f"{name} has no path column with a usual name", f"set it with path=; {_columns_in_words(table)}"
        )
    return _only(filled, "path", table, name), Notices((f"column {filled[0]} contains the paths",))


def is_label_name(name: str) -> bool:
    """Whether a column or key of this name usually contains the class."""
    return squashed(name) in _LABELS[0] or squashed(name) == "cls"


def squashed(name: str) -> str:
    """A column's name in lower case without spaces and punctuation: ``filename`` of ``File_Name``."""
    return re.sub(r"[\W_]+", "", name.lower())


def _paths(table: Table, column: str) -> float:
    cells = [cell for cell in table.columns[column] if cell is not None]
    return sum(isinstance(cell, str) and looks_like_path(cell) for cell in cells) / max(len(cells), 1)


def _columns_in_words(table: Table) -> str:
    return f"the columns are: {listed(table.columns, 20)}" if table.columns else "the table has no columns"


def _wanted(table: Table, wanted: str, role: str, name: str) -> str:
    if wanted not in table.columns:
        hint = did_you_mean(wanted, list(table.columns)[:50]) if table.columns else _columns_in_words(table)
        raise DataError(f"{name} has no column {wanted!r} ({role})", hint)
    return wanted


def _only(matches: Sequence[str], role: str, table: Table, name: str) -> str:
    if len(matches) > 1:
        raise DataError(
            f"{name} has {len(matches)} columns that could be the {role}: {listed(matches)}",
            f"choose one with --{role} COLUMN ({role}= in Python); {_columns_in_words(table)}",
        )
    return matches[0]


def _split_columns(table: Table, taken: Collection[str | None]) -> tuple[str | None, tuple[str, ...], Notices]:
    """The column of splits, or columns such as ``is_valid``; and a note on folds."""
    free = [column for column in table.columns if column not in taken]
    flags = tuple(column for column in free if squashed(column) in _FLAGS and is_indicator(table.columns[column]))
    split = split_column(table, taken)
    notices = Notices(notes=tuple(_of_folds(table, free)))
    if split is not None:
        unused = (
            Notices(notes=(f"column {listed(flags)} not used, as {split} gives the splits",)) if flags else Notices()
        )
        named = Notices() if split.strip().lower() == "split" else Notices(notes=(f"column {split} read as split",))
        return split, (), notices + named + unused
    meant = {"val": "validation", "test": "test", "train": "training"}
    words = "; ".join(f"column {flag} read as split: true is {meant[_FLAGS[squashed(flag)]]}" for flag in flags)
    return None, flags, notices + (Notices(notes=(words,)) if flags else Notices())


def split_column(table: Table, taken: Collection[str | None], words: Mapping[str, Part] | None = None) -> str | None:
    """The column called ``split``, or one that contains nothing but names of splits, or the given words for them."""
    free = [column for column in table.columns if column not in taken]
    named = next((column for column in free if column.strip().lower() == "split"), None)
    return named or next(
        (column for column in free if squashed(column) in _SPLITS and _has_splits(table, column, words or {})), None
    )


def _has_splits(table: Table, column: str, words: Mapping[str, Part]) -> bool:
    values = {str(cell).strip().lower() for cell in table.columns[column] if cell is not None}
    return bool(values) and all(part_of(value) or value in words for value in values)


def _of_folds(table: Table, columns: Sequence[str]) -> Iterator[str]:
    for column in columns:
        if squashed(column) in _FOLDS:
            folds = len({cell for cell in table.columns[column] if cell is not None})
            yield (
                f"column {column} ({count(folds, 'fold', 'folds')}) is not used as split: to hold out a fold, add a "
                f"column split with train, val and test; to keep folds whole, use --group {column}"
            )


def flagged_split(said: Mapping[str, bool]) -> Part:
    """The split of a row by columns such as ``is_valid`` and ``is_test``."""
    meant: set[Part] = {_FLAGS[squashed(flag)] for flag, true in said.items() if true}
    if meant:
        return next(part for part in reversed(PARTS) if part in meant)
    return "test" if all(_FLAGS[squashed(flag)] == "train" for flag in said) else "train"


def label_column(table: Table, name: str) -> str:
    """The column with a usual name of the label, or the only column, of a table without paths.

    Raises:
        DataError: there is none, or several could be meant.
    """
    for names in _LABELS:
        named = [column for column in table.columns if squashed(column) in names]
        if named:
            return _only(named, "label", table, name)
    if len(table.columns) != 1:
        raise DataError(f"{name} has no label column with a usual name", _no_label_hint(table))
    return next(iter(table.columns))


def _label_columns(table: Table, found: Columns, name: str) -> Columns:
    """The label by its name, else by what the columns contain, else 0/1 columns."""
    skipped = {found.path, found.group, found.split, *found.flags}
    free = [column for column in table.columns if column not in skipped]
    named = [column for column in free if squashed(column) in _LABELS[0]]
    if named:
        return _named_label(table, found, named, name)
    indicators = _indicators(
        table, [column for column in free if squashed(column) not in _FLAGS | dict.fromkeys(_FOLDS)]
    )
    classes = _class_columns(table, free, indicators)
    if len(indicators) < 2:
        if not classes and len(free) == 1 and _are_classes(table.columns[free[0]]):
            classes = free
        if not classes:
            raise DataError(f"{name} has no label column with a usual name", _no_label_hint(table))
        return _by_content(table, found, classes, free, name)
    if classes and len(indicators) >= _MANY:
        raise DataError(
            f"the label of {name} could be the column {listed(classes)}, or the {len(indicators)} columns of 0 and 1: "
            f"{listed(indicators)}",
            f"choose one, such as --label {classes[0]} (label= in Python), or the 0/1 columns with --labels (labels=)",
        )
    if classes:
        facts = f"columns of 0 and 1 taken for facts: {listed(indicators)}"
        notices = Notices(overrides=(f"--labels {','.join(indicators)}",), notes=(facts,))
        found = replace(found, notices=found.notices + notices)
        return _by_content(table, found, classes, free, name)
    return _with_indicators(found, indicators, name)


def _class_columns(table: Table, free: Sequence[str], indicators: Collection[str]) -> list[str]:
    """The columns that could be the class: those with its less usual names, else those that look like it."""
    if not table.header and len(free) > len(indicators):  # no name tells a class from a fact
        return [column for column in free if _repeats(table.columns[column])]
    named = [column for column in free if squashed(column) in _LABELS[1] and column not in indicators]
    return [column for column in named if _repeats(table.columns[column])] or [
        column for column in free if column not in named and _looks_like_class(table, column)
    ]


def _named_label(table: Table, found: Columns, named: Sequence[str], name: str) -> Columns:
    """The column with a usual name; of two that name the same classes, the one with words."""
    words = [column for column in named if not _are_numbers(table.columns[column])]
    if len(named) > 1 and len(words) == 1 and all(_same_classes(table, words[0], column) for column in named):
        others = [column for column in named if column != words[0]]
        cue = f"{listed(named)} are the same classes: {words[0]} names them"
        notices = Notices((cue,), (f"--label {others[0]}",))
        return replace(found, label=words[0], notices=found.notices + notices)
    return replace(found, label=_only(named, "label", table, name))


def _by_content(table: Table, found: Columns, classes: Sequence[str], free: Sequence[str], name: str) -> Columns:
    label = _only(classes, "label", table, name)
    override = ("--label COLUMN",) if len(free) > 1 and not found.notices.overrides else ()
    notices = Notices((f"column {label} is taken for the class",), override)
    return replace(found, label=label, notices=found.notices + notices)


def _no_label_hint(table: Table) -> str:
    return f"set it with --label COLUMN (label= in Python); {_columns_in_words(table)}"


def _indicators(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    found = tuple(column for column in columns if is_indicator(table.columns[column]))
    if len(found) > 1:
        return found
    signed = [column for column in columns if {str(cell) for cell in table.columns[column]} <= _SIGNS.keys()]
    both = {_SIGNS[str(cell)] for column in signed for cell in table.columns[column]}
    return tuple(signed) if len(signed) > 1 and len(both) == 2 else ()


def is_indicator(cells: Sequence[Any]) -> bool:
    """Whether a column holds only 0 and 1, true and false, or nothing; and not nothing alone."""
    found = {str(cell) for cell in cells} - _MISSING - {"None"}
    return bool(found) and found <= INDICATORS.keys()


def truth(cells: Sequence[Any], column: str, name: str) -> list[bool]:
    """A column of 0 and 1, true and false, or -1 and 1; an empty cell is false.

    Raises:
        DataError: a cell holds something else.
    """
    texts = ["" if cell is None else str(cell) for cell in cells]
    meaning = _SIGNS if set(texts) <= _SIGNS.keys() and not set(texts) <= INDICATORS.keys() else INDICATORS
    odd = next((text for text in texts if text not in meaning and text not in _MISSING), None)
    if odd is not None:
        raise DataError(
            f"the label column {column!r} of {name} holds {odd!r}", "each cell must be 0, 1, true, false or empty"
        )
    return [meaning.get(text, False) for text in texts]


def _with_indicators(found: Columns, columns: Sequence[str], name: str) -> Columns:
    odd = [column for column in columns if SEPARATOR in column or not is_encodable(column)]
    if len(columns) < 2 or odd:
        raise DataError(
            f"{name}: {f'the label {odd[0]!r} holds a {SEPARATOR!r}' if odd else 'one label column is not enough'}",
            "rename the column"
            if odd
            else "give two or more, or one column of classes with --label (label= in Python)",
        )
    return replace(found, indicators=tuple(columns))


def _values(cells: Sequence[Any]) -> list[str]:
    return [str(cell) for cell in cells if cell is not None and str(cell) not in _MISSING]


def _repeats(cells: Sequence[Any]) -> bool:
    """Whether there are two and more values, each on average twice and more."""
    values = _values(cells)
    return 2 <= len(set(values)) <= len(values) / 2


def _are_numbers(cells: Sequence[Any]) -> bool:
    return all(_NUMBER.fullmatch(value) for value in set(_values(cells)))


def _are_classes(cells: Sequence[Any]) -> bool:
    """Whether a column can be one of classes: values that repeat, and no measurements."""
    whole = all(re.fullmatch(r"[-+]?\d+(\.0+)?", value) for value in set(_values(cells)))
    return _repeats(cells) and (whole or not _are_numbers(cells))


def _looks_like_class(table: Table, column: str) -> bool:
    """Whether a column of words can only be the class: neither a fact, nor a group, a date or a path."""
    cells = table.columns[column]
    if squashed(column) in _FACTS | _FOLDS | _SPLITS or squashed(column) in _FLAGS or named_like_a_group(column):
        return False
    if not _repeats(cells) or _are_numbers(cells) or is_indicator(cells):
        return False
    values = set(_values(cells))
    return not any(_DATE.fullmatch(value) or looks_like_path(value) or len(value) > 80 for value in values)


def _same_classes(table: Table, one: str, other: str) -> bool:
    """Whether each value of a column always comes with the same value of another one."""
    pairs = set(zip(map(str, table.columns[one]), map(str, table.columns[other]), strict=True))
    return len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
