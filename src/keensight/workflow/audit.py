"""The audit of an image set: images, files, and shortcuts to the class."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Unpack

import numpy as np

from keensight.core.audit import AuditReport, by_severity
from keensight.core.deprecation import renamed
from keensight.core.options import SourceOptions, with_options
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.errors import GateError
from keensight.show.text import finding_name
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source, open, prepare

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels


@renamed(data="source")
@with_options(SourceOptions)
def audit(
    source: Source,
    *,
    pixels: Pixels | None = None,
    probes: bool = True,
    progress: Progress | None = None,
    **options: Unpack[SourceOptions],
) -> AuditReport:
    """Find problems of an image set.

    Unreadable files, duplicates, label conflicts, data leakage, class imbalance, poor image quality, file names that
    suggest groups, and shortcuts to the label (see :mod:`keensight.assess.shortcuts`).

    Args:
        source: The image set, or what :func:`open` takes.
        pixels: Its decoded images; None: they are prepared. Looked at are their survey pixels, so that what is found
            does not depend on a model's input size.
        probes: Probe for shortcuts, which takes some seconds.
        progress: Where to report.
        **options: How the source is read (see :func:`open`).

    Examples:
        >>> findings = ks.audit("photos/")
        >>> findings.n, [finding.kind for finding in findings.findings if finding.severity == "severe"]
        (120, [])
    """
    from keensight.data.audit.audit import audit as examine
    from keensight.data.audit.audit import describe
    from keensight.data.background import with_appearance
    from keensight.data.input_size import survey_spec

    progress = shown(progress)
    data = open(source, progress=progress, **options)
    survey = (
        prepare(data, with_appearance(survey_spec(data), data), progress=progress) if pixels is None else pixels.survey
    )
    report = dataclasses.replace(examine(data, survey, progress=progress), columns=describe(data))
    return _with_probes(report, data, survey, progress) if probes else report


def _with_probes(report: AuditReport, dataset: Dataset, pixels: Pixels, progress: Progress) -> AuditReport:
    from keensight.assess.shortcuts import choose, probe
    from keensight.core.pixels import thumbnails
    from keensight.data.pixels import scan
    from keensight.data.shortcut_inputs import traits
    from keensight.data.units import unit_numbers

    readable = np.array([i for i in range(len(dataset)) if i not in pixels.errors], dtype=np.int64)
    targets, units = dataset.combinations(), unit_numbers(dataset.samples, readable)
    chosen = choose(targets[readable], units)
    rows = readable[chosen]
    if not len(rows):
        return report
    (pictures,) = scan(pixels, rows, [thumbnails], purpose="preparing the check for shortcuts", progress=progress)
    probes, findings = probe(pictures, traits(dataset, rows), targets[rows], units[chosen], progress=progress)
    ordered = by_severity((*report.findings, *findings))
    return dataclasses.replace(report, probes=probes, findings=tuple(ordered))


def refuse_severe(report: AuditReport) -> None:
    """Refuse a set with a severe finding.

    Raises:
        GateError: there is one; the message is its sentence.
    """
    severe = [finding for finding in report.findings if finding.severity == "severe"]
    if severe:
        first, more = severe[0], f" (and {len(severe) - 1} more)" if len(severe) > 1 else ""
        raise GateError(
            f"{report.dataset} has a severe problem, {finding_name(first.kind)}{more}: {first.message.rstrip('.')}",
            "fix it, or train without strict; `keensight inspect` lists the images",
        )
