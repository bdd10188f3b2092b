"""Keep augmented copies of one image in one split, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keensight.core.audit import AuditReport
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
    from keensight.data.units import unit_numbers
    from keensight.nets.training.transfer import features

    unusable = findings.unusable(dataset)
    usable = (i for i in range(len(dataset)) if i not in unusable)
    rows = np.array(sorted(usable, key=lambda i: dataset.samples[i].digest), dtype=np.int64)
    if not transfers(config) or len(rows) < _FEWEST:
        return findings, split
    network = build(dataset, pixels.spec, config.model.name, weights=config.model.weights)
    found = features(network, images_of(dataset, split, pixels), rows, caches(progress))
    units = unit_numbers(dataset.samples, rows, ties(findings, dataset))
    copies = find_augmented(dataset, pixels.survey, rows, found, units, progress)
    if not copies.pairs:
        return findings, split
    findings = with_copies(findings, dataset, pixels.survey, copies)
    again = split_by(config, dataset, findings)
    count = len({i for pair in copies.pairs for i in (pair.first, pair.second)})
    fate = "the predefined splits are kept" if again == split else "split again to keep them together"
    progress.say(f"augmented copies: {count:,} images show the same picture as another one, changed; {fate}")
    return findings, again
