"""Apply label corrections to a dataset; no file is changed."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keensight.core.labels import Correction
from keensight.core.records import Dataset, Sample, Skipped
from keensight.core.registry import did_you_mean
from keensight.core.task import Task
from keensight.errors import DataError

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Applied:
    """Number of images changed by a corrections file."""

    relabelled: int
    dropped: int
    kept: int
    """Reviewed and unchanged."""
    already: int
    """Images that already had the new label."""

    def sentence(self) -> str:
        """For the terminal and the log."""
        text = f"corrections: {self.relabelled:,} relabeled, {self.dropped:,} dropped, {self.kept:,} kept as they are"
        return text + (f", {self.already:,} already had their new label" if self.already else "")


def apply_corrections(dataset: Dataset, corrections: Iterable[Correction]) -> tuple[Dataset, Applied]:
    """Relabel or drop images of a dataset; classes are unchanged.

    An image is found by its digest, and every copy of it with the reviewed label is corrected. Only a line without a
    digest is looked up by its path.

    Args:
        dataset: The image set.
        corrections: The decisions.

    Raises:
        DataError: the set is multi-label, a label is not a class of the set, an image is not in it or has changed, its
            label has changed since the review, or two lines contradict each other.
    """
    if dataset.task == Task.MULTILABEL:
        raise DataError(
            f"{dataset.name} is a multi-label set, and corrections assign one class per image",
            "correct its table by hand",
        )
    decided = _consistent(corrections)
    _check_classes(dataset, decided)
    by_digest: dict[str, list[int]] = defaultdict(list)
    by_path: dict[str, list[int]] = defaultdict(list)
    for number, sample in enumerate(dataset.samples):
        by_digest[sample.digest].append(number)
        by_path[sample.path].append(number)
    places = [by_digest[c.digest] if c.digest else by_path[c.path] for c in decided]
    _check_present(dataset, [c for c, found in zip(decided, places, strict=True) if not found], by_path)
    matched = [
        [i for i in found if dataset.samples[i].label == c.given] for c, found in zip(decided, places, strict=True)
    ]
    _check_fresh(dataset, decided, places, matched)
    new: dict[int, str | None] = {}
    for correction, found in zip(decided, matched, strict=True):
        if correction.action != "keep":
            new.update(dict.fromkeys(found, correction.label or None))
    kept = sum(len(found) for c, found in zip(decided, matched, strict=True) if c.action == "keep")
    already = sum(not found for c, found in zip(decided, matched, strict=True) if c.action == "relabel")
    gone = [number for number, label in new.items() if label is None]
    return _changed(dataset, new), Applied(len(new) - len(gone), len(gone), kept, already)


def _changed(dataset: Dataset, new: dict[int, str | None]) -> Dataset:
    samples = [
        sample if number not in new else dataclasses.replace(sample, label=new[number] or "")
        for number, sample in enumerate(dataset.samples)
    ]
    left = tuple(sample for sample in samples if sample.label)
    dropped = tuple(
        Skipped(dataset.samples[i].path, "dropped by the corrections") for i, label in new.items() if not label
    )
    return dataclasses.replace(dataset, samples=left, skipped=dataset.skipped + dropped)


def _consistent(corrections: Iterable[Correction]) -> list[Correction]:
    decided: dict[tuple[str, str], Correction] = {}
    for correction in corrections:
        key = (correction.digest or correction.path, correction.given)
        other = decided.setdefault(key, correction)
        if (other.action, other.label) != (correction.action, correction.label):
            raise DataError(
                f"the corrections contradict each other: {other.path} and {correction.path} are one image with the "
                f"label {other.given!r}, once {_words(other)}, once {_words(correction)}",
                "keep one of the two lines",
            )
    return list(decided.values())


def _words(correction: Correction) -> str:
    verb = {"keep": "kept", "drop": "dropped"}.get(correction.action)
    return verb or f"relabeled to {correction.label!r}"


def _check_classes(dataset: Dataset, corrections: Sequence[Correction]) -> None:
    for correction in corrections:
        if correction.action == "relabel" and correction.label not in dataset.labels.names:
            raise DataError(
                f"the corrections call {correction.path} {correction.label!r}, which is not a class of {dataset.name}",
                did_you_mean(correction.label, list(dataset.labels.names)),
            )


def _check_present(dataset: Dataset, lost: Sequence[Correction], by_path: dict[str, list[int]]) -> None:
    if not lost:
        return
    changed = [c for c in lost if c.path in by_path]
    if changed:
        raise DataError(
            f"the corrections contain {_count(changed)} that changed since the review: {_paths(changed)}",
            "review them again, or remove their lines",
        )
    raise DataError(
        f"the corrections contain {_count(lost)} missing from {dataset.name}: {_paths(lost)}",
        "give the corrections of this image set, or remove their lines",
    )


def _check_fresh(
    dataset: Dataset, corrections: Sequence[Correction], places: Sequence[list[int]], matched: Sequence[list[int]]
) -> None:
    stale = [
        (correction, dataset.samples[found[0]])
        for correction, found, same in zip(corrections, places, matched, strict=True)
        if not same and correction.label not in {dataset.samples[i].label for i in found}
    ]
    if stale:
        correction, sample = stale[0]
        raise DataError(
            f"the corrections contain {_count(stale)} whose label changed since the review: "
            f"{sample.path} is {sample.label!r} now and was {correction.given!r}",
            "review them again, or remove their lines",
        )


def _count(items: Sequence[Correction | tuple[Correction, Sample]]) -> str:
    return f"{len(items):,} image{'s' if len(items) > 1 else ''}"


def _paths(corrections: Sequence[Correction]) -> str:
    more = len(corrections) - _NAMED
    return ", ".join(c.path for c in corrections[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
