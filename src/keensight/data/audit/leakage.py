"""Data leakage: images and groups in more than one predefined split, and which scores that affects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keensight.core.audit import Severity
from keensight.core.records import PARTS, Part, Sample

_SETS: dict[Part, str] = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True, slots=True)
class Leak:
    """Groups of images that are in several predefined splits, with the same consequence."""

    places: tuple[int, ...]
    """The groups concerned, in their order."""
    words: str
    """``in both the training and the test set, so the test score is too optimistic``."""
    surplus: str
    """The set or sets to delete duplicates from: ``the training set``."""
    severity: Severity
    """``severe`` if the test set is concerned, else ``warning``."""


def leaks(groups: Sequence[Sequence[Sample]]) -> Iterator[Leak]:
    """Find groups that are also in the test set, then those in training and validation set only.

    Args:
        groups: Images that belong together (duplicates, or one patient).
    """
    held = [frozenset(sample.split for sample in group if sample.split is not None) for group in groups]
    for tested in (True, False):
        places = tuple(i for i, splits in enumerate(held) if len(splits) > 1 and ("test" in splits) is tested)
        if places:
            kinds = {held[i] for i in places}
            *others, kept = [_SETS[part] for part in PARTS if any(part in kind for kind in kinds)]
            surplus = f"the {' and '.join(others)} set{'s' if len(others) > 1 else ''}"
            verdict = "the test score is" if tested else "validation scores, and choices based on them, are"
            words = f"{_where(kinds, others, kept)}, so {verdict} too optimistic"
            yield Leak(places, words, surplus, "severe" if tested else "warning")


def _where(kinds: set[frozenset[Part]], others: Sequence[str], kept: str) -> str:
    if len(kinds) > 1:
        return f"in the {kept} set and also in the {' or '.join(others)} set"
    return f"in {'both ' if len(others) == 1 else ''}the {', the '.join(others)} and the {kept} set"
