"""Reasons to doubt a test result, one sentence each, with advice."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.audit import AuditReport, Finding
from keensight.core.evaluation import Caveat, Evaluated
from keensight.core.interval import Interval
from keensight.core.records import Dataset, Part, Split

FEW_IMAGES = 100
"""With fewer independent test images, the 95% confidence interval of 90% accuracy is over 12 percentage points wide."""
MARGIN = 0.01
"""Validation accuracy is slightly too optimistic anyway, because it chose the model: smaller differences are
ignored."""
LEAKED = 0.05
"""Fraction of the validation images up to which copies in the training set hardly change what is chosen on them."""
LEVEL = 0.99
_OWN_WORDS = frozenset({"group-leak", "ungrouped", "shortcut", "absent-class", "augmented-copies"})
"""Findings whose message is the caveat; others only if they are severe."""
_TOLD = frozenset({"leak", "near-leak", "duplicate", "near-duplicate", "label-conflict"})
"""Findings with a separate caveat, or none."""


def caveats_of(
    evaluation: Evaluated, findings: AuditReport, split: Split, validation: Interval | None = None
) -> tuple[Caveat, ...]:
    """All reasons from audit and validation set to doubt an evaluation.

    Args:
        evaluation: The evaluation of one split, with predictions.
        findings: The audit of that dataset.
        split: The split that the model was trained on.
        validation: Accuracy on the validation set, or in cross-validation, at the level :data:`LEVEL`; None: not
            measured.
    """
    found = [
        *_leaks(evaluation),
        *_leaked_validation(evaluation.dataset, findings, split),
        *_likely_groups(evaluation.dataset, evaluation.rows, evaluation.part, findings, split),
        *_few(evaluation),
        *_disagreement(evaluation, validation),
        *_conflicts(evaluation, findings),
        *_others(findings),
    ]
    return tuple(found)


def anomaly_caveats(evaluation: AnomalyEvaluation, findings: AuditReport, split: Split) -> tuple[Caveat, ...]:
    """The same for an anomaly detector, with scores and dataset."""
    anomaly_scores, dataset = evaluation.anomaly_scores, evaluation.dataset
    if anomaly_scores is None or anomaly_scores.indices is None or dataset is None:
        return ()
    found = []
    if evaluation.seen:
        found.append(
            Caveat(
                "leak",
                f"{evaluation.seen:,} of {evaluation.normal:,} normal test images resemble normal training or "
                f"validation images closely, so false alarms may be more frequent on new images.",
                "Add normal images of other items, or set groups.",
            )
        )
    found += _likely_groups(dataset, anomaly_scores.indices, evaluation.part, findings, split)
    alarms, expected = evaluation.false_alarms, evaluation.limits.rate
    if alarms is not None and alarms.low > expected:
        told = (
            f"{alarms.value:.1%} of the normal test images are flagged, but at most {expected:.1%} were expected: they "
            f"differ from the normal training images."
        )
        found.append(Caveat("validation-differs", told, "Add normal images that were taken as the test images were."))
    if evaluation.normal < FEW_IMAGES and evaluation.false_alarms is not None:
        low, high = evaluation.false_alarms.low, evaluation.false_alarms.high
        told = (
            f"The false-alarm rate is based on only {evaluation.normal:,} normal test images: on new images it "
            f"may be anything from "
        )
        found.append(Caveat("few-images", f"{told}{low:.1%} to {high:.1%} of new ones.", "Add normal test images."))
    return (*found, *_others(findings))


def _leaks(evaluation: Evaluated) -> Iterator[Caveat]:
    if not evaluation.seen:
        return
    told = (
        f"{evaluation.seen:,} of {evaluation.n:,} {evaluation.part} images have a duplicate or near-duplicate in "
        "another split, so the accuracy is too high"
    )
    if evaluation.cleaned is not None:
        clean = evaluation.cleaned
        told += f"; without them it is {clean.value:.1%} (95% CI {clean.low:.1%} to {clean.high:.1%})"
    yield Caveat("leak", f"{told}.", "Remove the duplicates from the training set, or split again.")


def _leaked_validation(dataset: Dataset, findings: AuditReport, split: Split) -> Iterator[Caveat]:
    """Validation images with a duplicate among the training images, if there are so many that choices suffer."""
    from keensight.data.audit.duplicates import ties

    trained, validated = frozenset(split.train), frozenset(split.val)
    tied = (tie for tie in ties(findings, dataset) if not trained.isdisjoint(tie))
    leaked = {i for tie in tied for i in validated.intersection(tie)}
    if len(leaked) <= LEAKED * len(validated):
        return
    yield Caveat(
        "validation-leak",
        f"{len(leaked):,} of {len(validated):,} validation images have a duplicate or an augmented copy in the "
        "training set, so the validation results are too high, and choices made on the validation set (confidence "
        "calibration, thresholds, early stopping) may not be valid.",
        "Split the original images first and augment only the training set, or leave the splits out to have them made.",
    )


def _likely_groups(
    dataset: Dataset, rows: NDArray[np.int64], part: str, findings: AuditReport, split: Split
) -> Iterator[Caveat]:
    """Test images whose suspected group (patient, track) was also trained on."""
    for finding in findings.findings:
        names = _suspected(dataset, finding)
        if names is None:
            continue
        others = {names[i] for other in _others_than(part) for i in getattr(split, other)} - {None}
        torn = sum(names[int(row)] in others for row in rows)
        if torn:
            yield Caveat(
                "likely-groups",
                f"{torn:,} of {len(rows):,} {part} images may show a subject that the model was trained "
                "on (the audit found likely groups, such as images of one patient, that this split does not keep "
                "together), so the accuracy may be too high.",
                f"If they are groups, train again with {finding.suggestion}.",
            )


def _others_than(part: str) -> list[Part]:
    return [name for name in ("train", "val", "test") if name != part]


def _suspected(dataset: Dataset, finding: Finding) -> list[str | None] | None:
    """The group of each sample suggested by a finding; None: no suggestion."""
    from keensight.data.sources.groups import grouped

    option, _, value = finding.suggestion.partition(" ")
    if option == "--group-regex":
        return [sample.group for sample in grouped(dataset, shlex.split(value)[0]).samples]
    if option == "--group":
        column = shlex.split(value)[0]
        values = [sample.metadata.get(column) for sample in dataset.samples]
        return [None if value is None or value == "" else str(value) for value in values]
    return None


def _few(evaluation: Evaluated) -> Iterator[Caveat]:
    clusters = evaluation.predictions.clusters
    units = evaluation.n if clusters is None else len(np.unique(clusters))
    if units < FEW_IMAGES:
        what = f"{evaluation.n:,} {evaluation.part} images"
        if units < evaluation.n:
            what += f" ({units:,} that are independent)"
        low, high = evaluation.accuracy.low, evaluation.accuracy.high
        told = f"The accuracy is based on only {what}: on new images it may be anything from {low:.1%} to {high:.1%}."
        yield Caveat("few-images", told, "Add test images before relying on it.")
    absent = [row.label for row in evaluation.per_class if not row.support]
    if absent:
        listed = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        told = f"There is no {evaluation.part} image of {listed}, so there is no result for "
        yield Caveat("absent-in-test", told + ("it." if len(absent) == 1 else "them."), "Add such images.")


def _disagreement(evaluation: Evaluated, validation: Interval | None) -> Iterator[Caveat]:
    from keensight.assess.intervals import difference, share

    if validation is None:
        return
    test = share(evaluation.predictions.right(), evaluation.predictions.clusters, LEVEL)
    gap = difference(validation, test)
    if gap.low <= MARGIN and gap.high >= -MARGIN:
        return
    told = (
        f"The accuracy is {validation.value:.1%} in validation but {test.value:.1%} on the {evaluation.part} "
        "set, more than chance explains. The images differ, so choices made in validation (confidence calibration, "
        "thresholds, early stopping) may not be valid."
    )
    causes = (
        "Check for augmented copies or images of one subject in both training and validation set"
        if gap.value > 0 else "Check for easier images in the test set"
    )  # fmt: skip
    yield Caveat("validation-differs", told, f"{causes}, or for a different source, camera or date of the test images.")


def _conflicts(evaluation: Evaluated, findings: AuditReport) -> Iterator[Caveat]:
    measured = set(evaluation.rows.tolist())
    groups = [g for f in findings.findings if f.kind == "label-conflict" for g in f.groups(evaluation.dataset)]
    touched = sum(len(measured.intersection(group)) for group in groups)
    if touched:
        told = f"{touched:,} {evaluation.part} images also appear under another label, so their result is arbitrary."
        yield Caveat("label-conflict", told, "Decide which label is right and delete the others.")


def _others(findings: AuditReport) -> Iterator[Caveat]:
    for finding in findings.findings:
        if finding.kind in _OWN_WORDS or (finding.severity == "severe" and finding.kind not in _TOLD):
            yield Caveat(finding.kind, finding.message, "")
