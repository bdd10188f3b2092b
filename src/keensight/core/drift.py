"""Comparison of new images with those that a model was tested on: what is compared, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIXELS = ("brightness", "contrast", "sharpness", "saturation")
"""Computed from an image at the model's input size, 0 to 1."""
FILE = ("megapixels", "aspect ratio")
"""Computed from an image's header; the aspect ratio is width over height."""
OUTPUT = ("confidence", "out-of-distribution score")
"""Computed by the model."""
NUMBERS = (*PIXELS, *FILE, *OUTPUT)
CLASS = "predicted class"
PROPERTIES = (*NUMBERS, CLASS)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Properties of n images and of their predictions."""

    values: NDArray[np.float32]
    """Shape (n, properties), in the order of :data:`NUMBERS`; NaN: unknown."""
    classes: NDArray[np.int64]
    """Shape (n,): the most probable class; -1: unknown."""

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> NDArray[np.float64]:
        """The known values of one of :data:`PROPERTIES`."""
        if name == CLASS:
            return self.classes[self.classes >= 0].astype(np.float64)
        values = self.values[:, NUMBERS.index(name)].astype(np.float64)
        return values[~np.isnan(values)]

    @staticmethod
    def joined(parts: list[Measured]) -> Measured:
        """Several of these as one."""
        values = [part.values for part in parts] or [np.zeros((0, len(NUMBERS)), np.float32)]
        classes = [part.classes for part in parts] or [np.zeros(0, np.int64)]
        return Measured(np.concatenate(values), np.concatenate(classes))


@dataclass(frozen=True, slots=True)
class Shift:
    """How one property of the new images differs from that of the test images."""

    property: str
    distance: float
    """Largest difference of the two cumulative distributions, 0 to 1 (Kolmogorov-Smirnov)."""
    p: float
    adjusted: float
    """The p-value corrected for the number of properties (Holm)."""
    differs: bool
    """The corrected p-value is at most the level, and the distance is not negligible."""
    tested: float | None = None
    """Median of the test images; None for classes."""
    new: float | None = None
    """Median of the new images; None for classes."""
    change: str = ""
    """For classes: the one whose fraction changed most, and how."""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """Whether new images are like those that a model was tested on.

    Examples:
        >>> found = ks.drift(run, "photos/")
        >>> found.n, found.differs
        (120, False)
    """

    n: int
    """Number of new images."""
    reference: int
    """Number of test images."""
    level: float
    """Maximum probability of a false alarm."""
    shifts: tuple[Shift, ...]
    """In the order of :data:`PROPERTIES`, those that are known of both."""
    unlike: float | None = None
    """Fraction of the new images that are out-of-distribution; None: the model does not detect them."""
    expected_unlike: float | None = None
    """The same of the test images."""
    unreadable: int = 0
    """Number of files that could not be read, which are not compared."""
    notes: tuple[str, ...] = field(default=())
    """What could not be compared."""

    @property
    def differs(self) -> bool:
        """Whether the new images are not like the test images."""
        return any(shift.differs for shift in self.shifts)

    def sentence(self) -> str:
        """The result."""
        found = sorted((shift for shift in self.shifts if shift.differs), key=lambda shift: -shift.distance)
        if not self.shifts:
            return "nothing could be compared with the test images"
        if not found:
            return f"no difference to the test images was found ({self.n:,} images, {len(self.shifts)} properties)"
        names = ", ".join(shift.property for shift in found[:3]) + (", ..." if len(found) > 3 else "")
        return f"these images are not like the test images: they differ in {names}"

    def document(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "n": self.n, "reference": self.reference, "level": self.level, "differs": self.differs,
            "sentence": self.sentence(), "out_of_distribution": self.unlike,
            "out_of_distribution_of_test_images": self.expected_unlike, "unreadable": self.unreadable,
            "notes": list(self.notes),
            "properties": [
                {"property": one.property, "distance": one.distance, "p": one.p, "adjusted": one.adjusted,
                 "differs": one.differs, "tested": one.tested, "new": one.new, "change": one.change or None}
                for one in self.shifts
            ],
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"<DriftReport {self.sentence()}>"
