"""What was compared between a model and its export, and whether the export may be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keensight.core.interval import Interval

Precision = Literal["float32", "float16", "int8"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One condition of the parity gate."""

    name: str
    """``largest difference of a probability``."""
    measured: str
    allowed: str
    ok: bool


_LOSS = 0.05
"""A loss of accuracy that would matter."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How closely an export reproduces the model that was evaluated, on the same images.

    Examples:
        >>> found = ks.export(run, to="litert", out="exports/phone").parity
        >>> found.ok, found.agreement
        (True, 1.0)
    """

    precision: Precision
    """Of the export; it decides which limits apply."""
    self_test: int
    """Number of images of the bundle's self-test that were compared."""
    held_out: int
    """Number of test images that were compared; 0: none were available."""
    largest: float
    """Largest difference of a probability; of an anomaly score, as a fraction of it."""
    agreement: float
    """Fraction of the images with the same prediction, 0 to 1."""
    smaller: float
    """Size of the float32 network over that of the export."""
    accuracy: Interval | None = None
    """Fraction of the test images that the export predicts correctly; None: no test images."""
    original: Interval | None = None
    """The same of the model."""
    difference: Interval | None = None
    """Accuracy of the export minus that of the model, a paired interval."""
    worst_class: str = ""
    """The class whose recall decreases most; empty: none does."""
    worst_drop: float = 0.0
    """By how much it decreases, 0 to 1."""
    refused: tuple[float, float] | None = None
    """Fraction of the images that are out-of-distribution for the model and for its export; None: there is no rule."""
    limits: tuple[Limit, ...] = ()
    note: str = ""
    """What could not be compared, in a sentence."""

    @property
    def images(self) -> int:
        """Number of images compared."""
        return self.self_test + self.held_out

    @property
    def ok(self) -> bool:
        """Whether every limit is kept."""
        return all(limit.ok for limit in self.limits)

    def refusal(self) -> str:
        """The limits that are not kept, in one sentence without its end."""
        return "; ".join(f"{one.name} is {one.measured} (allowed: {one.allowed})" for one in self.limits if not one.ok)

    def doubt(self) -> str:
        """Of an export that need not predict the same (int8), what that may cost; empty of any other."""
        gain = self.difference
        if self.precision != "int8" or gain is None:
            return ""
        others = round((1 - self.agreement) * self.images)
        told = (
            f"it predicts otherwise for {others:,} of {self.images:,} images; accuracy on the {self.held_out:,} test "
            f"images {100 * gain.value:+.1f} points (95% CI {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
        )
        few = "; too few test images to rule out a loss of 5 points or more"
        return told + few if gain.low <= -_LOSS else told

    def __repr__(self) -> str:
        verdict = "passed" if self.ok else "failed"
        return f"<Parity {verdict}: {self.images:,} images, largest difference {self.largest:.2g}, agreement " + (
            f"{self.agreement:.4f}>"
        )
