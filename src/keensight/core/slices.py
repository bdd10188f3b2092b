"""Records of how good a model is on slices of a part: on dark images, on those of one camera, and so on."""

from __future__ import annotations

from dataclasses import dataclass

from keensight.core.interval import Interval


@dataclass(frozen=True, slots=True)
class SliceScore:
    """How good a model is on the images that share one value, or a range of values, of one column."""

    column: str
    """Name of a metadata column or of an image property."""
    value: str
    """The value, or the range of a numeric column."""
    n: int
    accuracy: Interval
    rest: float
    """Accuracy on all other images, 0 to 1."""
    expected: float
    """Accuracy that its mix of classes alone would give: each class' accuracy, weighted as in the slice."""
    p: float
    """One-sided p-value of "no worse than the rest"."""
    adjusted: float
    """The same, corrected for all slices looked at (Holm)."""
    weak: bool
    """The corrected p-value is at most ``Slices.alpha``."""


@dataclass(frozen=True, slots=True)
class SmallSlices:
    """Values of a column that too few images have to say anything of them."""

    column: str
    values: int
    """How many values."""
    images: int
    """How many images in all."""
    examples: tuple[str, ...]
    """The largest of them, five at most."""


@dataclass(frozen=True, slots=True)
class Slices:
    """Every slice of a part that was looked at."""

    part: str
    n: int
    accuracy: float
    scores: tuple[SliceScore, ...]
    """In the order of the columns."""
    small: tuple[SmallSlices, ...]
    smallest: int
    """Fewest images of a slice."""
    alpha: float
    """Chance, at most, that any slice is called weak where none is."""
    groups: int | None
    """How many groups of images there are, or None where each image stands for itself."""
    method: str
    """How the slices were tested, in words."""

    def weakest(self) -> tuple[SliceScore, ...]:
        """Slices that are weak beyond chance, the lowest accuracy first."""
        return tuple(sorted((score for score in self.scores if score.weak), key=lambda score: score.accuracy.value))
