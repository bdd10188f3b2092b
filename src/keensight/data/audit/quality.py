"""Image quality: dark, washed out, empty, blurred and truncated images.

The scores are taken from decoded pixels, at 128 px at most (survey pixels). As in cleanvision
(https://github.com/cleanlab/cleanvision), each image has a score for each problem, compared with a threshold;
brightness is measured by an extreme quantile and information by an entropy. The differences: the entropy is computed
around each image's own median, so that noise on a uniform surface does not count; blur is measured by comparing two
scales of the same image, so that contrast and subject do not matter; and the thresholds for information and blur depend
on the set's median.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keensight.core.audit import Finding, Histogram, Severity
from keensight.core.records import Dataset

DARK, BRIGHT = 32.0, 224.0
"""Gray levels, of 255: an image is dark if its brightest 1% is below the first, bright if its darkest 1% is above the
second."""
ENTROPY, ENTROPY_SHARE = 0.5, 1 / 8
"""An image has low information below this many bits, and below this fraction of the set's median."""
SHARPNESS, SHARPNESS_SHARE = 0.38, 0.7
"""An image is blurred below this ratio, and below this fraction of the set's median."""
GREY_ROWS = 0.04
"""An image is truncated if at least this fraction of its height, from the bottom, is uniform mid-gray."""
COMMON = 0.1
"""A problem of more than this fraction of the images is normal for the set."""

_BINS = 24
_AT_ONCE = 2**18
"""Number of pixels whose intermediate results fit into the CPU cache; with fewer, threads wait for each other."""
_LEVELS = np.arange(256)
_LUMA = np.array((77, 150, 29), np.uint16)  # of ITU-R BT.601, in 256ths


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of problem: its score and its messages."""

    kind: str
    column: int
    threshold: Callable[[NDArray[np.float32]], float]
    """The threshold, from the scores of the whole set."""
    below: bool
    """Whether low scores are bad; otherwise high ones."""
    one: str
    many: str
    advice: str
    measure: str


def looks(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measure images (n, height, width, 3) for :func:`scan`: (n, 6) of float32.

    Columns: the level (0 to 255) below which 99% of the pixels lie; the level above which 99% lie; entropy of
    the gray levels in bits, in bins of 8 levels around the median; sharpness; fraction of the height that is plain
    mid-gray at the lower end; largest difference between the channels of a pixel (0: no color).
    """
    few = max(1, _AT_ONCE // (images.shape[1] * images.shape[2]))
    return np.concatenate([_looks(images[begin : begin + few]) for begin in range(0, len(images), few)])


def _looks(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    red, green, blue = np.moveaxis(images, 3, 0).copy()  # contiguous channels: computing on every third value is slow
    levels = ((red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]) >> 8).astype(np.uint8)
    counts = _counts(levels)
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    columns = [
        _quantile(counts, 0.99),
        _quantile(counts, 0.01),
        _entropy(counts),
        _sharpness(levels),
        _gray_end(high, low),
        (high - low).max(axis=(1, 2)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


LIGHT, COLOR, MEASURES = 0, 5, 6
"""Columns of :func:`looks`: the level of the brightest pixels, the difference between channels; how many there are."""


def _counts(levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels of each image have each level, (n, 256)."""
    n = len(levels)
    places = levels.reshape(n, -1) + 256 * np.arange(n)[:, None]
    return np.bincount(places.ravel(), minlength=256 * n).reshape(n, 256)


def _quantile(counts: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    below = counts.cumsum(axis=1)
    levels: NDArray[np.int64] = (below >= share * below[:, -1:]).argmax(axis=1)
    return levels


def _entropy(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    bins = (
        _LEVELS[None, :] - _quantile(counts, 0.5)[:, None] + 260
    ) // 8  # 0 to 64; the median in the middle of its bin
    places = bins + 65 * np.arange(len(counts))[:, None]
    binned = np.bincount(places.ravel(), counts.ravel(), minlength=65 * len(counts)).reshape(-1, 65)
    shares = binned / binned.sum(axis=1, keepdims=True)
    entropy: NDArray[np.float64] = (shares * -np.log2(np.maximum(shares, 1e-12))).sum(axis=1)
    return entropy


def _sharpness(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Detail at full size over detail at half size, each as the root mean square of the Laplacian.

    A Laplacian's variance alone (Pech-Pacheco et al. 2000) grows with contrast and texture. The ratio of two
    octaves does not: it is 1/4 for a picture without any fine detail, near 0.6 for photographs (whose octaves
    have equal power, Field 1987), and 2 for noise.
    """
    gray = levels.astype(np.int16)  # represents every sum below exactly, in half the memory of float32
    if min(gray.shape[1:]) < 8:
        return np.ones(len(gray), np.float32)
    even = gray[:, : gray.shape[1] // 2 * 2, : gray.shape[2] // 2 * 2]
    fours = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    fine, coarse = _detail(gray), _detail(fours) / np.float32(4)
    # Rounding to integer levels alone causes detail of half a level, so no more than that is ignored.
    return np.where(coarse < 1, np.float32(1), fine / np.maximum(coarse, 1))


def _detail(gray: NDArray[np.int16]) -> NDArray[np.float32]:
    inner = gray[:, 1:-1, 1:-1]
    around = gray[:, 1:-1, :-2] + gray[:, 1:-1, 2:] + gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1]
    edges = (around - 4 * inner).astype(np.float32).reshape(len(gray), -1)
    power: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", edges, edges) / edges.shape[1])
    return power


def _gray_end(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Decoders fill the missing end of a JPEG with level 128, and some programs save that as an image."""
    plain = (high.max(axis=2) <= 130) & (low.min(axis=2) >= 126)
    rows = np.logical_and.accumulate(plain[:, ::-1], axis=1).sum(axis=1)
    return np.where(rows == plain.shape[1], 0.0, rows / plain.shape[1])


def _at_most(limit: float, share: float) -> Callable[[NDArray[np.float32]], float]:
    return lambda scores: min(limit, share * float(np.median(scores)))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "partly-readable", 4, lambda scores: GREY_ROWS, False, "ends", "end",
        "in a uniform mid-gray area, as decoders fill in for truncated files: get them again",
        "uniform mid-gray rows at the bottom, as a fraction of the height",
    ),
    Fault(
        "dark", 0, lambda scores: DARK, True, "is", "are",
        "nearly black: retake, brighten or remove them",
        "gray level (0 to 255) of the 99th percentile of the pixels",
    ),
    Fault(
        "bright", 1, lambda scores: BRIGHT, False, "is", "are",
        "nearly white: retake or remove them",
        "gray level (0 to 255) of the 1st percentile of the pixels",
    ),
    Fault(
        "low-information", 2, _at_most(ENTROPY, ENTROPY_SHARE), True, "shows", "show",
        "nearly uniform: check that the subject is visible",
        "entropy of the gray levels around their median, in bits",
    ),
    Fault(
        "blurred", 3, _at_most(SHARPNESS, SHARPNESS_SHARE), True, "is", "are",
        "blurred: check that the subject is still recognizable",
        "detail at full size over detail at half size (0.25: none, 0.6: usual in photographs)",
    ),
)  # fmt: skip
"""The problems; an image is reported only under the first one."""


def quality(dataset: Dataset, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Finding]:
    """Findings from what :func:`looks` measured.

    Args:
        dataset: The image set.
        rows: Indices of the images that were measured, shape (n,).
        scores: Their measures, (n, 6).
    """
    free = np.ones(len(rows), bool)
    findings = []
    for fault in FAULTS:
        column = scores[:, fault.column]
        threshold = fault.threshold(column)
        bad = free & ((column < threshold) if fault.below else (column > threshold))
        if fault.kind in ("dark", "bright"):
            bad &= scores[:, 0] > scores[:, 1]  # a uniform image is not a lighting problem
        free &= ~bad
        if bad.any():
            findings.append(_finding(dataset, rows, column, fault, threshold, np.flatnonzero(bad)))
    return findings


def _finding(
    dataset: Dataset, rows: NDArray[np.int64], scores: NDArray[np.float32], fault: Fault, threshold: float,
    bad: NDArray[np.int64],
) -> Finding:  # fmt: skip
    worst = bad[np.argsort(scores[bad] if fault.below else -scores[bad], kind="stable")]
    n, share = len(worst), len(worst) / len(rows)
    subject = f"1 image {fault.one}" if n == 1 else f"{n} images {fault.many}"
    severity: Severity = "info" if share > COMMON else "warning"
    advice = fault.advice
    if share > COMMON:
        advice = f"{advice.partition(':')[0]}; that is {share:.0%} of them, so this may be normal for this set"
    return Finding.on(
        dataset, [(int(rows[i]),) for i in worst], fault.kind, severity, f"{subject} {advice}.",
        scores=tuple(round(float(scores[i]), 4) for i in worst),
        threshold=round(threshold, 4), measure=fault.measure, histogram=histogram(scores),
    )  # fmt: skip


def histogram(scores: Sequence[float] | NDArray[np.float32]) -> Histogram:
    """Scores in 24 bins of equal width from the least to the greatest."""
    counts, edges = np.histogram(np.asarray(scores, dtype=np.float64), _BINS)
    return Histogram(tuple(round(float(edge), 6) for edge in edges), tuple(int(count) for count in counts))
