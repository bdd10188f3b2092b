"""What a model says of images: probabilities, embeddings, and what in an image speaks for a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.certainty import NONE, SURE, UNLIKE, UNREADABLE, Decision
from keensight.core.records import SEPARATOR, LabelSet
from keensight.errors import DataError


@dataclass(frozen=True, slots=True)
class Predictions:
    """Probabilities for a list of images; a row is NaN where the image could not be read."""

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
    """What a network knows of each image before its last layer: near vectors are like images."""

    paths: tuple[str, ...]
    vectors: NDArray[np.float32] = field(compare=False)
    """Shape (n, d); a row is NaN where the image could not be read."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Path to reason, for images that could not be read."""

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What in one image speaks for a class; all but ``path`` and ``error`` is None where it could not be read."""

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
