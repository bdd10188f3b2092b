"""A metric with its confidence interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A metric with its confidence interval."""

    value: float
    low: float
    high: float
    level: float = 0.95
    method: str = "wilson"

    def __str__(self) -> str:
        """``0.863 (0.825 to 0.894)``."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"
