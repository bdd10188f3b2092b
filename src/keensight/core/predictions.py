"""What a model returns for images: probabilities, embeddings, heatmaps, and decisions."""

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
    """Probabilities for a list of images; NaN in the row of an image that could not be read.

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
    """Shape (n,): images similar to none of the classes; None: the model has no enrolled classes."""
    thresholds: tuple[float, ...] | None = None
    """Multi-label models: the probability threshold of each label."""
    decision: Decision | None = None
    """When the model predicts or abstains, and its prediction sets; None: it always predicts, without sets."""
    ood_scores: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): out-of-distribution score of each image (:mod:`keensight.core.ood`)."""
    odd: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): images whose score is above the bundle's threshold."""
    indices: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): the samples of a dataset that the images are; None: they are not from a dataset."""
    truth: NDArray[Any] | None = field(default=None, compare=False, repr=False)
    """True class numbers (n,), or indicators (n, labels), in the order of ``labels``; None: unknown."""
    clusters: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)
    """Shape (n,): images with the same number (a group, duplicates, near-duplicates) count as one for every interval.
    None: all images are independent."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Path to what is strange about an image that was read: gray values outside the range of the training images."""

    def __len__(self) -> int:
        return len(self.paths)

    def named(self, i: int) -> tuple[str, ...]:
        """The prediction for row ``i``: the most probable class, or every label at or above its threshold."""
        row = self.probabilities[i]
        if self.thresholds is None:
            return (self.labels.names[int(np.argmax(row))],)
        return tuple(name for name, p, t in zip(self.labels.names, row, self.thresholds, strict=True) if p >= t)

    def true(self, i: int) -> tuple[str, ...]:
        """The true class of row ``i``, or all its labels.

        Raises:
            DataError: the true labels are unknown.
        """
        if self.truth is None:
            raise DataError("these predictions have no true labels", "take them from ks.evaluate(...)")
        given = self.truth[i]
        columns = np.flatnonzero(given) if self.truth.ndim == 2 else [int(given)]
        return tuple(self.labels.names[int(k)] for k in columns)

    def right(self) -> NDArray[np.bool_]:
        """Which rows are predicted correctly, shape (n,): the true class, or exactly the true labels.

        Raises:
            DataError: the true labels are unknown.
        """
        return np.array([set(self.named(i)) == set(self.true(i)) for i in range(len(self))], dtype=bool)

    def reason(self, i: int) -> str | None:
        """Why the model abstains on row ``i``; None: it predicts."""
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
        """Return one plain dictionary per image, as ``predict --json`` prints them."""
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
        if path in self.notes:
            row["note"] = self.notes[path]
        return row if self.thresholds is None else row | {"labels": list(named)}


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings: the network's features of each image before its last layer; similar images have similar vectors.

    Examples:
        >>> found = ks.embed(run, "photos/day/")
        >>> len(found), found.vectors.dtype
        (60, dtype('float32'))
    """

    paths: tuple[str, ...]
    vectors: NDArray[np.float32] = field(compare=False)
    """Shape (n, d); NaN in the row of an image that could not be read."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Path to reason, for images that could not be read."""

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The heatmap of one image for one class; all but ``path`` and ``error`` is None if it could not be read.

    Examples:
        >>> found, = ks.explain(run, "photos/day/000.bmp")
        >>> found.predicted, found.heat.ndim
        ('day', 2)
    """

    path: str
    label: str | None = None
    """The class that is explained."""
    probability: float | None = None
    """Probability of that class, 0 to 1."""
    predicted: str | None = None
    """The most probable class."""
    predicted_probability: float | None = None
    image: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    """The image, uint8 (h, w, 3), in its original aspect ratio, possibly reduced."""
    heat: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Shape (h, w), 0 to 1, over ``image``: 1 where the image contributes most to the class, 0 where it counts against
    it."""
    error: str | None = None
    """Why the image could not be read, else None."""

    def row(self) -> dict[str, Any]:
        """Its texts and numbers as a plain dictionary."""
        return {"path": self.path, "label": self.predicted, "probability": self.predicted_probability,
                "explained": self.label, "explained_probability": self.probability, "error": self.error}  # fmt: skip


Target = Literal["precision", "coverage"]
SURE = "below the threshold"
"""Reason to abstain: the most probable class is not probable enough."""
UNLIKE = "out-of-distribution"
"""Reason to abstain: the embedding is far from those of the training images (:mod:`keensight.core.ood`)."""
NONE = "like none of the classes"
"""Reason to abstain: the embedding is far from every class mean (:mod:`keensight.core.prototypes`)."""
UNREADABLE = "unreadable"
_EASE = 1e-6
"""Probabilities are float32: a value that differs from a threshold only by rounding reaches it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How a single-label model's probabilities become decisions; chosen on validation images."""

    threshold: float = 0.0
    """The model abstains if its highest probability is below this; 0: never."""
    target: Target | None = None
    """What the threshold was chosen for: ``precision`` (fraction of predictions that are right) or ``coverage``
    (fraction of images with a prediction); None: there is no target."""
    asked: float | None = None
    """The target value, 0 to 1."""
    reached: float | None = None
    """The precision guaranteed on new images with 90% confidence; below ``asked`` if no threshold reaches the target.
    Or the coverage of the validation images."""
    set_level: float | None = None
    """Minimum fraction of prediction sets that contain the true class; None: no sets are made."""
    set_threshold: float | None = None
    """A class is in the set if its probability is at least this; the most probable class always is."""
    n: int = 0
    """Number of validation images that this is based on."""

    def accepts(self, probabilities: NDArray[Any]) -> NDArray[np.bool_]:
        """Which images (n, classes) have a high enough probability, shape (n,)."""
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
        """Convert to entries of a manifest's ``decision``."""
        return {"answers": to_plain(self)}

    @staticmethod
    def from_manifest(decision: Mapping[str, Any]) -> Decision:
        """Read from a manifest's ``decision``; a bundle before schema 3 always predicts, without sets.

        Raises:
            StoreError: the entry is damaged.
        """
        return from_plain(Decision, decision.get("answers", {}), "decision.answers")

    def valid(self) -> bool:
        """Whether its numbers are valid."""
        shares = (self.threshold, self.asked, self.reached, self.set_level, self.set_threshold)
        return all(value is None or (isinstance(value, float) and 0 <= value <= 1) for value in shares)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions with about the same probability (a bin of the reliability diagram)."""

    low: float
    high: float
    n: int
    said: float
    """Their mean probability; 0 if there are none."""
    right: float
    """The fraction that is correct; 0 if there are none."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The effect of the temperature on images that it was not chosen on."""

    temperature: float
    loss_before: float
    """Mean cross-entropy (negative log-likelihood) in nats, at a temperature of 1."""
    brier_before: float
    ece_before: float
    bins_before: tuple[ReliabilityBin, ...]
    bins: tuple[ReliabilityBin, ...]
    """With the temperature."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """The effect of a decision rule on images that it was not chosen on."""

    decision: Decision
    answered: Interval
    """Fraction of images with a prediction (coverage)."""
    accuracy: Interval | None
    """Accuracy of these predictions; None if there are none."""
    unlike: Interval | None
    """Fraction of images the model abstains on as out-of-distribution; None: the model has no OOD detection."""
    aurc: float
    """Area under the risk-coverage curve (Geifman and El-Yaniv 2017): lower is better: confidence ranks errors well."""
    curve: tuple[tuple[float, float], ...]
    """Coverage and accuracy as the threshold decreases, at most 100 points."""
    set_coverage: Interval | None = None
    """Fraction of prediction sets that contain the true class."""
    set_size: float | None = None
    """Mean number of classes in a set."""
    set_singles: float | None = None
    """Fraction of sets with exactly one class."""
