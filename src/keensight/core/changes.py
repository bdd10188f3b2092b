"""What has changed in an image set since a run was made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from keensight.core.records import Dataset, Sample


@dataclass(frozen=True, slots=True)
class Change:
    """One image that has changed."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class DatasetChanges:
    """An image set compared with its earlier state."""

    before: str
    """Digest of the earlier state (``Dataset.digest``: paths, labels and content, in any order)."""
    after: str
    unchanged: int
    """Images with the same path, content, label, group and split."""
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Same path, different content: edited, re-encoded or replaced."""
    moved: tuple[Change, ...]
    """Same content, different path: old path and new path."""
    relabelled: tuple[Change, ...]
    regrouped: tuple[Change, ...]
    """Different group; empty text if there is none."""
    resplit: tuple[Change, ...]
    """Different predefined split; empty text if there is none."""

    @property
    def same(self) -> bool:
        """Whether nothing has changed."""
        return self.before == self.after and not (self.regrouped or self.resplit)


def compare(before: Dataset, after: Dataset) -> DatasetChanges:
    """Compare a dataset with its earlier state.

    Images are matched by path and then by content, so that an image in another folder counts as moved. A moved or
    changed image may also be relabeled.

    Args:
        before: The earlier state, such as ``Run.dataset``.
        after: The state now.
    """
    old, new = _by_path(before.samples), _by_path(after.samples)
    pairs = [(old[key], new[key]) for key in old if key in new]
    moves, lost, fresh = _moves(
        [old[key] for key in old if key not in new], [new[key] for key in new if key not in old]
    )
    both = [*pairs, *moves]
    relabelled = _differing(both, "label")
    regrouped = _differing(both, "group")
    resplit = _differing(both, "split")
    return DatasetChanges(
        before=before.digest,
        after=after.digest,
        unchanged=sum(_facts(a) == _facts(b) for a, b in pairs),
        added=tuple(sample.path for sample in fresh),
        removed=tuple(sample.path for sample in lost),
        changed=tuple(b.path for a, b in pairs if a.digest != b.digest),
        moved=tuple(Change(b.path, a.path, b.path) for a, b in moves),
        relabelled=relabelled,
        regrouped=regrouped,
        resplit=resplit,
    )


def _facts(sample: Sample) -> tuple[str, str, str | None, str | None]:
    return sample.digest, sample.label, sample.group, sample.split


def _by_path(samples: Sequence[Sample]) -> dict[tuple[str, int], Sample]:
    """Samples by path; a path that is listed several times gets a number."""
    seen: dict[str, int] = defaultdict(int)
    found = {}
    for sample in samples:
        found[(sample.path, seen[sample.path])] = sample
        seen[sample.path] += 1
    return found


def _moves(
    gone: Sequence[Sample], come: Sequence[Sample]
) -> tuple[list[tuple[Sample, Sample]], list[Sample], list[Sample]]:
    """Pairs of the same content under two paths, the remaining old samples, and the remaining new ones."""
    waiting: dict[str, list[Sample]] = defaultdict(list)
    for sample in come:
        waiting[sample.digest].append(sample)
    pairs, lost = [], []
    for sample in gone:
        if sample.digest and waiting[sample.digest]:
            pairs.append((sample, waiting[sample.digest].pop(0)))
        else:
            lost.append(sample)
    taken = {id(new) for _, new in pairs}
    return pairs, lost, [sample for sample in come if id(sample) not in taken]


def _differing(pairs: Sequence[tuple[Sample, Sample]], name: str) -> tuple[Change, ...]:
    values = ((b.path, getattr(a, name) or "", getattr(b, name) or "") for a, b in pairs)
    return tuple(Change(path, old, new) for path, old, new in values if old != new)
