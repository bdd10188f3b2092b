"""What is odd in an image, learned from normal images alone: the rule and its records.

Patches of normal images, as a pretrained network's early maps describe them, are one Gaussian; how odd a patch is is
its squared Mahalanobis distance from it (Rippel, Mertens and Merhof 2021, "Modeling the distribution of normal data in
pre-trained deep features for anomaly detection"; PaDiM, Defard et al. 2021, has one Gaussian for each place, which
needs images that lie alike). A normal patch is about 1. An image's score is the mean of its oddest patches, over the
threshold that a stated share of unseen normal images exceeds: from 1 on an image is anomalous.
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
ODDEST = 0.05
"""Share of an image's patches whose mean is its score."""
FALSE_ALARMS = 0.05
"""Share of normal images above the threshold, at most."""
_RIDGE, _TINY = 1e-3, 1e-6
_COLOURED = 0.99
"""Share of normal patches that a heatmap leaves clear."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on an image, and a patch, is odd."""

    threshold: float
    """Mean oddness of an image's oddest patches above which it is anomalous."""
    patch: float
    """Oddness that 99 % of the patches of unseen normal images stay below: a heatmap is clear up to here."""
    rate: float
    """Share of normal images above the threshold to be expected, at most."""
    images: int
    """Unseen normal images that both were taken from."""


@dataclass(frozen=True, slots=True)
class AnomalyScores:
    """How odd each of some images is; a score is NaN where the image could not be read.

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
    """Oddness of each patch in units of ``Limits.patch``, shape (n, rows, columns); None: not kept."""
    indices: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): which samples of a dataset the images are; None: they are of no dataset."""
    truth: tuple[str, ...] | None = field(default=None, compare=False, repr=False)
    """Their classes as they were given, n of them; None: not known."""

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, top: int = 5) -> list[dict[str, Any]]:
        """One plain dictionary an image, as ``predict --json`` prints them; there are no probabilities."""
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
    """How well anomalies are told from normal images on one part of a dataset.

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
    """Area under the ROC curve: how often an anomalous image scores above a normal one. None where one is missing."""
    recall: Interval | None
    """Share of the anomalous images that reach the threshold."""
    false_alarms: Interval | None
    """Share of the normal images that do."""
    limits: Limits
    kinds: tuple[KindScore, ...] = ()
    seconds: float = 0.0
    seen: int = 0
    """How many of the normal images have a copy or near copy among the normal training or validation images."""
    caveats: tuple[Caveat, ...] = ()
    """Whatever makes the result doubtful."""
    oddities: AnomalyScores | None = field(default=None, compare=False, repr=False)
    dataset: Dataset | None = field(default=None, compare=False, repr=False)
    """With the classes as they were given; not saved."""

    @property
    def n(self) -> int:
        """How many images."""
        return self.normal + self.anomalous

    def headline(self) -> dict[str, Any]:
        """The figures as plain values."""
        found: dict[str, Any] = {"n": self.n, "normal": self.normal, "anomalous": self.anomalous}
        for name in ("auroc", "recall", "false_alarms"):
            one: Interval | None = getattr(self, name)
            if one is not None:
                found |= {name: one.value, f"{name}_ci": [one.low, one.high]}
        found |= {"expected_false_alarms": self.limits.rate, "seen": self.seen}
        return found | {"caveats": [one.plain() for one in self.caveats]}


def gaussian(batches: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The Gaussian of patches, from batches (n, rows, columns, d) that need not be in memory together.

    A small ridge on the covariance keeps directions without variance from counting as infinitely odd.

    Returns:
        The mean (d,), and the matrix (d, d) whose product with a patch's difference from it has the length of the
        Mahalanobis distance.
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
    """Mean of the oddest patches of each map (n, rows, columns), shape (n,)."""
    flat = maps.reshape(len(maps), -1)
    oddest = max(1, round(ODDEST * flat.shape[1]))
    scores: NDArray[np.float32] = np.partition(flat, -oddest, axis=1)[:, -oddest:].mean(axis=1)
    return scores


def limits(maps: NDArray[np.float32], rate: float = FALSE_ALARMS) -> Limits:
    """Limits from the maps (n, rows, columns) of unseen normal images.

    A new normal image exceeds the k-th lowest of n scores with a chance of (n + 1 - k) / (n + 1), as in conformal
    prediction (Vovk et al. 2005); k is the lowest for which that is at most ``rate``. With too few images for it the
    highest score is taken, and the chance is as it then is.
    """
    scores = np.sort(image_scores(maps))
    count = len(scores)
    place = min(int(np.ceil((count + 1) * (1 - rate))), count)
    return Limits(
        threshold=float(scores[place - 1]),
        patch=float(np.quantile(maps, _COLOURED)),
        rate=(count + 1 - place) / (count + 1),
        images=count,
    )
