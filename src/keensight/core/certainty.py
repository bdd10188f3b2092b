"""When a model answers and when it says "I don't know", and how that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keensight.core.codec import from_plain, to_plain
from keensight.core.interval import Interval

Target = Literal["precision", "coverage"]
SURE = "below the threshold"
"""Why an image got no answer: its most probable class is not probable enough."""
UNLIKE = "unlike the training images"
"""Its embedding lies far from the training images' (:mod:`keensight.core.ood`)."""
NONE = "like none of the classes"
"""It is near no class mean of a bundle with enrolled classes (:mod:`keensight.core.nearest`)."""
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
        return from_plain(Decision, decision.get("answers", {}))

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
