"""How well anomalies are found: the records of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keensight.core.anomaly import AnomalyScores, Limits
from keensight.core.evaluation import Caveat
from keensight.core.interval import Interval
from keensight.core.records import Dataset


@dataclass(frozen=True, slots=True)
class KindScore:
    """How well one kind of anomaly is found."""

    kind: str
    n: int
    recall: Interval


@dataclass(frozen=True, slots=True)
class AnomalyEvaluation:
    """How well anomalous images are distinguished from normal ones on one split of a dataset.

    Examples:
        >>> run = ks.train("parts/", task="anomaly", normal="good")
        >>> evaluation = ks.evaluate(run)
        >>> isinstance(evaluation, ks.AnomalyEvaluation), evaluation.anomalous
        (True, 20)
    """

    part: str
    normal: int
    anomalous: int
    auroc: Interval | None
    """Area under the ROC curve: the probability that an anomalous image scores above a normal one. None if the split
    lacks one kind."""
    recall: Interval | None
    """Fraction of the anomalous images that reach the threshold (sensitivity)."""
    false_alarms: Interval | None
    """Fraction of the normal images that reach it (false positive rate)."""
    limits: Limits
    kinds: tuple[KindScore, ...] = ()
    seconds: float = 0.0
    seen: int = 0
    """Number of normal images with a duplicate or near-duplicate among the normal training or validation images."""
    caveats: tuple[Caveat, ...] = ()
    """Reasons to doubt the result."""
    anomaly_scores: AnomalyScores | None = field(default=None, compare=False, repr=False)
    dataset: Dataset | None = field(default=None, compare=False, repr=False)
    """With the original classes; not saved."""

    @property
    def n(self) -> int:
        """Number of images."""
        return self.normal + self.anomalous

    def headline(self) -> dict[str, Any]:
        """The metrics as plain values."""
        found: dict[str, Any] = {"n": self.n, "normal": self.normal, "anomalous": self.anomalous}
        for name in ("auroc", "recall", "false_alarms"):
            one: Interval | None = getattr(self, name)
            if one is not None:
                found |= {name: one.value, f"{name}_ci": [one.low, one.high]}
        found |= {"expected_false_alarms": self.limits.rate, "seen": self.seen}
        return found | {"caveats": [one.plain() for one in self.caveats]}
