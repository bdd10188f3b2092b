"""What a model says of images: probabilities, embeddings, and what in an image speaks for a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keensight.core.codec import from_plain, to_plain
from keensight.core.interval import Interval
from keensight.core.records import SEPARATOR, LabelSet
from keensight.errors import DataError


@dataclass(frozen=True, slots=True)
class Predictions:
    """Probabilities for a list of images; a row is NaN where the image could not be read.

    Examples:
        >>> found = model.predict(["photos/day/000.bmp", "photos/night/000.bmp"])
        >>> found.probabilities.shape, [row["label"] for row in found.rows()]
        ((2, 2), ['day', 'night'])
    """

    paths: tuple[str, ...]
    labels: LabelSet
    probabilities: NDArray[np.float32] = field(compare=False)
    """Shape (n, classes)."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Path to reason, for images that could not be read."""
    unknown: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): images that are like none of the classes; None: the model knows no enrolled class."""
    thresholds: tuple[float, ...] | None = None
    """Of a multi-label model: the probability from which on each label counts as there."""
    decision: Decision | None = None
    """When an image gets an answer, and what is in its prediction set; None: always, and there is no set."""
    ood_scores: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): how unlike the training images each is (:mod:`keensight.core.ood`), the higher the odder."""
    odd: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): those whose score is above the bundle's threshold."""
    indices: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): which samples of a dataset the images are; None: they are of no dataset."""
    truth: NDArray[Any] | None = field(default=None, compare=False, repr=False)
    """Their true class numbers (n,), or indicators (n, labels), in the order of ``labels``; None: not known."""
    clusters: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): images of one number are one to every interval: a group, duplicates, near-duplicates. None: each
    image stands for itself."""

    def __len__(self) -> int:
        return len(self.paths)

    def named(self, i: int) -> tuple[str, ...]:
        """What the model names for row ``i``: the most probable class, or every label at or above its threshold."""
        row = self.probabilities[i]
        if self.thresholds is None:
            return (self.labels.names[int(np.argmax(row))],)
        return tuple(name for name, p, t in zip(self.labels.names, row, self.thresholds, strict=True) if p >= t)

    def true(self, i: int) -> tuple[str, ...]:
        """The true class of row ``i``, or every label that it has.

        Raises:
            DataError: the truth is not known.
        """
        if self.truth is None:
            raise DataError("these predictions carry no true labels", "take them from ks.evaluate(...)")
        given = self.truth[i]
        columns = np.flatnonzero(given) if self.truth.ndim == 2 else [int(given)]
        return tuple(self.labels.names[int(k)] for k in columns)

    def right(self) -> NDArray[np.bool_]:
        """Which rows are predicted rightly, shape (n,): the true class, or exactly the true labels.

        Raises:
            DataError: the truth is not known.
        """
        return np.array([set(self.named(i)) == set(self.true(i)) for i in range(len(self))], dtype=bool)

    def reason(self, i: int) -> str | None:
        """Why row ``i`` gets no answer; None: it gets one."""
        if self.paths[i] in self.errors:
            return UNREADABLE
        if self.odd is not None and self.odd[i]:
            return UNLIKE
        if self.unknown is not None and self.unknown[i]:
            return NONE
        sure = self.decision is None or self.decision.accepts(self.probabilities[i : i + 1])[0]
        return None if sure else SURE

    def members(self, i: int) -> list[str] | None:
        """The prediction set of row ``i``, the most probable class first; None: the model makes no sets."""
        held = None if self.decision is None else self.decision.members(self.probabilities[i : i + 1])
        if held is None:
            return None
        return [self.labels.names[k] for k in np.argsort(-self.probabilities[i], kind="stable") if held[0, k]]

    def __repr__(self) -> str:
        unread = f", {len(self.errors):,} unreadable" if self.errors else ""
        return f"<Predictions of {len(self):,} images, {len(self.labels):,} classes{unread}>"

    def rows(self, top: int = 5) -> list[dict[str, Any]]:
        """One plain dictionary an image, as ``predict --json`` prints them."""
        return [self._row(i, top) for i in range(len(self.paths))]

    def _row(self, i: int, top: int) -> dict[str, Any]:
        path, reason = self.paths[i], self.reason(i)
        row: dict[str, Any] = {"path": path, "label": None, "probability": None, "top": [], "decision": "abstain",
                               "reason": reason, "set": None, "ood_score": None, "error": None}  # fmt: skip
        if reason == UNREADABLE:
            return row | {"error": self.errors[path]} | ({} if self.thresholds is None else {"labels": []})
        p = self.probabilities[i]
        order = np.argsort(-p, kind="stable")[:top]
        named = self.named(i)
        row |= {
            "label": SEPARATOR.join(named),
            "probability": float(p.max()),
            "top": [[self.labels.names[int(k)], float(p[k])] for k in order],
            "decision": "accept" if reason is None else "abstain",
            "set": self.members(i),
            "ood_score": None if self.ood_scores is None else float(self.ood_scores[i]),
        }
        return row if self.thresholds is None else row | {"labels": list(named)}


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What a network knows of each image before its last layer: near vectors are like images.

    Examples:
        >>> found = ks.embed(run, "photos/day/")
        >>> len(found), found.vectors.dtype
        (60, dtype('float32'))
    """

    paths: tuple[str, ...]
    vectors: NDArray[np.float32] = field(compare=False)
    """Shape (n, d); a row is NaN where the image could not be read."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Path to reason, for images that could not be read."""

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What in one image speaks for a class; all but ``path`` and ``error`` is None where it could not be read.

    Examples:
        >>> found, = ks.explain(run, "photos/day/000.bmp")
        >>> found.predicted, found.heat.ndim
        ('day', 2)
    """

    path: str
    label: str | None = None
    """The class that is explained."""
    probability: float | None = None
    """Of that class, 0 to 1."""
    predicted: str | None = None
    """The most probable class."""
    predicted_probability: float | None = None
    image: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    """The image, uint8 (h, w, 3), in its own aspect ratio and not necessarily its full size."""
    heat: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Shape (h, w), 0 to 1, over ``image``: what speaks most for the class is 1, what speaks against it 0."""
    error: str | None = None
    """Why the image could not be read, else None."""

    def row(self) -> dict[str, Any]:
        """Its words and numbers as a plain dictionary."""
        return {"path": self.path, "label": self.predicted, "probability": self.predicted_probability,
                "explained": self.label, "explained_probability": self.probability, "error": self.error}  # fmt: skip


Target = Literal["precision", "coverage"]
SURE = "below the threshold"
"""Why an image got no answer: its most probable class is not probable enough."""
UNLIKE = "unlike the training images"
"""Its embedding lies far from the training images' (:mod:`keensight.core.ood`)."""
NONE = "like none of the classes"
"""It is near no class mean of a bundle with enrolled classes (:mod:`keensight.core.prototypes`)."""
UNREADABLE = "unreadable"
_EASE = 1e-6
"""Probabilities are float32: what differs from a threshold by rounding alone reaches it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How probabilities become answers, for a model of one class an image; chosen on validation images."""

    threshold: float = 0.0
    """Probability of the most probable class below which there is no answer; 0: there always is one."""
    target: Target | None = None
    """What the threshold was chosen for: ``precision``, the share of answers that are right, or ``coverage``, the
    share of images that are answered; None: for nothing."""
    asked: float | None = None
    """The share that was asked for, 0 to 1."""
    reached: float | None = None
    """The precision that holds on new images with a confidence of 90 %; below ``asked`` where no threshold reaches
    that. Or the coverage of the validation images."""
    set_level: float | None = None
    """Share of prediction sets that hold the true class, at least; None: no sets are made."""
    set_threshold: float | None = None
    """Probability from which on a class is in the set; the most probable class always is."""
    n: int = 0
    """Validation images that all this stands on."""

    def accepts(self, probabilities: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of the images (n, classes) are sure enough, shape (n,)."""
        sure: NDArray[np.bool_] = probabilities.max(axis=1) >= self.threshold - _EASE
        return sure

    def members(self, probabilities: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which classes are in each image's prediction set, shape (n, classes); None: no sets are made."""
        if self.set_threshold is None:
            return None
        held: NDArray[np.bool_] = probabilities >= self.set_threshold - _EASE
        held[np.arange(len(held)), probabilities.argmax(axis=1)] = True
        return held

    def to_manifest(self) -> dict[str, Any]:
        """As entries of a manifest's ``decision``."""
        return {"answers": to_plain(self)}

    @staticmethod
    def from_manifest(decision: Mapping[str, Any]) -> Decision:
        """From a manifest's ``decision``; of a bundle before schema 3: always answer, make no sets.

        Raises:
            StoreError: the entry is damaged.
        """
        return from_plain(Decision, decision.get("answers", {}), "decision.answers")

    def valid(self) -> bool:
        """Whether its numbers are ones that a rule can have."""
        shares = (self.threshold, self.asked, self.reached, self.set_level, self.set_threshold)
        return all(value is None or (isinstance(value, float) and 0 <= value <= 1) for value in shares)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Answers that were given with about the same probability."""

    low: float
    high: float
    n: int
    said: float
    """Their mean probability; 0 where there are none."""
    right: float
    """The share of them that is right; 0 where there are none."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Probabilities before and after their logits were divided by ``temperature``, on images that did not choose it."""

    temperature: float
    loss_before: float
    """Mean cross-entropy (negative log-likelihood) in nats, as if the temperature were 1."""
    brier_before: float
    ece_before: float
    bins_before: tuple[ReliabilityBin, ...]
    bins: tuple[ReliabilityBin, ...]
    """With the temperature."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """What the rule of a model does on images that did not choose it."""

    decision: Decision
    answered: Interval
    """Share of images with an answer (coverage)."""
    accuracy: Interval | None
    """Of the answers; None where there is none."""
    unlike: Interval | None
    """Share of images without an answer because they are unlike the training images; None: the model cannot tell."""
    aurc: float
    """Area under the risk-coverage curve (Geifman and El-Yaniv 2017): the lower, the better confidence ranks errors."""
    curve: tuple[tuple[float, float], ...]
    """Coverage and accuracy of the answers as the threshold falls, at most 100 points."""
    set_coverage: Interval | None = None
    """Share of prediction sets that hold the true class."""
    set_size: float | None = None
    """Mean number of classes in a set."""
    set_singles: float | None = None
    """Share of sets of one class."""
