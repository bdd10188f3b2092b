"""Reasons to doubt a test result, one sentence each, with advice."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.audit import AuditReport, Finding
from keensight.core.evaluation import Caveat, Evaluated
from keensight.core.interval import Interval
from keensight.core.records import Dataset, Part, Split

FEW_IMAGES = 100
"""With fewer independent test images, the 95% confidence interval of 90% accuracy is over 12 percentage points wide."""
FEW_ANOMALOUS = 20
"""With fewer anomalous test images, the 95% confidence interval of 90% recall is over 27 percentage points wide."""
FEW_UNSEEN = 19
"""With fewer unseen normal images behind a threshold, the highest score alone decides it, and over 5% of normal images
are expected above it."""
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
        *_disagreement(evaluation, validation, split),
        *_conflicts(evaluation, findings),
        *_others(findings),
    ]
    return tuple(found)


def anomaly_caveats(
    evaluation: AnomalyEvaluation, findings: AuditReport, split: Split, normal: Collection[str]
) -> tuple[Caveat, ...]:
    """The same for an anomaly detector of the given normal classes, with scores and dataset."""
    anomaly_scores, dataset = evaluation.anomaly_scores, evaluation.dataset
    if anomaly_scores is None or anomaly_scores.indices is None or dataset is None:
        return ()
    found = [
        *_seen_normals(evaluation),
        *_both_kinds(dataset, anomaly_scores.indices, findings, split, normal),
        *_likely_groups(dataset, anomaly_scores.indices, evaluation.part, findings, split),
        *_guessing(evaluation),
        *_more_alarms(evaluation),
        *_few_for_detector(evaluation),
        *_others(findings),
    ]
    return tuple(found)


def _seen_normals(evaluation: AnomalyEvaluation) -> Iterator[Caveat]:
    if evaluation.seen:
        told = (
            f"{evaluation.seen:,} of {_images(evaluation.normal, 'normal test')} "
            f"{'resembles' if evaluation.seen == 1 else 'resemble'} normal training or validation images closely, so "
            "false alarms may be more frequent on new images."
        )
        yield Caveat("leak", told, "Add normal images of other items, or set groups.")


def _both_kinds(
    dataset: Dataset, rows: NDArray[np.int64], findings: AuditReport, split: Split, normal: Collection[str]
) -> Iterator[Caveat]:
    """Images in both a normal and an anomalous class that were tested or learned from."""
    known = {i for i, sample in enumerate(dataset.samples) if sample.label in normal}
    learned, tested = known.intersection((*split.train, *split.val)), set(rows.tolist())
    groups = [set(g) for f in findings.findings if f.kind == "label-conflict" for g in f.groups(dataset)]
    mixed = [group for group in groups if group & known and group - known and group & (learned | tested)]
    if mixed:
        told = (
            f"{len(mixed):,} image{' appears' if len(mixed) == 1 else 's appear'} in both a normal and an anomalous "
            "class, so the detector may have learned anomalies as normal, and the result of these images is arbitrary."
        )
        yield Caveat("label-conflict", told, "Decide which class is right and delete the others.")
    leaked = sum(len((group - known) & tested) for group in mixed if group & learned)
    if leaked:
        told = (
            f"{leaked:,} of {_images(len(tested - known), 'anomalous test')} {'is' if leaked == 1 else 'are'} also "
            "among the normal training or validation images, so the detector takes such images for normal."
        )
        yield Caveat("leak", told, "Remove them from the normal images.")


def _guessing(evaluation: AnomalyEvaluation) -> Iterator[Caveat]:
    area = evaluation.auroc
    if area is not None and area.low <= 0.5:
        told = (
            f"The AUROC may be as low as {area.low:.3f} (95% confidence interval), and 0.5 is guessing: the detector "
            "may be no better than guessing."
        )
        yield Caveat("guessing", told, "Add test images, and look at the heatmaps.")


def _more_alarms(evaluation: AnomalyEvaluation) -> Iterator[Caveat]:
    """More false alarms than chance explains, which the threshold, from few images, has a part in as well."""
    from keensight.assess.anomaly import chance_of_alarms

    alarms, limits = evaluation.false_alarms, evaluation.limits
    if alarms is None or alarms.low <= limits.rate:  # the interval counts duplicates and groups once
        return
    if chance_of_alarms(round(alarms.value * evaluation.normal), evaluation.normal, limits) > 1 - LEVEL:
        return
    told = (
        f"{alarms.value:.1%} of the normal test images are flagged, but at most {limits.rate:.1%} were expected: they "
        f"differ from the normal training images."
    )
    yield Caveat("validation-differs", told, "Add normal images that were taken as the test images were.")


def _few_for_detector(evaluation: AnomalyEvaluation) -> Iterator[Caveat]:
    unseen = evaluation.limits.images
    if unseen < FEW_UNSEEN:
        told = f"The threshold is based on only {_images(unseen, 'unseen normal')}, so it is uncertain."
        yield Caveat("few-images", told, "Add normal training images.")
    for name, rate, n, kind, few in (
        ("false-alarm rate", evaluation.false_alarms, evaluation.normal, "normal test", FEW_IMAGES),
        ("recall", evaluation.recall, evaluation.anomalous, "anomalous test", FEW_ANOMALOUS),
    ):
        if rate is not None and n < few:
            told = (
                f"The {name} is based on only {_images(n, kind)}: on new images it may be anything from "
                f"{rate.low:.1%} to {rate.high:.1%}."
            )
            yield Caveat("few-images", told, f"Add {kind} images.")


def _images(n: int, kind: str) -> str:
    return f"{n:,} {kind} image{'' if n == 1 else 's'}"


def _have(n: int) -> str:
    return "has" if n == 1 else "have"


def _leaks(evaluation: Evaluated) -> Iterator[Caveat]:
    if not evaluation.seen:
        return
    told = (
        f"{evaluation.seen:,} of {_images(evaluation.n, evaluation.part)} {_have(evaluation.seen)} a duplicate or "
        "near-duplicate in another split, so the accuracy is too high"
    )
    if evaluation.cleaned is not None:
        clean = evaluation.cleaned
        told += f"; without them it is {clean.value:.1%} (95% CI {clean.low:.1%} to {clean.high:.1%})"
    elif evaluation.all_seen:
        told += " and says nothing about new images"
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
        f"{len(leaked):,} of {_images(len(validated), 'validation')} {_have(len(leaked))} a duplicate or an augmented "
        "copy in the training set, so the validation results are too high, and choices made on the validation set "
        "(confidence calibration, thresholds, early stopping) may not be valid.",
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
                f"{torn:,} of {_images(len(rows), part)} may show a subject that the model was trained "
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
    if units < FEW_IMAGES and not evaluation.all_seen:
        what = _images(evaluation.n, evaluation.part)
        if units < evaluation.n:
            what += f" ({units:,} that {'is' if units == 1 else 'are'} independent)"
        labels = evaluation.multilabel
        name, found = ("accuracy", evaluation.accuracy) if labels is None else ("mAP", labels.mean_average_precision)
        between = f"{found.low:.1%} to {found.high:.1%}"
        told = f"The {name} is based on only {what}: on new images it may be anything from {between}."
        yield Caveat("few-images", told, "Add test images before relying on it.")
    absent = [row.label for row in evaluation.per_class if not row.support]
    if absent:
        listed = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        told = f"There is no {evaluation.part} image of {listed}, so there is no result for "
        yield Caveat("absent-in-test", told + ("it." if len(absent) == 1 else "them."), "Add such images.")


def _learned(evaluation: Evaluated, split: Split) -> NDArray[np.bool_]:
    """Which images are of classes that the training or validation set has, shape (n,)."""
    samples = evaluation.dataset.samples
    learned = {name for i in (*split.train, *split.val) for name in samples[int(i)].classes}
    return np.array([learned.issuperset(sample.classes) for sample in evaluation.samples], dtype=bool)


def _disagreement(evaluation: Evaluated, validation: Interval | None, split: Split) -> Iterator[Caveat]:
    from keensight.assess.intervals import difference, share

    if validation is None or evaluation.all_seen:
        return
    kept, clusters = _learned(evaluation, split), evaluation.predictions.clusters
    if not kept.any():
        return
    test = share(evaluation.predictions.right()[kept], None if clusters is None else clusters[kept], LEVEL)
    gap = difference(validation, test)
    if gap.low <= MARGIN and gap.high >= -MARGIN:
        return
    apart = "" if kept.all() else " (without the classes that only this set has)"
    told = (
        f"The accuracy is {validation.value:.1%} in validation but {test.value:.1%} on the {evaluation.part} "
        f"set{apart}, more than chance explains. The images differ, so choices made in validation (confidence "
        "calibration, thresholds, early stopping) may not be valid."
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
        verb, whose = ("appears", "its") if touched == 1 else ("appear", "their")
        told = f"{_images(touched, evaluation.part)} also {verb} under another label, so {whose} result is arbitrary."
        yield Caveat("label-conflict", told, "Decide which label is right and delete the others.")


def _others(findings: AuditReport) -> Iterator[Caveat]:
    for finding in findings.findings:
        if finding.kind in _OWN_WORDS or (finding.severity == "severe" and finding.kind not in _TOLD):
            yield Caveat(finding.kind, finding.message, "")
