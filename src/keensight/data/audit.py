"""What is in an image set, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from keensight.core.records import PARTS, AuditReport, Dataset, ImageInfo, Skipped
from keensight.data.cache import Pixels
from keensight.data.checks import CHECKS, quarantine

_SEVERITIES = ("severe", "warning", "info")
_GREY_MODES = frozenset({"L", "LA", "La", "1", "I", "F"})
_GREY_SAMPLE = 256
_BATCH = 32
_GREY_TOLERANCE = 8
"""Largest difference between the channels of a pixel that still counts as grey: JPEG rounds each on its own."""


def audit(dataset: Dataset, pixels: Pixels | None = None) -> AuditReport:
    """Describe an image set and list its faults, the severest first.

    Args:
        dataset: The image set.
        pixels: Its decoded images: files that only fail in their body are found by these, and grey pictures
            stored as colour. Left out: the headers alone are judged.
    """
    bad = quarantine(dataset, pixels)
    infos = [sample.info for i, sample in enumerate(dataset.samples) if i not in bad and sample.info is not None]
    counted = Counter(sample.label for sample in dataset.samples)
    parts = Counter(sample.split for sample in dataset.samples if sample.split is not None)
    findings = [finding for check in CHECKS for finding in check(dataset, pixels)]
    findings.sort(key=lambda finding: _SEVERITIES.index(finding.severity))
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
        grey_share=_grey_share(dataset, pixels, bad),
        findings=tuple(findings),
        quarantined=tuple(Skipped(dataset.samples[i].path, reason) for i, reason in sorted(bad.items())),
        skipped=dataset.skipped,
    )


def _most_common(values: Iterable[str], limit: int | None = None) -> dict[str, int]:
    return dict(Counter(values).most_common(limit))


def _range(values: Sequence[int]) -> tuple[int, int, int]:
    return (min(values), int(np.median(values)), max(values)) if values else (0, 0, 0)


def _grey_share(dataset: Dataset, pixels: Pixels | None, bad: Mapping[int, str]) -> float:
    """Share of readable images without colour.

    Grey modes count by their header; of the others an even sample of 256 at most is looked at.
    """
    usable = [(i, sample.info) for i, sample in enumerate(dataset.samples) if i not in bad and sample.info is not None]
    coloured = [i for i, info in usable if not _is_grey_mode(info)]
    if not usable:
        return 0.0
    looks_grey = 0.0
    if coloured and pixels is not None:
        picked = np.unique(np.linspace(0, len(coloured) - 1, min(len(coloured), _GREY_SAMPLE)).round().astype(int))
        looks_grey = len(coloured) * _share_without_colour(pixels, [coloured[k] for k in picked])
    return (len(usable) - len(coloured) + looks_grey) / len(usable)


def _is_grey_mode(info: ImageInfo) -> bool:
    return info.mode in _GREY_MODES or info.mode.startswith("I;16")


def _share_without_colour(pixels: Pixels, indices: Sequence[int]) -> float:
    grey = 0
    for start in range(0, len(indices), _BATCH):
        images = pixels.take(indices[start : start + _BATCH])
        spread = images.max(axis=3) - images.min(axis=3)
        grey += int((spread.max(axis=(1, 2)) <= _GREY_TOLERANCE).sum())
    return grey / len(indices)
