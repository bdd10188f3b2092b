"""The audit as one HTML file: findings with their images, shortcut checks, and contents of the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keensight.core.audit import SEVERITIES, AuditReport, Column, Finding, Histogram, Probe, by_severity
from keensight.core.records import Dataset
from keensight.show.page import Picture, picture, sample_pictures, write_page
from keensight.show.text import probe_name, shorten

_SHOWN = 12
"""Images, or sets of images, that the page shows per finding."""
_TOGETHER = 3
_LISTED = 200
_WITHOUT = frozenset({"unreadable", "skipped", "unlabelled"})
"""Findings without images to show; the page lists the files."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A finding with its images and the bars of its histogram."""

    finding: Finding
    sets: tuple[tuple[tuple[Picture, ...], float | None], ...]
    """Pictures that belong together, with their score."""
    bars: tuple[tuple[float, float, float, bool], ...]
    """Place, width and height of each bar in per cent, and whether it lies beyond the threshold."""
    mark: float | None
    """Where the threshold is, in per cent of the width."""


def write_audit(path: Path, report: AuditReport, dataset: Dataset) -> Path:
    """Write the page and return its path.

    Args:
        path: The HTML file.
        report: What to show.
        dataset: With its images available, to show them.

    Raises:
        StoreError: the folder cannot be written or the disk is full.
    """
    places = {sample.path: i for i, sample in enumerate(dataset.samples)}
    ordered = by_severity(report.findings)
    largest = max(report.counts.values(), default=1) or 1
    context = {
        "audit": report,
        "found": [_shown(finding, dataset, places) for finding in ordered],
        "grades": {grade: sum(f.severity == grade for f in ordered) for grade in SEVERITIES},
        "balance": [(name, n, round(100 * n / largest, 2)) for name, n in report.counts.items()],
        "samples": sample_pictures(dataset),
        "probes": [_probe(probe) for probe in report.probes],
        "columns": [(column, _rows(column)) for column in report.columns],
        "listed": _LISTED,
    }
    return write_page(path, "audit.html", context)


def _shown(finding: Finding, dataset: Dataset, places: Mapping[str, int]) -> _Shown:
    sets = []
    for number, together in enumerate(finding.images[:_SHOWN]):
        known = [places[path] for path in together[:_TOGETHER] if path in places and finding.kind not in _WITHOUT]
        drawn = tuple(picture(dataset, i, dataset.samples[i].label, dataset.samples[i].path) for i in known)
        if drawn:
            sets.append((drawn, finding.scores[number] if finding.scores else None))
    return _Shown(finding, tuple(sets), *_bars(finding.histogram, finding.threshold, finding.scores))


def _bars(
    histogram: Histogram | None, threshold: float | None, scores: tuple[float, ...]
) -> tuple[tuple[tuple[float, float, float, bool], ...], float | None]:
    """Bars on a square-root scale, so that the few beyond the threshold are visible."""
    if histogram is None or threshold is None:
        return (), None
    low, high = min(histogram.edges[0], threshold), max(histogram.edges[-1], threshold)
    width, most = (high - low) or 1.0, max(histogram.counts) or 1
    below = bool(scores) and scores[0] < threshold
    bars = tuple(
        (100 * (left - low) / width, 100 * (right - left) / width, 100 * (count / most) ** 0.5,
         right <= threshold if below else left >= threshold)
        for left, right, count in zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False) if count
    )  # fmt: skip
    return bars, 100 * (threshold - low) / width


def _probe(probe: Probe) -> dict[str, Any]:
    return {"probe": probe, "shown": probe_name(probe.name)}


def _rows(column: Column) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Headings, and a row of cells per class."""
    if column.kind == "number":
        lines = [(label, [f"{value:.4g}" for value in values]) for label, values in column.quantiles.items()]
        return ["minimum", "lower quartile", "median", "upper quartile", "maximum"], lines
    headings = list(next(iter(column.common.values()), {}))
    lines = [(label, [f"{counts[value]:,}" for value in headings]) for label, counts in column.common.items()]
    return [shorten(heading, 24) for heading in headings], lines
