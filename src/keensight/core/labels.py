"""What is suspected of a set's labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image whose label looks wrong to models that did not see it."""

    path: str
    digest: str
    part: str
    """``train``, ``val`` or ``test``."""
    given: str
    suggested: str
    """The class that is most probable instead."""
    score: float
    """Self-confidence: the probability of the given class, 0 to 1; the lowest is the most suspicious."""
    probability: float
    """That of the suggested class."""


@dataclass(frozen=True, slots=True)
class ClassNoise:
    """How many of the images that carry a label seem to belong elsewhere."""

    label: str
    n: int
    suspects: int
    noise: float
    """Estimated share of wrong labels, from the confident joint, 0 to 1."""
    mostly: str
    """The class that its wrong labels should mostly be; empty where there are none."""


@dataclass(frozen=True, slots=True)
class AccuracyRange:
    """Where a test accuracy lies, by what the suspects among the test images turn out to be."""

    n: int
    suspects: int
    """Of the test images."""
    measured: float
    """With the labels as given."""
    low: float
    """If exactly those suspects are mislabelled that counted as right."""
    high: float
    """If exactly those are mislabelled whose suggested class the model named."""
    corrected: float
    """If every suspect belongs to its suggested class."""


@dataclass(frozen=True, slots=True)
class LabelSuspects:
    """The outcome of a label check, as ``labels.json`` holds it."""

    n: int
    """Images that were judged."""
    method: str
    """How, in words."""
    accuracy: float
    """Share of images that the models, none of which saw the image, put into the given class."""
    noise: float
    """Estimated share of wrong labels over all classes, 0 to 1."""
    suspects: tuple[Suspect, ...]
    """The most suspicious first."""
    classes: tuple[ClassNoise, ...]
    accuracy_range: AccuracyRange | None = None
    """None where no test figures are at hand."""

    def headline(self) -> dict[str, Any]:
        """The figures as plain values, for ``run.json`` and ``train --json``."""
        found = self.accuracy_range
        bounds = None if found is None else [found.low, found.high]
        return {"n": self.n, "suspects": len(self.suspects), "noise": self.noise, "test_accuracy_range": bounds}

    def sentence(self) -> str:
        """How many suspects there are and what they mean for the test accuracy; one line of ASCII."""
        text = f"{len(self.suspects):,} of {self.n:,} labels are suspect"
        found = self.accuracy_range
        if found is None or not found.suspects:
            return text
        return (
            f"{text}; {found.suspects:,} of them in the test part: if they are wrong, its accuracy is "
            f"{found.low:.3f} to {found.high:.3f}"
        )
