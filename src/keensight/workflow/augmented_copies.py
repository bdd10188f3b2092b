"""Keep augmented copies of one image in one split, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from keensight.core.audit import AuditReport, Finding, by_severity
from keensight.core.config import RunConfig
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Split
from keensight.workflow.features import caches, images_of
from keensight.workflow.fit import transfers
from keensight.workflow.prepare import split_by
from keensight.workflow.steps import build

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels

_FEWEST = 20
"""Images below which neighbors say nothing."""
_MOST = 10_000
"""Images that are looked at, of larger sets the first by digest: the time grows with their square."""
_AUGMENTED = 0.2
"""Fraction of copies from which on a set is an augmented one. In sets with overlapping crops up to 0.14 of the images
are found, in augmented ones 0.56 and more."""


def tie_augmented_copies(
    dataset: Dataset, pixels: Pixels, findings: AuditReport, split: Split, config: RunConfig, progress: Progress
) -> tuple[AuditReport, Split]:
    """Find augmented copies by a pretrained network's features, and split again with them tied together.

    The features are those that the classifier head is fitted on, and cached: of the training, only those of the test
    images come earlier. Groups and known duplicates are not compared with themselves.

    Args:
        dataset: The image set.
        pixels: Its decoded images, at the network's input size.
        findings: Its audit.
        split: Its split.
        config: Settings with the name of the network; one that is not pretrained has no features to go by.
        progress: Where to report.

    Returns:
        Audit and split, both unchanged where there are no such copies. Predefined splits are kept, and the audit then
        reports copies in several of them.
    """
    from keensight.data.audit.audit import with_copies
    from keensight.data.audit.augmented import find_augmented
    from keensight.data.audit.duplicates import ties
    from keensight.data.audit.near_duplicates import clusters
    from keensight.data.units import unit_numbers
    from keensight.nets.training.images import features

    unusable = findings.unusable(dataset)
    usable = (i for i in range(len(dataset)) if i not in unusable)
    rows = np.array(sorted(usable, key=lambda i: dataset.samples[i].digest)[:_MOST], dtype=np.int64)
    if not transfers(config) or len(rows) < _FEWEST:
        return findings, split
    network = build(dataset, pixels.spec, config.model.name, weights=config.model.weights)
    found = features(network, images_of(dataset, split, pixels), rows, caches(progress))
    units = unit_numbers(dataset.samples, rows, ties(findings, dataset))
    copies = find_augmented(dataset, pixels.survey, rows, found, units, progress)
    if not copies.pairs:
        return findings, split
    members = clusters(copies.pairs)
    count = sum(map(len, members))
    findings = with_copies(findings, dataset, pixels.survey, copies)
    if count >= _AUGMENTED * len(rows):
        findings = _with(findings, _augmented(dataset, members, count, len(rows)))
    again = split_by(config, dataset, findings)
    fate = "the predefined splits are kept" if again == split else "split again to keep them together"
    progress.say(f"augmented copies: {count:,} images show the same picture as another one, changed; {fate}")
    return findings, again


def _augmented(dataset: Dataset, members: Sequence[Sequence[int]], count: int, n: int) -> Finding:
    """What to expect of a set of which so many images are copies: that there are more."""
    message = (
        f"At least {count:,} of {n:,} images are augmented copies of others (rotated, shifted, zoomed or flipped). "
        "Copies that were changed more are not recognized and may be in several splits, so the results may be too "
        "high: set the original of each image as its group, or remove the copies, as training augments images itself."
    )
    return Finding.on(dataset, members, "augmented-copies", "warning", message, count)


def _with(report: AuditReport, finding: Finding) -> AuditReport:
    return replace(report, findings=tuple(by_severity((*report.findings, finding))))
