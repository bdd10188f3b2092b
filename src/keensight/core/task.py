"""What is to be learned: one class an image, any number of labels, or what normal images look like."""

from __future__ import annotations

from enum import StrEnum


class Task(StrEnum):
    """What a dataset, a run and a model are for.

    Example:
        >>> Task("multilabel").nouns
        'labels'
        >>> Task("single-label") is Task.MULTICLASS  # as manifests call it
        True
    """

    MULTICLASS = "multiclass"
    """Each image has one class."""
    MULTILABEL = "multilabel"
    """Each image has any number of labels, maybe none."""
    ANOMALY = "anomaly"
    """Some classes are normal; images that look unlike them are anomalous."""

    @classmethod
    def _missing_(cls, value: object) -> Task | None:
        return cls.MULTICLASS if value == _IN_MANIFESTS else None

    @property
    def in_manifest(self) -> str:
        """The word in a bundle's manifest; another one would need a new schema, which older versions refuse."""
        return _IN_MANIFESTS if self is Task.MULTICLASS else self.value

    @property
    def noun(self) -> str:
        """What an image has: ``class`` or ``label``."""
        return "label" if self is Task.MULTILABEL else "class"

    @property
    def nouns(self) -> str:
        """The plural of :attr:`noun`."""
        return "labels" if self is Task.MULTILABEL else "classes"


_IN_MANIFESTS = "single-label"
