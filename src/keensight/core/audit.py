"""What an audit says of an image set: findings, probes for shortcuts, columns of its metadata."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from keensight.core.interval import Interval
from keensight.core.records import Dataset, Skipped

Severity = Literal["info", "warning", "severe"]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often which value occurs."""

    edges: tuple[float, ...]
    """Ascending, one more than there are counts."""
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an audit found."""

    kind: str
    """Stable name: ``unreadable``, ``duplicate``, ``label-conflict``, ``leak``, ``imbalance``, ..."""
    severity: Severity
    message: str
    """One sentence: what it is, how many, and what to do."""
    count: int
    images: tuple[tuple[str, ...], ...] = ()
    """Paths to look at; images that belong together (copies of one another) share a tuple."""
    scores: tuple[float, ...] = ()
    """One an entry of ``images``, in the same order; empty where there is nothing to grade."""
    threshold: float | None = None
    """The score from which on an image is reported."""
    measure: str = ""
    """What the score is, with its unit or range."""
    histogram: Histogram | None = None
    """The scores of all images looked at, those without a fault included."""
    suggestion: str = ""
    """An option of the command line that would cure it, quoted for a shell: ``--group patient_id``; or empty."""
    rows: tuple[tuple[int, ...], ...] = ()
    """The same images as indices into ``Dataset.samples``: a path may be listed twice. Empty in older audits, and
    where what is shown is no image of the set."""

    @classmethod
    def on(
        cls, dataset: Dataset, groups: Iterable[Sequence[int]], kind: str, severity: Severity, message: str,
        count: int | None = None, **graded: Any,
    ) -> Finding:  # fmt: skip
        """A finding on some samples, by groups of their indices; ``count`` None: as many as there are groups."""
        rows = tuple(tuple(int(i) for i in group) for group in groups)
        images = tuple(tuple(dataset.samples[i].path for i in group) for group in rows)
        return cls(kind, severity, message, len(rows) if count is None else count, images, rows=rows, **graded)

    def groups(self, dataset: Dataset) -> tuple[tuple[int, ...], ...]:
        """Its images as indices into a dataset's samples; of an older audit, or of another dataset, by their paths."""
        if self.rows and _fits(self, dataset):
            return self.rows
        places: dict[str, list[int]] = defaultdict(list)
        for i, sample in enumerate(dataset.samples):
            places[sample.path].append(i)
        return tuple(tuple(i for path in dict.fromkeys(paths) for i in places[path]) for paths in self.images)


def _fits(finding: Finding, dataset: Dataset) -> bool:
    pairs = ((i, path) for rows, paths in zip(finding.rows, finding.images, strict=False)
             for i, path in zip(rows, paths, strict=False))  # fmt: skip
    return all(i < len(dataset) and dataset.samples[i].path == path for i, path in pairs)


@dataclass(frozen=True, slots=True)
class Probe:
    """How well a simple classifier names the class when it is shown one aspect of each image only."""

    name: str
    """What is shown: ``metadata``, ``bytes``, ``corners``, ``border``, ``surround``; to compare with them ``centre``,
    ``middle``, ``thumbnail``, ``picture``."""
    accuracy: Interval
    """Cross-validated."""
    chance: float
    """What always naming the most frequent class would reach."""
    balanced: float
    """Mean recall over the classes, cross-validated; guessing reaches one over their number."""
    n: int
    verdict: Literal["alarm", "quiet", "reference"]
    """``alarm``: it tells more than it should; ``reference``: it is there to compare with."""
    words: str
    """One sentence: what was shown, and what follows."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of metadata, set against the classes."""

    name: str
    kind: Literal["category", "number", "identifier", "constant", "empty"]
    """``identifier``: nearly every value occurs once."""
    missing: int
    """Images without a value."""
    distinct: int
    common: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Class to value to count, the most common values of the whole column first; for a category."""
    quantiles: Mapping[str, tuple[float, float, float, float, float]] = field(default_factory=dict)
    """Class to least value, quartiles and greatest value; for a number."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What is in an image set and what is wrong with it.

    Examples:
        >>> findings = ks.audit("photos/", probes=False)
        >>> findings.counts
        {'day': 60, 'night': 60}
    """

    dataset: str
    n: int
    counts: Mapping[str, int]
    """Images per class, unreadable ones included."""
    parts: Mapping[str, int]
    """Images per split given by the source; empty where none is given."""
    formats: Mapping[str, int]
    modes: Mapping[str, int]
    sizes: Mapping[str, int]
    """``WIDTHxHEIGHT`` and how many, the most frequent first, 20 at most."""
    width_range: tuple[int, int, int]
    """Smallest, median and largest width in pixels."""
    height_range: tuple[int, int, int]
    grey_share: float
    """Share of readable images without colour, 0 to 1."""
    findings: tuple[Finding, ...]
    quarantined: tuple[Skipped, ...]
    """Unreadable images with their reasons; they take no part in training or testing."""
    skipped: tuple[Skipped, ...] = ()
    probes: tuple[Probe, ...] = ()
    """What can tell the class besides its subject; empty where it was not looked for."""
    columns: tuple[Column, ...] = ()
    """The metadata of the source's table."""
    quarantined_rows: tuple[int, ...] = ()
    """The same images as ``quarantined``, as indices into ``Dataset.samples``; empty in older audits."""

    def unusable(self, dataset: Dataset) -> frozenset[int]:
        """Indices of the images that cannot be used; of an older audit, by their paths."""
        if len(self.quarantined_rows) == len(self.quarantined):
            return frozenset(self.quarantined_rows)
        bad = {skipped.path for skipped in self.quarantined}
        return frozenset(i for i, sample in enumerate(dataset.samples) if sample.path in bad)

    def __repr__(self) -> str:
        grades = [finding.severity for finding in self.findings]
        told = ", ".join(f"{grades.count(grade)} {grade}" for grade in ("severe", "warning", "info") if grade in grades)
        unread = f", {len(self.quarantined):,} unreadable" if self.quarantined else ""
        return f"<AuditReport {self.dataset}: {self.n:,} images{unread}; findings: {told or 'none'}>"
