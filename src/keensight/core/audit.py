"""What an audit reports about an image set: findings, shortcut probes, metadata columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from keensight.core.interval import Interval
from keensight.core.records import Dataset, Skipped

Severity = Literal["info", "warning", "severe"]
SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "info")
"""The most severe first."""
LISTED = 10_000
"""Images, or sets of images, that a finding lists at most. Duplicates are all listed: a split keeps them together."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram: how often each value occurs."""

    edges: tuple[float, ...]
    """Bin edges, ascending; one more than there are counts."""
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of an audit."""

    kind: str
    """Stable name: ``unreadable``, ``duplicate``, ``label-conflict``, ``leak``, ``imbalance``, ..."""
    severity: Severity
    message: str
    """One sentence: what was found, in how many images, and what to do."""
    count: int
    images: tuple[tuple[str, ...], ...] = ()
    """Paths of the images concerned; images that belong together (duplicates of one another) are in one tuple. Of more
    than 10,000 the first, unless they are duplicates."""
    scores: tuple[float, ...] = ()
    """One score per entry of ``images``, in the same order; empty if the finding has no score."""
    threshold: float | None = None
    """Images with at least this score are reported."""
    measure: str = ""
    """What the score measures, with its unit or range."""
    histogram: Histogram | None = None
    """The scores of all images checked, including those without a problem."""
    suggestion: str = ""
    """A command-line option that would fix it, quoted for a shell (``--group patient_id``), or empty."""
    rows: tuple[tuple[int, ...], ...] = ()
    """The same images as indices into ``Dataset.samples``, because a path may be listed twice. Empty in older audits,
    and for files that are not images of the set."""

    @classmethod
    def on(
        cls, dataset: Dataset, groups: Iterable[Sequence[int]], kind: str, severity: Severity, message: str,
        count: int | None = None, **graded: Any,
    ) -> Finding:  # fmt: skip
        """A finding about some samples, given as groups of their indices; ``count`` defaults to the number of
        groups."""
        rows = tuple(tuple(int(i) for i in group) for group in groups)
        images = tuple(tuple(dataset.samples[i].path for i in group) for group in rows)
        return cls(kind, severity, message, len(rows) if count is None else count, images, rows=rows, **graded)

    def shortened(self) -> Finding:
        """The same with the first 10,000 of its images."""
        if len(self.images) <= LISTED:
            return self
        listed = (self.images[:LISTED], self.scores[:LISTED], self.rows[:LISTED])
        return replace(self, images=listed[0], scores=listed[1], rows=listed[2])

    @property
    def total(self) -> int:
        """The length of ``images``, had it not been shortened."""
        return self.count if len(self.images) == LISTED else len(self.images)

    def groups(self, dataset: Dataset) -> tuple[tuple[int, ...], ...]:
        """Its images as indices into a dataset's samples; looked up by path for an older audit or another dataset."""
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
    """How well a simple classifier predicts the class from a single aspect of each image."""

    name: str
    """What the classifier gets: ``metadata``, ``bytes``, ``corners``, ``border``, ``surround``; for comparison,
    ``centre``, ``middle``, ``thumbnail``, ``picture``."""
    accuracy: Interval
    """Cross-validated."""
    chance: float
    """Accuracy of always predicting the most common class."""
    balanced: float
    """Balanced accuracy (mean recall over the classes), cross-validated; chance is one over the number of classes."""
    n: int
    verdict: Literal["alarm", "quiet", "reference"]
    """``alarm``: suspiciously predictive; ``reference``: for comparison only."""
    words: str
    """One sentence: what the classifier got, and what follows from its accuracy."""


@dataclass(frozen=True, slots=True)
class Column:
    """One metadata column, compared with the classes."""

    name: str
    kind: Literal["category", "number", "identifier", "constant", "empty"]
    """``identifier``: nearly every value occurs only once."""
    missing: int
    """Images without a value."""
    distinct: int
    common: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """For a category: class to value to count, the most common values of the whole column first."""
    quantiles: Mapping[str, tuple[float, float, float, float, float]] = field(default_factory=dict)
    """For a number: class to minimum, quartiles and maximum."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an image set contains, and which problems it has.

    Examples:
        >>> findings = ks.audit("photos/", probes=False)
        >>> findings.counts
        {'day': 60, 'night': 60}
    """

    dataset: str
    n: int
    counts: Mapping[str, int]
    """Images per class, including unreadable ones."""
    parts: Mapping[str, int]
    """Images per predefined split; empty if there are none."""
    formats: Mapping[str, int]
    modes: Mapping[str, int]
    sizes: Mapping[str, int]
    """``WIDTHxHEIGHT`` and the number of images, the most frequent first, at most 20."""
    width_range: tuple[int, int, int]
    """Smallest, median and largest width in pixels."""
    height_range: tuple[int, int, int]
    grey_share: float
    """Fraction of readable images without color, 0 to 1."""
    findings: tuple[Finding, ...]
    quarantined: tuple[Skipped, ...]
    """Unreadable images with reasons; they are excluded from training and testing."""
    skipped: tuple[Skipped, ...] = ()
    probes: tuple[Probe, ...] = ()
    """What besides the subject predicts the class; empty if this was not checked."""
    columns: tuple[Column, ...] = ()
    """The metadata columns of the source's table."""
    quarantined_rows: tuple[int, ...] = ()
    """The same images as ``quarantined``, as indices into ``Dataset.samples``; empty in older audits."""

    def unusable(self, dataset: Dataset) -> frozenset[int]:
        """Indices of the images that cannot be used; looked up by path for an older audit."""
        if len(self.quarantined_rows) == len(self.quarantined):
            return frozenset(self.quarantined_rows)
        bad = {skipped.path for skipped in self.quarantined}
        return frozenset(i for i, sample in enumerate(dataset.samples) if sample.path in bad)

    def __repr__(self) -> str:
        grades = [finding.severity for finding in self.findings]
        told = ", ".join(f"{grades.count(grade)} {grade}" for grade in SEVERITIES if grade in grades)
        unread = f", {len(self.quarantined):,} unreadable" if self.quarantined else ""
        return f"<AuditReport {self.dataset}: {self.n:,} images{unread}; findings: {told or 'none'}>"


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Findings, the most severe first; of equals, in the order given."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
