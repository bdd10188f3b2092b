"""Record of an operating point: what a classifier's answer for one class is worth at one threshold."""

from __future__ import annotations

from dataclasses import dataclass

from keensight.core.interval import Interval


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One class against all others, flagged from a probability on.

    The intervals are Wilson's; where images come in groups (patients, tracks), at the effective number of images.
    """

    label: str
    part: str
    """What the images are: ``val``, ``test``, ..."""
    n: int
    threshold: float
    """An image is flagged where the probability of ``label`` is at least this."""
    target: str
    """What the threshold was chosen for, in words."""
    reached: bool
    """Whether the target is held with the confidence asked for; else the threshold is the nearest to it."""
    counts: tuple[int, int, int, int]
    """Images rightly not flagged, wrongly flagged, wrongly not flagged, rightly flagged (tn, fp, fn, tp)."""
    sensitivity: Interval | None
    """Share of the images of ``label`` that are flagged (recall); None: there are none."""
    specificity: Interval | None
    """Share of the other images that are not flagged; None: there are none."""
    precision: Interval | None
    """Share of the flagged images that are of ``label``, in the mix of classes here; None: none is flagged."""
    negative_value: Interval | None
    """Share of the images not flagged that are not of ``label``; None: all are flagged."""
    flagged: Interval
    """Share of all images that are flagged."""
    auroc: Interval | None
    """Area under the ROC curve, which needs no threshold; None: only one side is there."""
    curve: tuple[tuple[float, float, float], ...]
    """The ROC curve: threshold, share of the others flagged, share of ``label`` flagged; from none to all flagged."""

    def sentence(self) -> str:
        """The point in one sentence."""
        told = [
            f"{name} {share}"
            for name, share in (
                ("sensitivity", self.sensitivity), ("specificity", self.specificity), ("precision", self.precision)
            ) if share is not None
        ]  # fmt: skip
        return f"{self.label} from {self.threshold:.3f} on, {self.n:,} images of {self.part}: " + ", ".join(told)
