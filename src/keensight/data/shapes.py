"""Images whose size or aspect is far from that of the others, by their headers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keensight.core.findings import Finding
from keensight.core.records import Dataset
from keensight.data.cache import Pixels
from keensight.data.checks import each, infos
from keensight.data.quality import histogram

_SIZE, _ASPECT = 3.0, 2.0
"""Factors from the median that no image is blamed for, however alike the others are."""
_FENCE = 3.0
"""Interquartile ranges beyond the quartiles: Tukey's "far out" (Exploratory Data Analysis, 1977)."""


def odd_size(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Images much larger or smaller than the others."""
    rows, widths, heights = _sizes(dataset, pixels)
    return _outliers(
        dataset, rows, np.sqrt(widths * heights), _SIZE, "odd-size",
        "far larger or smaller than the others: look whether they are thumbnails, scans or of another source.",
        "side of a square of the same area, as a factor of the median one",
    )  # fmt: skip


def odd_aspect(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Images much longer than the others for their breadth, upright or not; cleanvision judges aspect so too."""
    rows, widths, heights = _sizes(dataset, pixels)
    return _outliers(
        dataset, rows, np.maximum(widths, heights) / np.minimum(widths, heights), _ASPECT, "odd-aspect",
        "far more elongated than the others, or less: look whether they are strips, panoramas or wrongly cut.",
        "longer over shorter side, as a factor of the median one",
    )  # fmt: skip


def _sizes(dataset: Dataset, pixels: Pixels | None) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
    """Indices of readable samples with their width and height."""
    found = infos(dataset, pixels)
    sides = np.array([(info.width, info.height) for _, info in found], dtype=np.float64).reshape(-1, 2)
    return [i for i, _ in found], sides[:, 0], sides[:, 1]


def _outliers(
    dataset: Dataset, rows: list[int], values: NDArray[np.float64], factor: float, kind: str, advice: str, measure: str
) -> list[Finding]:
    if not rows:
        return []
    logs = np.log(values / np.median(values))
    low, high = np.quantile(logs, (0.25, 0.75))
    least = min(-np.log(factor), low - _FENCE * (high - low))
    most = max(np.log(factor), high + _FENCE * (high - low))
    bad = np.flatnonzero((logs < least) | (logs > most))
    if not len(bad):
        return []
    worst = bad[np.argsort(-np.abs(logs[bad]), kind="stable")]
    subject = "1 image is" if len(bad) == 1 else f"{len(bad)} images are"
    far = np.exp(most if logs[worst[0]] > 0 else least)
    return [
        Finding.on(
            dataset, each(rows[i] for i in worst), kind, "info", f"{subject} {advice}",
            scores=tuple(round(float(np.exp(logs[i])), 3) for i in worst), threshold=round(float(far), 3),
            measure=measure, histogram=histogram(np.exp(logs)),
        )
    ]  # fmt: skip
