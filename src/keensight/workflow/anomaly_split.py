"""Split for anomaly detection: normal images are split, all others are test images."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from keensight.core.anomaly import ANOMALOUS, NORMAL
from keensight.core.audit import AuditReport
from keensight.core.config import RunConfig
from keensight.core.records import PARTS, Dataset, LabelSet, Split
from keensight.errors import DataError

_APART = "The split does not keep near-duplicates together, because too few independent images would be left."


def as_anomalies(dataset: Dataset, normal: tuple[str, ...]) -> Dataset:
    """The same images with two classes, normal and anomalous."""
    samples = tuple(
        dataclasses.replace(sample, label=NORMAL if sample.label in normal else ANOMALOUS) for sample in dataset.samples
    )
    return dataclasses.replace(dataset, labels=LabelSet((NORMAL, ANOMALOUS)), samples=samples)


def divide(normal: tuple[str, ...], config: RunConfig, dataset: Dataset, findings: AuditReport) -> Split:
    """The split; of its training and validation set only normal images are used.

    A predefined test set is kept. Otherwise the normal images are split, and all anomalous ones are test images, except
    duplicates and members of the group of a normal training or validation image. Near-duplicates among normal images
    stay together, unless that would leave a set with less than half of the normal images that it
    has without: parts before one camera may all look alike.

    Args:
        normal: The classes that are normal.
        config: Settings; of ``dataset`` the fractions, of ``train`` the seed.
        dataset: The image set with its own classes.
        findings: Its audit.

    Raises:
        DataError: there are too few normal images, or no anomalous one to test with.
    """
    from keensight.data.audit.duplicates import ties

    known = frozenset(i for i, sample in enumerate(dataset.samples) if sample.label in normal)
    near = [tuple(i for i in tie if i in known) for tie in ties(findings, dataset)]
    apart = _dealt(normal, config, dataset, findings, ())
    try:
        together = _dealt(normal, config, dataset, findings, near)
    except DataError:  # too few units are left
        return _noted(apart, _APART)
    enough = all(2 * _count(together, known, n) >= _count(apart, known, n) for n in range(len(PARTS)))
    return together if enough else _noted(apart, _APART)


def _count(split: Split, known: frozenset[int], number: int) -> int:
    return sum(int(i) in known for i in split.part(PARTS[number]))


def _noted(split: Split, words: str) -> Split:
    return dataclasses.replace(split, method=f"{split.method} {words}".strip())


def _dealt(
    normal: tuple[str, ...], config: RunConfig, dataset: Dataset, findings: AuditReport, ties: Sequence[Sequence[int]]
) -> Split:
    from keensight.data.splits import make_split

    classes, given = as_anomalies(dataset, normal), config.data
    barred = findings.unusable(dataset) | {i for i, sample in enumerate(dataset.samples) if sample.error}
    tested = any(sample.split == "test" for sample in dataset.samples)
    odd = [i for i, sample in enumerate(classes.samples) if sample.label == ANOMALOUS and i not in barred]
    if not tested:
        if not odd:
            raise DataError(f"{dataset.name} has no anomalous test images", "add images with at least one defect")
        classes = dataclasses.replace(classes, labels=LabelSet((NORMAL,)))
        barred |= set(odd)
    split = make_split(
        classes, exclude=barred, val_share=given.val_share, test_share=given.test_share, seed=config.train.seed,
        ties=ties,
    )  # fmt: skip
    return split if tested else _with_anomalies(split, classes, odd)


def _with_anomalies(split: Split, dataset: Dataset, odd: Collection[int]) -> Split:
    """Put all anomalous images into the test set, except those of a predefined validation set or tied to normal
    ones."""
    from keensight.data.units import tokens

    learned = tokens(dataset.samples).shared_with((*split.train, *split.val))
    kept = tuple(i for i in odd if dataset.samples[i].split == "val")
    free = tuple(i for i in odd if i not in kept and not learned[i])
    dealt = split.method.replace("of all images", "of the normal images")
    words = f"{dealt} {len(free):,} anomalous image{'s are' if len(free) != 1 else ' is'} in the test set."
    bound = len(odd) - len(kept) - len(free)
    if bound:
        words += (
            f" {bound:,} more are not used: they share a group with normal training or validation images, or "
            f"duplicate them."
        )
    val, test = (tuple(sorted((*part, *more))) for part, more in ((split.val, kept), (split.test, free)))
    return dataclasses.replace(split, val=val, test=test, method=words)


def refuse_unsplittable(dataset: Dataset, normal: tuple[str, ...], config: RunConfig) -> None:
    """Refuse a set that cannot be split, by its headers, before anything is decoded or written.

    Raises:
        DataError: there are too few normal images, or no anomalous one to test with.
    """
    from keensight.data.audit.audit import audit

    divide(normal, config, dataset, audit(dataset))


def seen_normals(findings: AuditReport, dataset: Dataset, split: Split, normal: tuple[str, ...]) -> int:
    """Number of normal test images with a near-duplicate among normal training or validation images."""
    from keensight.data.audit.duplicates import ties

    known = {i for i, sample in enumerate(dataset.samples) if sample.label in normal}
    test, learned = known.intersection(split.test), known.intersection((*split.train, *split.val))
    return len({i for tie in ties(findings, dataset) if learned.intersection(tie) for i in tie if i in test})


def as_divided(findings: AuditReport, split: Split, seen: int, tested: int) -> AuditReport:
    """Correct what the audit, which knows no anomaly detection, says of the split: no training or validation image
    need be anomalous, and near-duplicates may be on both sides.

    Args:
        findings: The audit.
        split: The split that was made.
        seen: See :func:`seen_normals`.
        tested: Number of normal test images.
    """
    from keensight.data.audit.checks import ABSENT
    from keensight.data.audit.duplicates import KEPT_TOGETHER

    untested = ABSENT.format("test")
    kept = tuple(one for one in findings.findings if one.kind != "absent-class" or one.message.startswith(untested))
    findings = dataclasses.replace(findings, findings=kept)
    if _APART not in split.method:
        return findings
    told = (
        f"this run's split does not keep them together, because too few independent images would be left: {seen:,} of "
        f"{tested:,} normal test images {'has' if seen == 1 else 'have'} a near-duplicate among the training or "
        "validation images"
    )
    changed = tuple(
        dataclasses.replace(one, message=one.message.replace(KEPT_TOGETHER, told))
        if one.kind == "near-duplicate" else one for one in findings.findings
    )  # fmt: skip
    return dataclasses.replace(findings, findings=changed)
