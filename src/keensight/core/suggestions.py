"""Unlabeled images that are worth labeling, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One unlabeled image.

    Examples:
        >>> first = ks.suggest(run, "photos/", count=1).items[0]
        >>> first.label in run.dataset.labels.names, 0 <= first.uncertainty <= 1
        (True, True)
    """

    path: str
    label: str
    """The most probable class, or in a multi-label set the most doubtful label."""
    probability: float
    other: str | None
    """The second most probable class; None: multi-label."""
    other_probability: float | None
    uncertainty: float
    """0: certain, to 1: undecided."""
    reason: str
    """In words, for people."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Unlabeled images, ranked by what labeling them would bring.

    Examples:
        >>> found = ks.suggest(run, "photos/", count=10)
        >>> found
        <Suggestions: 10 of 120 images>
    """

    items: tuple[Suggestion, ...]
    labels: tuple[str, ...]
    """The model's classes, in order."""
    searched: int
    """Number of images that were ranked."""
    errors: dict[str, str]
    """Path to reason, for images that could not be read."""

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<Suggestions: {len(self):,} of {self.searched:,} images>"

    def rows(self) -> list[dict[str, Any]]:
        """One plain dictionary per image, the most useful first, as ``suggest --json`` prints them."""
        return [{"rank": place, **asdict(item)} for place, item in enumerate(self.items, start=1)]
