"""Anomaly detection, learned from normal images only: the rule and its records.

Patches of normal images are described by three levels of a pretrained network's maps. Each level is whitened by the
covariance of its normal patches, and keeps 2,000 of them, unlike each other, as a memory. A patch's anomaly score at a
level is its squared distance to the nearest patch of the memory, per dimension (PatchCore, Roth et al. 2022, "Towards
total recall in industrial anomaly detection"; whitened, it is a Mahalanobis distance, as in Rippel, Mertens and Merhof
2021, "Modeling the distribution of normal data in pre-trained deep features for anomaly detection", but to one of many
normal patches in place of their mean). The distance to a patch of the memory is divided by that patch's spread, the
distance to its own neighbors in the memory, as for the local outlier factor (Breunig et al. 2000, "LOF: identifying
density-based local outliers"): where normal patches differ much from each other, one more difference is no anomaly.

An image's score is the geometric mean over the levels: of the fine ones the mean of the most anomalous patches, of the
coarse one, which sees large parts of the image, the mean of all. It is divided by a threshold that at most a given
fraction of unseen normal images exceeds. An image with a score of 1 or more is anomalous.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

NORMAL, ANOMALOUS = "normal", "anomalous"
PATCH_MEMORY, GAUSSIAN = "memory of patches", "Gaussian of patches"
"""Rules of bundles: today's, and the one of bundles whose network gives a single level of scores."""
FRACTIONS = (0.05, 0.05, 1.0)
"""Fraction of an image's patches that are averaged for its score, by level, the finest first."""
CANDIDATES, MEMORY = 8000, 2000
"""Normal patches of a level that are drawn at random, and those of them that are kept."""
_PROJECTED = 32
"""Dimensions in which the latter are chosen."""
_NEIGHBORS, _FLOOR = 10, 0.1
"""Neighbors of a patch in the memory whose mean distance is its spread; and what is added, in medians of the spread."""
FALSE_ALARMS = 0.05
"""Maximum fraction of normal images above the threshold."""
_ENOUGH = 19
"""Images from which on the highest score is not the threshold: the expected rate is then 10% at most."""
_RIDGE, _TINY = 1e-3, 1e-6
_ROWS = 500
"""Patches whose distances to all others are held at a time."""
_UNCOLORED = 0.99
"""Fraction of normal patches that a heatmap does not color."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds above which an image, and a patch, is anomalous."""

    threshold: float
    """Score of an image, from :func:`image_scores`, above which it is anomalous."""
    patch: float
    """The 99th percentile of the patch scores of unseen normal images; a heatmap does not color lower scores."""
    rate: float
    """Maximum expected fraction of normal images above the threshold."""
    images: int
    """Number of unseen normal images that both were estimated from."""


@dataclass(frozen=True, slots=True)
class AnomalyScores:
    """Anomaly scores of images; NaN for an image that could not be read.

    Examples:
        >>> found = ks.predict(detector, ["parts/good/00.bmp", "parts/broken/00.bmp"])
        >>> [row["label"] for row in found.rows()]
        ['normal', 'anomalous']
    """

    paths: tuple[str, ...]
    scores: NDArray[np.float32] = field(compare=False)
    """Shape (n,): 1 is the threshold."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Path to reason, for images that could not be read."""
    maps: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Score of each patch in units of ``Limits.patch``, shape (n, rows, columns); None: not kept."""
    indices: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): the samples of a dataset that the images are; None: they are not from a dataset."""
    truth: tuple[str, ...] | None = field(default=None, compare=False, repr=False)
    """Their original classes, n of them; None: unknown."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Path to what is strange about an image that was read, as of :class:`~keensight.Predictions`."""

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, top: int = 5) -> list[dict[str, Any]]:
        """Return one plain dictionary per image, as ``predict --json`` prints them; there are no probabilities."""
        return [self._row(path, float(score)) for path, score in zip(self.paths, self.scores, strict=True)]

    def _row(self, path: str, score: float) -> dict[str, Any]:
        bare: dict[str, Any] = {"path": path, "label": None, "probability": None, "top": [], "score": None}
        if path in self.errors:
            return bare | {"decision": "abstain", "error": self.errors[path]}
        label = ANOMALOUS if score >= 1 else NORMAL
        noted = {"note": self.notes[path]} if path in self.notes else {}
        return bare | {"label": label, "score": score, "decision": "accept", "error": None} | noted


@dataclass(frozen=True, slots=True)
class NormalPatches:
    """What is known of the normal patches of one level of maps."""

    mean: NDArray[np.float32]
    """Shape (d,)."""
    whiten: NDArray[np.float32]
    """Shape (d, d): its product with a patch's difference from the mean has covariance 1 over normal patches."""
    memory: NDArray[np.float32]
    """Normal patches that are unlike each other, whitened, shape (m, d)."""
    spread: NDArray[np.float32]
    """How far the neighbors of each of them are, near 1, shape (m,): what distances to it are divided by."""


class PatchSampler:
    """Learns the normal patches of a level in one pass over batches that need not fit in memory together.

    Args:
        patches: Number of patches that will be added.
        seed: Of the draw of those that are kept.
    """

    def __init__(self, patches: int, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self._places = np.sort(draw.choice(patches, min(CANDIDATES, patches), replace=False))
        self._kept: list[NDArray[np.float32]] = []
        self._count = 0
        self._total = self._products = np.zeros(())

    def add(self, batch: NDArray[np.float32]) -> None:
        """Add the maps of some images, shape (n, rows, columns, d)."""
        patches = batch.reshape(-1, batch.shape[-1])
        wide = patches.astype(np.float64)
        first, last = np.searchsorted(self._places, (self._count, self._count + len(patches)))
        self._kept.append(patches[self._places[first:last] - self._count])
        self._count += len(patches)
        self._total = self._total + wide.sum(axis=0)
        self._products = self._products + wide.T @ wide

    def finish(self) -> NormalPatches:
        """What was learned. A small ridge on the covariance keeps directions without variance from giving infinite
        scores."""
        mean = self._total / self._count
        covariance = self._products / self._count - np.outer(mean, mean)
        covariance += _RIDGE * np.diag(covariance.diagonal()) + _TINY * np.eye(len(mean))
        whiten = np.linalg.cholesky(np.linalg.inv(covariance))
        memory = coreset((np.concatenate(self._kept) - mean) @ whiten, MEMORY)
        return NormalPatches(*(found.astype(np.float32) for found in (mean, whiten, memory, spread(memory))))


def coreset(patches: NDArray[np.float64], size: int, seed: int = 0) -> NDArray[np.float64]:
    """Some of the patches (n, d), chosen so that none of the others is far from all of them, shape (m, d).

    The next one is always the farthest from those chosen so far (Sener and Savarese 2018), as seen in a random
    projection, as in PatchCore: rare normal patches are kept, frequent ones are thinned out.
    """
    if len(patches) <= size:
        return patches
    draw = np.random.default_rng(seed)
    count, d = patches.shape
    seen = patches.astype(np.float32)
    if d > _PROJECTED:
        seen = seen @ draw.normal(size=(d, _PROJECTED)).astype(np.float32)
    squares = (seen**2).sum(axis=1)
    distance = np.full(count, np.inf, np.float32)
    chosen = [int(draw.integers(count))]
    for _ in range(size - 1):
        last = chosen[-1]
        distance = np.minimum(distance, squares - 2 * (seen @ seen[last]) + squares[last])
        chosen.append(int(distance.argmax()))
    return patches[chosen]


def spread(memory: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squared distance of each patch (m, d) to its nearest neighbors among them, as a multiple of the median, of
    shape (m,). It is not near zero for patches that are closer together than others."""
    count = min(_NEIGHBORS, len(memory) - 1)
    squares = (memory**2).sum(axis=1)
    found = np.zeros(len(memory))
    for begin in range(0, len(memory) if count else 0, _ROWS):
        some = slice(begin, begin + _ROWS)
        distance = np.maximum(squares[some, None] - 2 * (memory[some] @ memory.T) + squares, 0)
        nearest = np.sort(np.partition(distance, count, axis=1)[:, : count + 1], axis=1)
        found[some] = nearest[:, 1:].mean(axis=1)  # the first is the patch itself
    middle = np.median(found)
    return found / middle + _FLOOR if middle else np.ones(len(memory))


def heatmaps(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of patches, the geometric mean over the levels (n, rows, columns, levels), shape (n, rows, columns)."""
    found: NDArray[np.float32] = np.exp(np.log(np.maximum(levels, _TINY)).mean(axis=-1))
    return found


def image_scores(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of images from those of their patches, shape (n,).

    Args:
        levels: Shape (n, rows, columns, levels), the finest level first; a bundle of the rule ``GAUSSIAN`` has a
            single one.
    """
    flat = levels.reshape(len(levels), -1, levels.shape[-1])
    means = []
    for level, fraction in zip(np.moveaxis(flat, -1, 0), FRACTIONS, strict=False):
        top = max(1, round(fraction * flat.shape[1]))
        means.append(np.partition(level, -top, axis=1)[:, -top:].mean(axis=1))
    return heatmaps(np.stack(means, axis=-1))


def limits(levels: NDArray[np.float32], rate: float = FALSE_ALARMS) -> Limits:
    """Choose the thresholds from the scores (n, rows, columns, levels) of the patches of unseen normal images.

    A new normal image exceeds the k-th lowest of n scores with probability (n + 1 - k) / (n + 1), as in conformal
    prediction (Vovk et al. 2005); k is the lowest for which that is at most ``rate``. With too few images for that, it
    is n, and the rate is higher; from 19 images on it is at most n - 1, so that no single unusual image among the
    normal ones decides what is found.
    """
    scores = np.sort(image_scores(levels))
    count = len(scores)
    place = min(int(np.ceil((count + 1) * (1 - rate))), count - 1 if count >= _ENOUGH else count)
    return Limits(
        threshold=float(scores[place - 1]),
        patch=float(np.quantile(heatmaps(levels), _UNCOLORED)),
        rate=(count + 1 - place) / (count + 1),
        images=count,
    )
