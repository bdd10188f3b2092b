"""Anomaly detection, learned from normal images only: the rule and its records.

Patches of normal images, as a pretrained network's early maps describe them, are modeled by one Gaussian; a patch's
anomaly score is its squared Mahalanobis distance (Rippel, Mertens and Merhof 2021, "Modeling the distribution of normal
data in pre-trained deep features for anomaly detection"; PaDiM, Defard et al. 2021, has one Gaussian for each place,
which needs images that lie alike). A normal patch is about 1. An image's score is the mean of its most anomalous
patches, divided by a threshold that at most a given fraction of unseen normal images exceeds. An image with a score of
1 or more is anomalous.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.evaluation import Caveat
from keensight.core.interval import Interval
from keensight.core.records import Dataset

NORMAL, ANOMALOUS = "normal", "anomalous"
TOP_FRACTION = 0.05
"""Fraction of an image's patches that are averaged for its score."""
FALSE_ALARMS = 0.05
"""Maximum fraction of normal images above the threshold."""
_RIDGE, _TINY = 1e-3, 1e-6
_UNCOLORED = 0.99
"""Fraction of normal patches that a heatmap does not color."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds above which an image, and a patch, is anomalous."""

    threshold: float
    """Mean score of an image's most anomalous patches above which the image is anomalous."""
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
        return bare | {"label": label, "score": score, "decision": "accept", "error": None}


@dataclass(frozen=True, slots=True)
class KindScore:
    """How well one kind of anomaly is found."""

    kind: str
    n: int
    recall: Interval


@dataclass(frozen=True, slots=True)
class AnomalyEvaluation:
    """How well anomalous images are distinguished from normal ones on one split of a dataset.

    Examples:
        >>> run = ks.train("parts/", task="anomaly", normal="good")
        >>> evaluation = ks.evaluate(run)
        >>> isinstance(evaluation, ks.AnomalyEvaluation), evaluation.anomalous
        (True, 20)
    """

    part: str
    normal: int
    anomalous: int
    auroc: Interval | None
    """Area under the ROC curve: the probability that an anomalous image scores above a normal one. None if the split
    lacks one kind."""
    recall: Interval | None
    """Fraction of the anomalous images that reach the threshold (sensitivity)."""
    false_alarms: Interval | None
    """Fraction of the normal images that reach it (false positive rate)."""
    limits: Limits
    kinds: tuple[KindScore, ...] = ()
    seconds: float = 0.0
    seen: int = 0
    """Number of normal images with a duplicate or near-duplicate among the normal training or validation images."""
    caveats: tuple[Caveat, ...] = ()
    """Reasons to doubt the result."""
    anomaly_scores: AnomalyScores | None = field(default=None, compare=False, repr=False)
    dataset: Dataset | None = field(default=None, compare=False, repr=False)
    """With the original classes; not saved."""

    @property
    def n(self) -> int:
        """Number of images."""
        return self.normal + self.anomalous

    def headline(self) -> dict[str, Any]:
        """The metrics as plain values."""
        found: dict[str, Any] = {"n": self.n, "normal": self.normal, "anomalous": self.anomalous}
        for name in ("auroc", "recall", "false_alarms"):
            one: Interval | None = getattr(self, name)
            if one is not None:
                found |= {name: one.value, f"{name}_ci": [one.low, one.high]}
        found |= {"expected_false_alarms": self.limits.rate, "seen": self.seen}
        return found | {"caveats": [one.plain() for one in self.caveats]}


def gaussian(batches: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit the Gaussian of patches, from batches (n, rows, columns, d) that need not fit in memory together.

    A small ridge on the covariance keeps directions without variance from giving infinite scores.

    Returns:
        The mean (d,), and the matrix (d, d) whose product with a patch's difference from the mean has the Mahalanobis
        distance as its length.
    """
    count, total, products = 0, np.zeros(()), np.zeros(())
    for batch in batches:
        patches = batch.reshape(-1, batch.shape[-1]).astype(np.float64)
        count += len(patches)
        total = total + patches.sum(axis=0)
        products = products + patches.T @ patches
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    covariance += _RIDGE * np.diag(covariance.diagonal()) + _TINY * np.eye(len(mean))
    whiten = np.linalg.cholesky(np.linalg.inv(covariance))
    return mean.astype(np.float32), whiten.astype(np.float32)


def image_scores(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the most anomalous patches of each map (n, rows, columns), shape (n,)."""
    flat = maps.reshape(len(maps), -1)
    top = max(1, round(TOP_FRACTION * flat.shape[1]))
    scores: NDArray[np.float32] = np.partition(flat, -top, axis=1)[:, -top:].mean(axis=1)
    return scores


def limits(maps: NDArray[np.float32], rate: float = FALSE_ALARMS) -> Limits:
    """Choose the thresholds from the maps (n, rows, columns) of unseen normal images.

    A new normal image exceeds the k-th lowest of n scores with probability (n + 1 - k) / (n + 1), as in conformal
    prediction (Vovk et al. 2005); k is the lowest for which that is at most ``rate``. With too few images for that, the
    highest score is the threshold, and the rate is higher.
    """
    scores = np.sort(image_scores(maps))
    count = len(scores)
    place = min(int(np.ceil((count + 1) * (1 - rate))), count)
    return Limits(
        threshold=float(scores[place - 1]),
        patch=float(np.quantile(maps, _UNCOLORED)),
        rate=(count + 1 - place) / (count + 1),
        images=count,
    )
