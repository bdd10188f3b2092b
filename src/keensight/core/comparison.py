"""Records of comparisons: two models on the same images, and one kind of model on more and more of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keensight.core.interval import Interval


@dataclass(frozen=True, slots=True)
class Change:
    """An image that one of two models classifies right and the other does not."""

    path: str
    truth: str
    first: str
    """What the first model says."""
    second: str

    @property
    def won(self) -> bool:
        """Whether the second model is the one that is right."""
        return self.second == self.truth


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same images; differences are the second's figure minus the first's."""

    first: str
    second: str
    n: int
    left_out: int
    """Images that were not compared, as one of the two had learned from them."""
    groups: int | None
    """How many groups of images there are, or None where each image stands for itself."""
    accuracy: tuple[Interval, Interval]
    difference: Interval
    """Of the accuracy."""
    p: float
    """Two-sided p-value of "both are right equally often"."""
    test: str
    macro_f1: Interval
    """Difference of the macro F1."""
    loss: Interval
    """Difference of the cross-entropy in nats; below 0 the second is better."""
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know to trust the figures."""
    left_out_by: Mapping[str, int] = field(default_factory=dict)
    """Of the images of a source that were left out, how many were recognized in which way: ``same_file``,
    ``same_pixels``, ``look_alike``; empty without a source."""

    @property
    def won(self) -> tuple[Change, ...]:
        """Images that only the second model classifies right."""
        return tuple(change for change in self.changes if change.won)

    @property
    def lost(self) -> tuple[Change, ...]:
        """Images that only the first model classifies right."""
        return tuple(change for change in self.changes if change.first == change.truth)


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over trainings that differ in their seed."""

    figure: str
    values: tuple[float, ...]
    mean: float
    deviation: float
    """Standard deviation of a single training (n - 1)."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy after learning from some of the images."""

    images: int
    """Mean over the draws."""
    accuracies: tuple[float, ...]
    """One a draw."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """How accuracy grows with the number of training images, and what twice as many would give."""

    source: str
    model: str
    val: int
    """Validation images that it was measured on."""
    points: tuple[CurvePoint, ...]
    floor: float
    """``a`` of the fitted error ``a + b * images ** -c``."""
    factor: float
    exponent: float
    doubled: Interval
    """Gain in accuracy from twice the images."""

    def error(self, images: float) -> float:
        """Fitted share of wrong answers after learning from so many images."""
        return float(self.floor + self.factor * images**-self.exponent)
