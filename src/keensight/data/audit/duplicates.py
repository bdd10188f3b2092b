"""Consequences of duplicates: findings, which images a split must keep together, and which test images were seen in
training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keensight.core.audit import AuditReport, Finding, Severity
from keensight.core.decoded import Pixels
from keensight.core.records import PARTS, Dataset, Part, Sample, Split
from keensight.data.audit.leakage import leaks
from keensight.data.audit.near_duplicates import MEASURE, Copies, clusters
from keensight.data.audit.recolored import recolored_pairs

_TIES = ("duplicate", "near-duplicate")
"""Findings about duplicate images."""
COPY_KINDS = frozenset(
    {"duplicate", "leak", "label-conflict", "near-duplicate", "near-leak", "near-label-conflict", "recolored", "alike"}
)
"""All findings of :func:`copy_findings`."""
_FEW = 10
"""Up to this many images may be duplicates of one another, even if they are most of their class."""

_CHANGES = "(resized, compressed, recolored, cropped, mirrored or rotated)"
_CONFLICT = (
    "under more than one label, slightly changed and in similar colors: check whether both show the same thing, and "
    "which label is right."
)
_RECOLORED = (
    "under more than one label in clearly different colors: no conflict if the labels differ by color; if not, "
    "decide which label is right."
)
KEPT_TOGETHER = "Keensight's split keeps them together"
_DUPLICATE = (
    f"in the set more than once, slightly changed {_CHANGES}: {{}}; check them, and delete those that add nothing."
)

Groups = Sequence[Sequence[int]]
Scored = tuple[float, tuple[int, ...]]
"""Images connected by near-duplicate pairs, as indices, and the score of the weakest pair."""


def copy_findings(dataset: Dataset, pixels: Pixels | None, copies: Copies | None) -> list[Finding]:
    """Find duplicates, label conflicts and leaks between splits: first exact duplicates, then near-duplicates.

    Args:
        dataset: The image set.
        pixels: Its decoded images, to exclude unreadable ones.
        copies: Its duplicates by decoded pixels; None: files are compared by digest, and near-duplicates are not found.
    """
    if copies is None:
        return _exact(dataset, _by_digest(dataset, pixels))
    exact = clusters(pair for pair in copies.pairs if pair.kind == "exact")
    recolored = frozenset() if pixels is None else recolored_pairs(dataset, pixels, copies)
    return _exact(dataset, exact) + _near(dataset, copies, recolored)


def ties(report: AuditReport, dataset: Dataset) -> tuple[tuple[int, ...], ...]:
    """Groups of duplicate images, as indices, from an audit's findings."""
    return tuple(tie for finding in report.findings if finding.kind in _TIES for tie in finding.groups(dataset))


def seen(report: AuditReport, dataset: Dataset, split: Split, part: Part = "test") -> frozenset[int]:
    """Images of one split with an exact or near-duplicate in another split, as indices."""
    inside = frozenset(split.part(part).tolist())
    others = frozenset(int(i) for name in PARTS if name != part for i in split.part(name))
    return frozenset(i for tie in ties(report, dataset) if others.intersection(tie) for i in tie if i in inside)


def _by_digest(dataset: Dataset, pixels: Pixels | None) -> Groups:
    same: dict[str, list[int]] = defaultdict(list)
    errors = {} if pixels is None else pixels.errors
    for i, sample in enumerate(dataset.samples):
        if sample.digest and sample.error is None and i not in errors:
            same[sample.digest].append(i)
    return [rows for rows in same.values() if len(rows) > 1]


def _exact(dataset: Dataset, groups: Groups) -> list[Finding]:
    findings = []
    mixed = [group for group in groups if _is_mixed(_samples(dataset, group))]
    if mixed:
        subject = "1 image appears" if len(mixed) == 1 else f"{len(mixed)} images appear"
        message = f"{subject} under more than one label: decide which is right, and delete the others."
        findings.append(Finding.on(dataset, mixed, "label-conflict", "severe", message))
    for leak in leaks([_samples(dataset, group) for group in groups]):
        torn = [groups[i] for i in leak.places]
        subject = "1 image is" if len(torn) == 1 else f"{len(torn)} images are"
        message = f"{subject} {leak.words}: delete the duplicates from {leak.surplus}."
        findings.append(Finding.on(dataset, torn, "leak", leak.severity, message))
    if groups:
        surplus = sum(len(group) - 1 for group in groups)
        subject = (
            "1 image is an exact duplicate of another"
            if surplus == 1
            else f"{surplus} images are exact duplicates of others"
        )
        message = f"{subject}: {_together(dataset)}, but delete them unless they should count twice."
        findings.append(Finding.on(dataset, groups, "duplicate", "warning", message, surplus))
    return findings


def _together(dataset: Dataset) -> str:
    """What a split does with duplicates; one that comes with the set may tear them, which is another finding."""
    predefined = any(sample.split is not None for sample in dataset.samples)
    return f"{KEPT_TOGETHER}, except across predefined splits" if predefined else KEPT_TOGETHER


def _near(dataset: Dataset, copies: Copies, recolored: frozenset[tuple[int, int]]) -> list[Finding]:
    """Findings about groups connected by near-duplicate pairs; a group's score is that of its weakest pair."""
    weakest: dict[int, float] = {}
    for pair in copies.pairs:
        if pair.kind != "exact":
            weakest[pair.first] = min(pair.score, weakest.get(pair.first, 1.0))
    scored = [
        (min(weakest[i] for i in members if i in weakest), members)
        for members in clusters(copies.pairs) if not weakest.keys().isdisjoint(members)
    ]  # fmt: skip
    scored.sort(key=lambda one: -one[0])
    counts = Counter(name for sample in dataset.samples for name in sample.classes)
    alike = [one for one in scored if _is_alike(_samples(dataset, one[1]), counts)]
    scored = [one for one in scored if one not in alike]
    findings = [_alike(dataset, alike, copies.threshold)] if alike else []
    mixed = [one for one in scored if _is_mixed(_samples(dataset, one[1]))]
    conflicting = _conflicting(dataset, copies, recolored)
    conflicts = [one for one in mixed if not conflicting.isdisjoint(one[1])]
    found = [
        *_near_leaks(dataset, scored),
        ("near-label-conflict", "warning", conflicts, _CONFLICT),
        ("recolored", "info", [one for one in mixed if one not in conflicts], _RECOLORED),
        ("near-duplicate", "warning", scored, _DUPLICATE.format(_together(dataset))),
    ]
    for kind, severity, some, words in found:
        if some:
            subject = "1 image is" if len(some) == 1 else f"{len(some)} images are"
            groups = [group for _, group in some]
            graded = _graded(some, copies.threshold)
            findings.append(Finding.on(dataset, groups, kind, severity, f"{subject} {words}", len(some), **graded))
    return findings


def _near_leaks(dataset: Dataset, scored: Sequence[Scored]) -> Iterator[tuple[str, Severity, list[Scored], str]]:
    for leak in leaks([_samples(dataset, group) for _, group in scored]):
        apart = ", and use the score without them" if leak.severity == "severe" else ""
        words = f"{leak.words}, slightly changed {_CHANGES}: delete the duplicates from {leak.surplus}{apart}."
        yield "near-leak", leak.severity, [scored[i] for i in leak.places], words


def _conflicting(dataset: Dataset, copies: Copies, recolored: frozenset[tuple[int, int]]) -> frozenset[int]:
    """Images with a duplicate under another label in similar colors."""
    pairs = [(pair.first, pair.second) for pair in copies.pairs]
    mixed = (pair for pair in pairs if _is_mixed(_samples(dataset, pair)))
    return frozenset(i for pair in mixed if pair not in recolored for i in pair)


def _is_alike(group: Sequence[Sample], counts: Mapping[str, int]) -> bool:
    """Whether so many images of a class are connected that they are similar images rather than duplicates."""
    held = Counter(name for sample in group for name in sample.classes)
    return len(group) > _FEW and any(2 * n > counts[name] for name, n in held.items())


def _alike(dataset: Dataset, groups: Sequence[Scored], threshold: float) -> Finding:
    n = sum(len(group) for _, group in groups)
    message = (
        f"{n} images look so similar that near-duplicates cannot be identified among them, so no split keeps these "
        f"together; if some show the same thing, set the groups."
    )
    return Finding.on(dataset, [rows for _, rows in groups], "alike", "info", message, n, **_graded(groups, threshold))


def _graded(groups: Sequence[Scored], threshold: float) -> dict[str, Any]:
    """The similarity of each group, as fields of a finding."""
    return {"scores": tuple(round(score, 4) for score, _ in groups), "threshold": threshold, "measure": MEASURE}


def _is_mixed(group: Sequence[Sample]) -> bool:
    return len({sample.label for sample in group}) > 1


def _samples(dataset: Dataset, rows: Sequence[int]) -> list[Sample]:
    return [dataset.samples[i] for i in rows]
