"""What copies mean for an image set: findings, what a split must keep together, and which test images were seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from keensight.core.findings import AuditReport, Finding, Severity
from keensight.core.records import PARTS, Dataset, Part, Sample, Split
from keensight.data.near import MEASURE, Copies, clusters
from keensight.data.recolored import recolored_pairs
from keensight.data.torn import leaks
from keensight.data.views import Pixels

_TIES = ("duplicate", "near-duplicate")
"""Findings whose images show the same picture."""
_FEW = 10
"""Up to so many pictures may be copies of one another, even if they are most of their class."""

_CHANGES = "(resized, compressed, recolored, cropped or mirrored)"
_CONFLICT = (
    "under more than one label, changed a little and in much the same colors: check whether both are the same thing, "
    "and which label is right."
)
_RECOLORED = (
    "under more than one label in clearly different colors: no conflict if the color is what the labels tell apart; "
    "if not, decide which label is right."
)
_DUPLICATE = (
    f"there more than once, changed a little {_CHANGES}: a split made here keeps them together; look at them, and "
    "delete what adds nothing."
)

Groups = list[list[Sample]]


@dataclass(frozen=True, slots=True)
class _Group:
    """Images that hang together by near copies."""

    score: float
    """Of the weakest tie."""
    members: tuple[int, ...]
    samples: list[Sample]


def copy_findings(dataset: Dataset, pixels: Pixels | None, copies: Copies | None) -> list[Finding]:
    """Copies, copies under two labels and copies in two parts: exact ones, then near ones.

    Args:
        dataset: The image set.
        pixels: Its decoded images, which tell the unreadable ones.
        copies: Its copies by decoded pixels; None: files are compared by their digests, and no near copy is found.
    """
    if copies is None:
        return _exact(_by_digest(dataset, pixels))
    exact = clusters(pair for pair in copies.pairs if pair.kind == "exact")
    recolored = frozenset() if pixels is None else recolored_pairs(dataset, pixels, copies)
    return _exact([[dataset.samples[i] for i in group] for group in exact]) + _near(dataset, copies, recolored)


def ties(report: AuditReport, dataset: Dataset) -> tuple[tuple[int, ...], ...]:
    """Images that show the same picture, as indices, by what an audit found."""
    place = {sample.path: i for i, sample in enumerate(dataset.samples)}
    groups = (images for finding in report.findings if finding.kind in _TIES for images in finding.images)
    return tuple(tuple(place[path] for path in group if path in place) for group in groups)


def seen(report: AuditReport, dataset: Dataset, split: Split, part: Part = "test") -> frozenset[int]:
    """Images of one part of which an exact or near copy stands in another, as indices."""
    inside = frozenset(split.part(part).tolist())
    others = frozenset(int(i) for name in PARTS if name != part for i in split.part(name))
    return frozenset(i for tie in ties(report, dataset) if others.intersection(tie) for i in tie if i in inside)


def _by_digest(dataset: Dataset, pixels: Pixels | None) -> Groups:
    same: dict[str, list[Sample]] = defaultdict(list)
    errors = {} if pixels is None else pixels.errors
    for i, sample in enumerate(dataset.samples):
        if sample.digest and sample.error is None and i not in errors:
            same[sample.digest].append(sample)
    return [samples for samples in same.values() if len(samples) > 1]


def _exact(groups: Groups) -> list[Finding]:
    findings = []
    mixed = [group for group in groups if _is_mixed(group)]
    if mixed:
        subject = "1 picture stands" if len(mixed) == 1 else f"{len(mixed)} pictures stand"
        message = f"{subject} under more than one label: decide which is right and delete the other copies."
        findings.append(Finding("label-conflict", "severe", message, len(mixed), _paths(mixed)))
    for leak in leaks(groups):
        torn = [groups[i] for i in leak.places]
        subject = "1 picture is" if len(torn) == 1 else f"{len(torn)} pictures are"
        message = f"{subject} {leak.words}: delete the copies from {leak.surplus}."
        findings.append(Finding("leak", leak.severity, message, len(torn), _paths(torn)))
    if groups:
        surplus = sum(len(group) - 1 for group in groups)
        subject = (
            "1 image is an exact copy of another" if surplus == 1 else f"{surplus} images are exact copies of others"
        )
        message = (
            f"{subject}: a split made here keeps them together, but delete them unless they are meant to count twice."
        )
        findings.append(Finding("duplicate", "warning", message, surplus, _paths(groups)))
    return findings


def _near(dataset: Dataset, copies: Copies, recolored: frozenset[tuple[int, int]]) -> list[Finding]:
    """Findings on groups that hang together by near copies; a group's score is that of its weakest tie."""
    weakest: dict[int, float] = {}
    for pair in copies.pairs:
        if pair.kind != "exact":
            weakest[pair.first] = min(pair.score, weakest.get(pair.first, 1.0))
    groups = [members for members in clusters(copies.pairs) if not weakest.keys().isdisjoint(members)]
    scored = [
        _Group(min(weakest[i] for i in members if i in weakest), members, [dataset.samples[i] for i in members])
        for members in groups
    ]
    scored.sort(key=lambda one: -one.score)
    counts = Counter(name for sample in dataset.samples for name in sample.classes)
    alike = [one for one in scored if _is_alike(one.samples, counts)]
    scored = [one for one in scored if not _is_alike(one.samples, counts)]
    conflicting = _conflicting(dataset, copies, recolored)
    mixed = [one for one in scored if _is_mixed(one.samples)]
    variants = [one for one in mixed if conflicting.isdisjoint(one.members)]
    found = [
        *_near_leaks(scored),
        (
            "near-label-conflict",
            "warning",
            [one for one in mixed if not conflicting.isdisjoint(one.members)],
            _CONFLICT,
        ),
        ("recolored", "info", variants, _RECOLORED),
        ("near-duplicate", "warning", scored, _DUPLICATE),
    ]
    findings = [_alike(alike, copies.threshold)] if alike else []
    return findings + [_told(kind, severity, some, words, copies) for kind, severity, some, words in found if some]


def _near_leaks(scored: Sequence[_Group]) -> Iterator[tuple[str, Severity, list[_Group], str]]:
    for leak in leaks([one.samples for one in scored]):
        apart = ", and read the score without them" if leak.severity == "severe" else ""
        words = f"{leak.words}, changed a little {_CHANGES}: delete the copies from {leak.surplus}{apart}."
        yield "near-leak", leak.severity, [scored[i] for i in leak.places], words


def _conflicting(dataset: Dataset, copies: Copies, recolored: frozenset[tuple[int, int]]) -> frozenset[int]:
    """Images that have a copy of another label in much the same colors."""
    pairs = [(pair.first, pair.second) for pair in copies.pairs]
    mixed = (pair for pair in pairs if len({dataset.samples[i].label for i in pair}) > 1)
    return frozenset(i for pair in mixed if pair not in recolored for i in pair)


def _told(kind: str, severity: Severity, some: Sequence[_Group], words: str, copies: Copies) -> Finding:
    subject = "1 picture is" if len(some) == 1 else f"{len(some)} pictures are"
    paths, scores = _paths([one.samples for one in some]), tuple(round(one.score, 4) for one in some)
    return Finding(kind, severity, f"{subject} {words}", len(some), paths, scores, copies.threshold, MEASURE)


def _is_alike(group: Sequence[Sample], counts: Mapping[str, int]) -> bool:
    """Whether so many pictures of a class hang together that they are of one kind and not of one picture."""
    held = Counter(name for sample in group for name in sample.classes)
    return len(group) > _FEW and any(2 * n > counts[name] for name, n in held.items())


def _alike(groups: Sequence[_Group], threshold: float) -> Finding:
    n = sum(len(group.samples) for group in groups)
    message = (
        f"{n} pictures look so much alike that near copies cannot be told among them: no split keeps these together; "
        "if some show the same thing, name the groups."
    )
    scores = tuple(round(group.score, 4) for group in groups)
    return Finding("alike", "info", message, n, _paths([group.samples for group in groups]), scores, threshold, MEASURE)


def _is_mixed(group: Sequence[Sample]) -> bool:
    return len({sample.label for sample in group}) > 1


def _paths(groups: Sequence[Sequence[Sample]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(sample.path for sample in group) for group in groups)
