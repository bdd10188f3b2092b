"""Groups by file name: a pattern given by the user, or one that the names suggest."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from keensight.core.findings import Finding
from keensight.core.records import Dataset
from keensight.data.cache import Pixels
from keensight.errors import DataError, UsageError

_NUMBERED = r"([^/]+?)[-_. ]+\(?\d+\)?\.\w+$"
_FIRST_NUMBER = r"([^/]*?\d+)[-_][^/]*$"
PATTERNS = (_FIRST_NUMBER, _NUMBERED)
"""What a name is tried for: up to its first number (``person1`` of ``person1_bacteria_12.jpeg``), or without its
last one (``img_0001`` of ``img_0001-2.png``)."""

_COVERED = 0.3
"""Share of the files that must stand in groups of two and more."""
_LARGEST = 0.05
"""Share of the files above which a common name is no subject but a source or a class."""
_FEWEST = 10


def grouped(data: Dataset, pattern: str) -> Dataset:
    """The dataset with groups that a pattern finds in the files' relative paths.

    Args:
        data: The image set; groups that it has are replaced.
        pattern: A regular expression, searched in each path. Its first group names the image's group, or
            the whole match where it has none. A file that it does not match has no group.

    Raises:
        UsageError: it is no regular expression.
        DataError: it matches no file, or finds a group of its own for each, or one for all.
    """
    try:
        searched = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"the group pattern {pattern!r} is no regular expression: {error}",
            r"write it like --group-regex '(patient\d+)_'",
        ) from error
    names = [_name(searched, sample.path) for sample in data.samples]
    found = {name for name in names if name is not None}
    example = f"the first path is {data.samples[0].path}"
    if not found:
        raise DataError(f"the group pattern {pattern!r} matches no path of {data.name}", f"{example}; try another")
    if len(found) == len(names):
        raise DataError(
            f"the group pattern {pattern!r} gives each image of {data.name} a group of its own",
            f"{example}, group {names[0]}; leave out what differs within a group",
        )
    if len(found) == 1 and None not in names:
        raise DataError(
            f"the group pattern {pattern!r} puts all images of {data.name} into one group, {names[0]}",
            f"{example}; match more of it",
        )
    samples = tuple(replace(sample, group=name) for sample, name in zip(data.samples, names, strict=True))
    return replace(data, samples=samples)


def _name(searched: re.Pattern[str], path: str) -> str | None:
    match = searched.search(path)
    if match is None:
        return None
    return (match[1] if searched.groups else match[0]) or None


def suggested_groups(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """File names that share a beginning in twos and more, as frames of one subject do."""
    if any(sample.group is not None for sample in dataset.samples):
        return []
    paths = [sample.path for sample in dataset.samples]
    labels = [sample.label for sample in dataset.samples]
    for pattern in PATTERNS:
        for candidate in (pattern, f"([^/]+/{pattern[1:]}"):  # the second tells equal names in two folders apart
            groups = _plausible(paths, labels, candidate)
            if groups:
                return [_finding(groups, candidate, paths)]
    return []


def _plausible(paths: Sequence[str], labels: Sequence[str], pattern: str) -> dict[str, list[int]] | None:
    """The groups that a pattern makes, if they look like subjects: many, none too large, not the classes anew."""
    searched = re.compile(pattern)
    members: dict[str, list[int]] = defaultdict(list)
    for i, path in enumerate(paths):
        name = _name(searched, path)
        if name is not None:
            members[name].append(i)
    several = {name: group for name, group in members.items() if len(group) > 1}
    if len(several) < max(_FEWEST, 2 * len(set(labels))):
        return None
    sizes = [len(group) for group in several.values()]
    if sum(sizes) < _COVERED * len(paths) or max(sizes) > max(3, _LARGEST * len(paths)):
        return None
    return None if _restarts(several, labels) else several


def _restarts(groups: Mapping[str, Sequence[int]], labels: Sequence[str]) -> bool:
    """Whether numbering begins anew in each class, so that equal names mean nothing.

    Then names lie in several classes and their numbers leave no gaps. Between two classes a name with a word in
    it (``patient12``) is taken for one subject all the same: to keep together what is apart does no harm.
    """
    spread = sum(len({labels[i] for i in group}) for group in groups.values()) / len(groups)
    numbers = {int(runs[-1][-15:]) for name in groups if (runs := re.findall(r"\d+", name))}
    dense = bool(numbers) and max(numbers) <= 2 * len(numbers)
    worded = any(character.isalpha() for name in groups for character in name)
    return spread > 1.5 and dense and (not worded or len(set(labels)) > 2)


def _finding(groups: dict[str, list[int]], pattern: str, paths: Sequence[str]) -> Finding:
    inside = sum(map(len, groups.values()))
    first = min(groups, key=lambda name: groups[name][0])
    message = (
        f"The names of {inside} of {len(paths)} files suggest {len(groups)} groups of several images, such as {first}, "
        "that a random split would tear: if images of a group show the same thing, give "
        f"--group-regex '{pattern}' or a group column."
    )
    shown = tuple(tuple(paths[i] for i in group[:4]) for group in list(groups.values())[:12])
    return Finding("suggested-groups", "warning", message, len(groups), shown)
