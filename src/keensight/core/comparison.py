"""Records of comparisons: two models on the same images, several seeds, and the learning curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keensight.core.interval import Interval


@dataclass(frozen=True, slots=True)
class Change:
    """An image that one of two models classifies correctly and the other does not."""

    path: str
    truth: str
    first: str
    """The first model's prediction."""
    second: str

    @property
    def won(self) -> bool:
        """Whether the second model is the correct one."""
        return self.second == self.truth


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same images; differences are second minus first."""

    first: str
    second: str
    n: int
    left_out: int
    """Images that were not compared because one of the two models was trained on them."""
    groups: int | None
    """Number of image groups, or None if the images are independent."""
    accuracy: tuple[Interval, Interval]
    difference: Interval
    """Of the accuracy difference."""
    p: float
    """Two-sided p-value of the hypothesis that both are equally accurate."""
    test: str
    macro_f1: Interval
    """Difference of the macro F1."""
    loss: Interval
    """Difference of the cross-entropy in nats; below 0 the second is better."""
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()
    """What readers must know to interpret the results."""
    left_out_by: Mapping[str, int] = field(default_factory=dict)
    """Excluded images of a source by the way they were recognized: ``same_file``, ``same_pixels``, ``look_alike``;
    empty without a source."""

    @property
    def won(self) -> tuple[Change, ...]:
        """Images that only the second model classifies correctly."""
        return tuple(change for change in self.changes if change.won)

    @property
    def lost(self) -> tuple[Change, ...]:
        """Images that only the first model classifies correctly."""
        return tuple(change for change in self.changes if change.first == change.truth)


@dataclass(frozen=True, slots=True)
class Spread:
    """One metric over several trainings that differ only in the seed."""

    figure: str
    values: tuple[float, ...]
    mean: float
    deviation: float
    """Standard deviation of a single training (n - 1)."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy after training on some of the images."""

    images: int
    """Mean over the random subsets."""
    accuracies: tuple[float, ...]
    """One value per random subset."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """How accuracy grows with the number of training images, extrapolated to twice as many."""

    source: str
    model: str
    val: int
    """Number of validation images it was measured on."""
    points: tuple[CurvePoint, ...]
    floor: float
    """``a`` of the fitted error ``a + b * images ** -c``."""
    factor: float
    exponent: float
    doubled: Interval
    """Expected gain in accuracy from twice as many images."""

    def error(self, images: float) -> float:
        """Fitted error rate after training on this many images."""
        return float(self.floor + self.factor * images**-self.exponent)
