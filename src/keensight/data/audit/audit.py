"""What is in an image set, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.audit import AuditReport, Column, Finding, by_severity
from keensight.core.decoded import Pixels
from keensight.core.progress import Progress, Silent
from keensight.core.records import PARTS, Dataset, Sample, Skipped
from keensight.data.audit.cached import cached_duplicates, remembered_looks
from keensight.data.audit.checks import CHECKS, each, odd_aspect, odd_size, quarantine
from keensight.data.audit.duplicates import COPY_KINDS, copy_findings
from keensight.data.audit.label_checks import LABEL_CHECKS
from keensight.data.audit.near_duplicates import Copies
from keensight.data.audit.quality import COLOR, DARK, LIGHT, quality
from keensight.data.background import background
from keensight.data.intensity import intensity
from keensight.data.sources.groups import suggested_groups
from keensight.data.sources.patients import patients

if TYPE_CHECKING:
    import pandas as pd


_CHECKS = (*CHECKS, *LABEL_CHECKS, suggested_groups, patients, odd_size, odd_aspect, intensity, background)
_PURPOSE, _LONG = "checking names, headers and labels", 50_000
"""From this many images on, that takes seconds."""
_GRAY_MODES = frozenset({"L", "LA", "La", "1", "I", "F"})
_GRAY_TOLERANCE = 8
"""Largest difference between the channels of a pixel that still counts as gray: JPEG rounds each on its own."""
_FEW = 0.05
"""Up to this fraction of a set, images with or without color count as exceptions."""


def audit(dataset: Dataset, pixels: Pixels | None = None, *, progress: Progress | None = None) -> AuditReport:
    """Describe an image set and list its faults, the severest first.

    Args:
        dataset: The image set.
        pixels: Its decoded images: files that only fail in their body are found by these, near-duplicates, and
            what is wrong with an image's looks. Looked at are their survey pixels, so that the findings do not depend
            on a model's input size. Default: the headers alone are judged.
        progress: Where to report.
    """
    pixels = None if pixels is None else pixels.survey
    bad = quarantine(dataset, pixels)
    infos = [sample.info for i, sample in enumerate(dataset.samples) if i not in bad and sample.info is not None]
    counted = Counter(name for sample in dataset.samples for name in sample.classes)
    parts = Counter(sample.split for sample in dataset.samples if sample.split is not None)
    copies = None if pixels is None else cached_duplicates(dataset, pixels, progress)
    findings = copy_findings(dataset, pixels, copies)
    with ((progress if len(dataset) >= _LONG else None) or Silent()).task(_PURPOSE, len(_CHECKS), "checks") as task:
        for check in _CHECKS:
            findings += check(dataset, pixels)
            task.advance()
    colors = np.full(len(dataset), np.nan, np.float32)
    rows = np.array([i for i in range(len(dataset)) if i not in bad], dtype=np.int64)
    if pixels is not None and len(rows):
        scores = remembered_looks(dataset, pixels, rows, progress)
        colors[rows] = scores[:, COLOR]
        lit = rows[scores[:, LIGHT] >= DARK]
        findings += [*quality(dataset, rows, scores), *_color_exceptions(dataset, lit, colors)]
    return AuditReport(
        dataset=dataset.name,
        n=len(dataset),
        counts={name: counted[name] for name in dataset.labels.names},
        parts={part: parts[part] for part in PARTS if parts[part]},
        formats=_most_common(info.format for info in infos),
        modes=_most_common(info.mode for info in infos),
        sizes=_most_common((f"{info.width}x{info.height}" for info in infos), 20),
        width_range=_range([info.width for info in infos]),
        height_range=_range([info.height for info in infos]),
        grey_share=_gray_fraction(dataset, bad, colors),
        findings=tuple(by_severity(one if one.kind in COPY_KINDS else one.shortened() for one in findings)),
        quarantined=tuple(Skipped(dataset.samples[i].path, reason) for i, reason in sorted(bad.items())),
        skipped=dataset.skipped,
        quarantined_rows=tuple(sorted(bad)),
    )


def with_copies(report: AuditReport, dataset: Dataset, pixels: Pixels, copies: Copies) -> AuditReport:
    """An audit with more duplicates, found later.

    Args:
        report: The audit of the image set.
        dataset: The image set.
        pixels: The pixels that were audited.
        copies: More pairs of duplicates.
    """
    known = cached_duplicates(dataset, pixels)
    told = {(pair.first, pair.second) for pair in known.pairs}
    more = (pair for pair in copies.pairs if (pair.first, pair.second) not in told)
    found = copy_findings(dataset, pixels, replace(known, pairs=(*known.pairs, *more)))
    others = (finding for finding in report.findings if finding.kind not in COPY_KINDS)
    return replace(report, findings=tuple(by_severity((*found, *others))))


def _most_common(values: Iterable[str], limit: int | None = None) -> dict[str, int]:
    return dict(Counter(values).most_common(limit))


def _range(values: Sequence[int]) -> tuple[int, int, int]:
    return (min(values), int(np.median(values)), max(values)) if values else (0, 0, 0)


def _gray_fraction(dataset: Dataset, bad: Mapping[int, str], colors: NDArray[np.float32]) -> float:
    """Fraction of readable images without color: by their mode, or because no pixel shows any."""
    usable = [i for i, sample in enumerate(dataset.samples) if i not in bad and sample.info is not None]
    return sum(_is_gray(dataset.samples[i], colors[i]) for i in usable) / max(1, len(usable))


def _is_gray(sample: Sample, color: float) -> bool:
    """``color`` is not a number where the pixels are not known."""
    mode = sample.info.mode if sample.info is not None else ""
    return mode in _GRAY_MODES or mode.startswith("I;16") or bool(color <= _GRAY_TOLERANCE)


def _color_exceptions(dataset: Dataset, rows: NDArray[np.int64], colors: NDArray[np.float32]) -> list[Finding]:
    """The few gray images of a colored set, or the few colored ones of a gray set."""
    gray = np.array([_is_gray(dataset.samples[i], colors[i]) for i in rows.tolist()], bool)
    few, many = ("without", "with") if 2 * gray.sum() < len(rows) else ("with", "without")
    odd = rows[gray] if few == "without" else rows[~gray]
    if not 0 < len(odd) <= _FEW * len(rows):
        return []
    subject = f"1 image is {few} color" if len(odd) == 1 else f"{len(odd)} images are {few} color"
    message = f"{subject} in a set {many} it: check whether they come from another source."
    return [Finding.on(dataset, each(odd.tolist()), "odd-colour", "info", message)]


_COMMON = 8
_UNIQUE = 0.9
"""Fraction of the values that must be distinct in a column of identifiers."""
_NUMERIC = 12
"""From this many distinct numbers on a column is described by quantiles and not by its values."""


def describe(dataset: Dataset) -> tuple[Column, ...]:
    """Every column of metadata, in the order of the table."""
    if not any(sample.metadata for sample in dataset.samples):
        return ()
    import pandas as pd

    frame = pd.DataFrame([dict(sample.metadata) for sample in dataset.samples])
    members: dict[str, list[int]] = {name: [] for name in dataset.labels.names}
    for i, sample in enumerate(dataset.samples):
        for name in set(sample.classes):
            members[name].append(i)
    return tuple(_describe(str(name), frame[name], members) for name in frame.columns)


def _describe(name: str, values: pd.Series[Any], members: Mapping[str, list[int]]) -> Column:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    present = values.dropna()
    distinct, missing = int(present.nunique()), int(values.isna().sum())
    if distinct < 2:
        return Column(name, "constant" if distinct else "empty", missing, distinct)
    if is_numeric_dtype(present) and not is_bool_dtype(present) and distinct >= _NUMERIC:
        by_class = {label: values.iloc[rows].dropna() for label, rows in members.items()}
        return Column(name, "number", missing, distinct, quantiles=_quantiles(by_class))
    if distinct > _UNIQUE * len(present):
        return Column(name, "identifier", missing, distinct)
    texts = present.map(str)
    top = [str(value) for value in texts.value_counts().index[:_COMMON]]
    counts = {label: Counter(values.iloc[rows].dropna().map(str)) for label, rows in members.items()}
    return Column(name, "category", missing, distinct, {k: {v: n[v] for v in top} for k, n in counts.items()})


def _quantiles(by_class: Mapping[str, pd.Series[Any]]) -> dict[str, tuple[float, float, float, float, float]]:
    found = {}
    for label, values in by_class.items():
        if len(values):
            low, first, middle, third, high = (float(q) for q in values.quantile([0, 0.25, 0.5, 0.75, 1]))
            found[label] = (low, first, middle, third, high)
    return found
