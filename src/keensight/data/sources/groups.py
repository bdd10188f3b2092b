"""Groups of images: by a pattern that the user gives, or suggested by file names and columns of metadata."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from keensight.core.audit import Finding
from keensight.core.decoded import Pixels
from keensight.core.records import Dataset
from keensight.data.audit.likeness import Likeness, likeness
from keensight.data.sources.group_columns import GroupColumn, group_columns
from keensight.data.sources.name_patterns import Candidate, group_name, name_candidates
from keensight.errors import DataError, UsageError

_KEPT = 0.95
"""Fraction of the groups found in names that a column must keep together for it alone to be mentioned."""
_SHOWN = (12, 4)
"""How many groups a finding shows, and images of each."""


def grouped(dataset: Dataset, pattern: str) -> Dataset:
    """The dataset with groups that a pattern finds in the files' relative paths.

    Args:
        dataset: The image set; groups that it has are replaced.
        pattern: A regular expression, searched in each path. Its first group names the image's group, or
            the whole match where it has none. A file that it does not match has no group.

    Raises:
        UsageError: it is no regular expression.
        DataError: it matches no file, or finds its own group for each, or one for all.
    """
    try:
        searched = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"the group pattern {pattern!r} is not a valid regular expression: {error}",
            r"write it like --group-regex '(patient\d+)_'",
        ) from error
    names = [group_name(searched, sample.path) for sample in dataset.samples]
    found = {name for name in names if name is not None}
    example = f"the first path is {dataset.samples[0].path}"
    if not found:
        raise DataError(f"the group pattern {pattern!r} matches no path of {dataset.name}", f"{example}; try another")
    if len(found) == len(names):
        raise DataError(
            f"the group pattern {pattern!r} gives each image of {dataset.name} its own group",
            f"{example}, group {names[0]}; exclude what differs within a group",
        )
    if len(found) == 1 and None not in names:
        raise DataError(
            f"the group pattern {pattern!r} puts all images of {dataset.name} into one group, {names[0]}",
            f"{example}; match more of it",
        )
    samples = tuple(replace(sample, group=name) for sample, name in zip(dataset.samples, names, strict=True))
    return replace(dataset, samples=samples)


def suggested_groups(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Suggest a column or file names that look like a group ID, if no group is set.

    Of several patterns the one is suggested that ties most images, among those whose images look alike within groups
    or whose names leave no doubt: a coarser grouping is the safer one, as it keeps the finer one's groups whole. The
    names are not mentioned where a column ties the same images.
    """
    if any(sample.group is not None for sample in dataset.samples):
        return []
    columns, candidates = group_columns(dataset), name_candidates(dataset)
    groupings = [column.groups for column in columns] + [candidate.groups for candidate in candidates]
    found: Sequence[Likeness | None] = [None] * len(groupings)
    if pixels is not None and groupings:
        found = likeness(dataset, pixels, groupings)
    by_column, by_name = found[: len(columns)], found[len(columns) :]
    ranked = [column for column, _ in sorted(zip(columns, by_column, strict=True), key=_column_rank)]
    believed = [
        candidate
        for candidate, alike in zip(candidates, by_name, strict=True)
        if candidate.told or alike is None or alike.clear
    ]
    best = max(believed, key=lambda candidate: (candidate.tied, candidate.pairs), default=None)
    findings = [_column_finding(dataset, ranked)] if ranked else []
    if best is not None and not any(_ties(column.groups, best.groups) for column in ranked):
        findings.append(_name_finding(dataset, best))
    return findings


def _column_rank(rated: tuple[GroupColumn, Likeness | None]) -> tuple[bool, bool, int]:
    column, alike = rated
    return (column.source, alike is None or not alike.clear, -column.pairs)


def _ties(whole: Mapping[str, Sequence[int]], groups: Mapping[str, Sequence[int]]) -> bool:
    """Whether a grouping keeps nearly all groups of another one together."""
    held = {i: name for name, group in whole.items() for i in group}
    kept = sum(len({held.get(i, i) for i in group}) == 1 for group in groups.values())
    return kept >= _KEPT * len(groups)


def _finding(
    dataset: Dataset, groups: Mapping[str, Sequence[int]], kind: str, message: str, suggestion: str
) -> Finding:
    shown = [group[: _SHOWN[1]] for group in list(groups.values())[: _SHOWN[0]]]
    return Finding.on(dataset, shown, kind, "warning", message, len(groups), suggestion=suggestion)


def _name_finding(dataset: Dataset, best: Candidate) -> Finding:
    option = f"--group-regex '{best.pattern}'"
    first = min(best.groups, key=lambda name: best.groups[name][0])
    message = (
        f"File names suggest that {best.tied:,} of {len(dataset):,} images come in {len(best.groups):,} groups, such "
        f"as {first} (e.g. several images of one patient). If so, re-run with {option} so that one group is never "
        "in both training and test set."
    )
    return _finding(dataset, best.groups, "suggested-groups", message, option)


def _column_finding(dataset: Dataset, ranked: Sequence[GroupColumn]) -> Finding:
    best, others = ranked[0], ranked[1:]
    option = f"--group {shlex.quote(best.name)}"
    message = (
        f"The column {best.name} looks like a group ID: {best.tied:,} of {len(dataset):,} images come in "
        f"{len(best.groups):,} groups (e.g. several images of one patient). If so, re-run with {option} so that one "
        "group is never in both training and test set."
    )
    if others:
        message += f" Other columns that could be the group: {', '.join(column.name for column in others)}."
    return _finding(dataset, best.groups, "possible-group-column", message, option)
