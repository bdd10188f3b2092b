"""Columns of metadata that look like a group ID: by their name, and by values that several images have."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from keensight.core.records import Dataset
from keensight.data.sources.name_patterns import SUBJECTS, tied_pairs

_STRONG = frozenset(SUBJECTS) | {
    "pt", "subj", "pid", "sid", "mrn", "mouse", "rat", "cow", "calf", "pig", "horse", "fish", "bird", "identity",
    "study", "encounter", "accession", "exam", "eye", "tissue", "block", "tile", "core", "frame", "film", "shot",
    "take", "trajectory", "tracklet", "building", "household", "home", "room", "property", "vehicle", "car", "product",
    "sku", "article", "part", "piece", "unit", "serial", "leaf", "fruit", "seedling", "pot", "plot", "parent", "group",
    "grp", "cluster", "family", "litter", "pair", "colony", "nest", "site", "location", "camera", "trap", "author",
    "owner", "user", "photographer", "observer", "operator", "uploader",
}  # fmt: skip
"""What the last word of a column's name, before ``id``, can be."""
_SOURCES = frozenset({"site", "location", "camera", "trap", "author", "owner", "user", "photographer", "observer",
                      "operator", "uploader", "frame", "room", "unit"})  # fmt: skip
"""Of these there can be few, each with many images: believed from more values on, and shown after the others."""
_ID = frozenset({"id", "ids", "no", "nr", "num", "number", "code", "key", "name", "uid", "uuid", "index", "idx", "ref",
                 "hash", "token"})  # fmt: skip
_ORIGIN = frozenset({"source", "original", "orig", "parent", "base", "raw"})
_PICTURE = frozenset({"image", "img", "file", "filename", "photo", "picture", "scan", "path"})
_COUNTS = frozenset({"n", "num", "number", "count", "has", "is", "total"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")

_FEWEST, _FEWEST_SOURCES = 5, 10
_LARGEST = 0.5
_COVERED = 0.02


@dataclass(frozen=True, slots=True)
class GroupColumn:
    """A column that may hold the group of each image."""

    name: str
    groups: dict[str, list[int]]
    """Value to indices, of values that two and more images have."""
    source: bool
    """Whether the name says rather where or by whom an image was taken."""

    @property
    def tied(self) -> int:
        """Images whose value another image also has."""
        return sum(map(len, self.groups.values()))

    @property
    def pairs(self) -> int:
        """Pairs of images with the same value."""
        return tied_pairs(self.groups)


def group_columns(dataset: Dataset) -> list[GroupColumn]:
    """The columns that look like a group ID, in the order of the table."""
    names = dict.fromkeys(str(name) for sample in dataset.samples for name in sample.metadata)
    found = (_column(dataset, name) for name in names if named_like_a_group(name) is not None)
    return [column for column in found if column is not None]


def named_like_a_group(name: str) -> str | None:
    """The word that says so (``patient`` of ``PatientID``), or None."""
    words = [word[0].lower() for word in _WORD.finditer(name)]
    if not words or words[0] in _COUNTS:
        return None
    while len(words) > 1 and words[-1] in _ID:
        words.pop()
    last = words[-1]
    if last in _PICTURE and len(words) > 1 and words[-2] in _ORIGIN:
        return words[-2]
    forms: tuple[str, ...] = (last, last.removesuffix("id"), last.removesuffix("s"))
    return next((word for word in forms if word in _STRONG), None)


def _column(dataset: Dataset, name: str) -> GroupColumn | None:
    members: dict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(dataset.samples):
        value = sample.metadata.get(name)
        if value is not None:
            members[str(value)].append(i)
    column = GroupColumn(
        name,
        {value: group for value, group in members.items() if len(group) > 1},
        named_like_a_group(name) in _SOURCES,
    )
    fewest = _FEWEST_SOURCES if column.source else _FEWEST
    if len(members) < fewest or column.tied < max(2, _COVERED * len(dataset)):
        return None
    if max(map(len, column.groups.values())) > _LARGEST * len(dataset) or _is_the_class(dataset, members.values()):
        return None
    return column


def _is_the_class(dataset: Dataset, groups: Collection[Sequence[int]]) -> bool:
    """Whether each value has one class, and each class one value, but for a few."""
    held = [{dataset.samples[i].label for i in group} for group in groups]
    return len(held) <= 1.2 * len(dataset.labels) and sum(len(labels) == 1 for labels in held) >= 0.9 * len(held)
