"""Patterns that might find the group in the names of files, and whether what they find can be groups."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from keensight.core.records import Dataset

Groups = dict[str, list[int]]

SUBJECTS = (
    "patient", "person", "subject", "participant", "individual", "volunteer", "donor", "animal", "case", "track",
    "video", "clip", "movie", "scene", "session", "sequence", "seq", "series", "burst", "recording", "slide",
    "specimen", "biopsy", "lesion", "plant", "tree", "house", "board", "panel", "wafer",
)  # fmt: skip
"""Words before a number in a name that say whose number it is."""

_NUMBER = r"[^/]*?\d+[A-Za-z]*"
"""Up to a number, with the letters of an ID such as ``22549AB``."""
_REST = r"[-_. ()][^/]*$"
_CHANGED = r"aug|rot|[hv]?[-_]?flip|mirror|crop|(?:new)?\d+deg|nois|blur|bright|zoom|shear|shift|[cC]opy"
_EDIT = rf"(?:[-_. (]+(?:{_CHANGED})[^/]*| ?\(\d+\))"
_EDITED = re.compile(rf"{_EDIT}\.\w+$")
_EXPORTED = r"([^/]+)\.rf\.\w+\.\w+$"
_AUGMENTOR = r"original_([^/]+\.\w+)_[0-9a-f]{8}-[0-9a-f-]+\.\w+$"
_WITHOUT_COUNTER = r"([^/]+?)[-_. ]+\(?\d+\)?\.\w+$"
_GIANTS = 3
_HEX = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{24}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a kind of pattern must find to be believed."""

    covered: float
    """Least fraction of the files in groups of two and more."""
    largest: float
    """Fraction of the files above which a common name is no subject but a source or a class."""
    fewest: int
    """Groups, at least."""
    told: bool
    """Whether the names themselves say what it is, so that the images need not."""


_PLAIN = Limits(covered=0.3, largest=0.05, fewest=10, told=False)
_WORDED = Limits(covered=0.3, largest=0.34, fewest=4, told=True)
_COPIED = Limits(covered=0.05, largest=0.05, fewest=5, told=True)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pattern and the groups of two and more images that it finds."""

    pattern: str
    groups: Groups
    told: bool
    """See :class:`Limits`."""

    @property
    def tied(self) -> int:
        """Images in groups of two and more."""
        return sum(map(len, self.groups.values()))

    @property
    def pairs(self) -> int:
        """Pairs of images in one group."""
        return tied_pairs(self.groups)


def tied_pairs(groups: Mapping[str, Sequence[int]]) -> int:
    """How many pairs of images groups keep together."""
    return sum(len(group) * (len(group) - 1) // 2 for group in groups.values())


def group_name(searched: re.Pattern[str], path: str, start: int = 0) -> str | None:
    """What a pattern finds in a path, from a place on: its first group, else the whole match; None where there is
    neither."""
    match = searched.search(path, start)
    if match is None:
        return None
    return (match[1] if searched.groups else match[0]) or None


def name_candidates(dataset: Dataset) -> list[Candidate]:
    """Patterns whose groups could be subjects, the plainest pattern first; each grouping once."""
    paths = [sample.path for sample in dataset.samples]
    labels = [sample.label for sample in dataset.samples]
    found: dict[frozenset[tuple[int, ...]], Candidate] = {}
    for pattern, limits in _patterns(paths, labels):
        candidate = None if "'" in pattern else _candidate(paths, labels, pattern, limits)
        if candidate is not None:
            found.setdefault(frozenset(map(tuple, candidate.groups.values())), candidate)
    return list(found.values())


def _patterns(paths: Sequence[str], labels: Sequence[str]) -> Iterator[tuple[str, Limits]]:
    yield from ((pattern, _PLAIN) for pattern in _folders(paths, labels))
    yield from ((pattern, _WORDED) for pattern in _worded(paths, labels))
    yield from ((pattern, _COPIED) for pattern in _copied(paths))
    if sum(bool(_HEX.search(path)) for path in paths) > len(paths) / 2:  # digits of random names mean nothing
        return
    for pattern in (*_prefixes(paths), _WITHOUT_COUNTER):
        yield pattern, _PLAIN
        yield f"([^/]+/{pattern[1:]}", _PLAIN  # tells equal names in two folders apart
    yield from ((pattern, _PLAIN) for pattern in _without_class(paths, labels))


def _copied(paths: Sequence[str]) -> Iterator[str]:
    """The original's name in those of altered copies, as tools and file managers write them."""
    yield from (_EXPORTED, _AUGMENTOR)
    if sum(bool(_EDITED.search(path)) for path in paths) >= _COPIED.covered * len(paths) / 2:
        yield rf"([^/]+?){_EDIT}?\.\w+$"
        yield rf"([^/]+/[^/]+?){_EDIT}?\.\w+$"


def _folders(paths: Sequence[str], labels: Sequence[str]) -> Iterator[str]:
    """Each level of folders that is not the class: by its name alone, and with those above."""
    levels = [path.split("/")[:-1] for path in paths]
    for depth in range(max(map(len, levels))):
        names = [folders[depth] if depth < len(folders) else "" for folders in levels]
        is_class = sum(name == label for name, label in zip(names, labels, strict=True)) > len(paths) / 2
        if not is_class:
            above = rf"(?:[^/]+/){{{depth}}}"
            yield f"^{above}([^/]+)/"
            yield f"^({above}[^/]+)/"


def _worded(paths: Sequence[str], labels: Sequence[str]) -> Iterator[str]:
    classes = " ".join(set(labels)).lower()
    words = "|".join(word for word in SUBJECTS if word not in classes)
    found = re.compile(rf"(?<![A-Za-z])({words})[-_ ]?\d", re.IGNORECASE)
    seen = Counter(match[1] for path in paths for match in found.finditer(path))
    yield from (rf"({word}[-_ ]?\d+)" for word, n in seen.items() if n >= _WORDED.covered * len(paths))


def _prefixes(paths: Sequence[str]) -> Iterator[str]:
    """Up to the first, second and third number; and past what begins so many names that it is a source."""
    first = f"({_NUMBER}){_REST}"
    searched, start = re.compile(first), _start_of(first)
    counted = Counter(group_name(searched, path, start(path)) for path in paths)
    giants = [name for name, n in counted.most_common(_GIANTS + 1) if name and n > _PLAIN.largest * len(paths)]
    if 0 < len(giants) <= _GIANTS:
        begun = "|".join(f"{re.escape(name)}[-_. ()]" for name in giants)
        yield f"((?:{begun})?{_NUMBER}){_REST}"
    yield first
    for further in (1, 2):
        yield rf"({_NUMBER}(?:[-_. ()]+{_NUMBER}){{{further}}}){_REST}"


def _without_class(paths: Sequence[str], labels: Sequence[str]) -> Iterator[str]:
    """The number after the class, where names begin with theirs: one subject can have images in several classes."""
    begun = [
        path.rpartition("/")[2].lower().startswith(label.lower()) for path, label in zip(paths, labels, strict=True)
    ]
    if sum(begun) > len(paths) / 2:
        yield rf"(?:^|/)[^/\d]+(\d+[A-Za-z]*){_REST}"


def _candidate(paths: Sequence[str], labels: Sequence[str], pattern: str, limits: Limits) -> Candidate | None:
    """The groups that a pattern finds, if they look like subjects: many, none too large, not the classes again."""
    searched, start = re.compile(pattern), _start_of(pattern)
    members: Groups = defaultdict(list)
    for i, path in enumerate(paths):
        name = group_name(searched, path, start(path))
        if name is not None:
            members[name].append(i)
    several = {name: group for name, group in members.items() if len(group) > 1}
    classes = len(set(labels))
    fewest = max(limits.fewest, classes + 1 if limits.told else 2 * classes)
    if len(several) < fewest:
        return None
    sizes = [len(group) for group in several.values()]
    if sum(sizes) < limits.covered * len(paths) or max(sizes) > max(3, limits.largest * len(paths)):
        return None
    if _restarts(several, labels):
        return None
    return Candidate(pattern, several, limits.told or _beyond_chance(several, len(paths)))


def _start_of(pattern: str) -> Callable[[str], int]:
    """Where in a path a pattern can begin: one that ends with the path and matches no ``/`` within the file's name, one
    that matches one within that and the folder above. To try all places before takes several times as long."""
    if pattern.startswith("^") or "(?:^|/)" in pattern or not pattern.endswith("$"):
        return lambda path: 0
    if "/" in pattern.replace("[^/", ""):
        return lambda path: path.rfind("/", 0, max(0, path.rfind("/"))) + 1
    return lambda path: path.rfind("/") + 1


def _restarts(groups: Mapping[str, Sequence[int]], labels: Sequence[str]) -> bool:
    """Whether numbering begins again in each class, so that equal names mean nothing.

    Then names lie in several classes and their numbers leave no gaps. Between two classes a name with a word in
    it (``patient12``) that occurs several times in one class is taken for one subject all the same: to keep together
    what is apart does no harm.
    """
    spread = sum(len({labels[i] for i in group}) for group in groups.values()) / len(groups)
    numbers = _numbers(groups)
    dense = bool(numbers) and max(numbers) <= 2 * len(numbers)
    worded = any(character.isalpha() for name in groups for character in name)
    repeated = any(len({labels[i] for i in group}) < len(group) for group in groups.values())
    return spread > 1.5 and dense and not (worded and repeated and len(set(labels)) <= 2)


def _numbers(groups: Mapping[str, Sequence[int]]) -> set[int]:
    return {int(runs[-1][-15:]) for name in groups if (runs := re.findall(r"\d+", name))}


def _beyond_chance(groups: Mapping[str, Sequence[int]], n: int) -> bool:
    """Whether numbers repeat far more often than random ones of that length would: then they are IDs."""
    numbers = _numbers(groups)
    return bool(numbers) and tied_pairs(groups) > 100 * n**2 / (2 * max(1, max(numbers)))
