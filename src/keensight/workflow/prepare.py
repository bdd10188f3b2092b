"""Prepare an image set: open, decode, audit, and split without the leaks that the audit found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack, cast

from keensight.core.audit import AuditReport
from keensight.core.config import RunConfig
from keensight.core.deprecation import renamed
from keensight.core.intensity import Scale, as_setting, in_words, parse
from keensight.core.labels import Correction
from keensight.core.options import SourceOptions, with_options
from keensight.core.progress import Progress
from keensight.core.records import Dataset, ImageSpec, Split
from keensight.core.task import Task
from keensight.errors import DataError, UsageError
from keensight.workflow.audit import audit as audit_images
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source, corrected, image_spec, open, prepare

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.data.cache import CacheMode

Divide = Callable[[Dataset, AuditReport], Split]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image set that is ready for training."""

    dataset: Dataset
    pixels: Pixels
    """Its decoded images, by index into ``data.samples``."""
    findings: AuditReport
    split: Split
    """The split keeps duplicates found by the audit together, and excludes unreadable images."""


def open_source(source: Source, config: RunConfig, progress: Progress) -> tuple[Dataset, Sequence[Correction]]:
    """Open an image set with the settings of ``data``, and apply its corrections.

    Returns:
        The image set, and the corrections.

    Raises:
        DataError: the source or the corrections cannot be used.
        UsageError: the labels do not fit the task in the settings.
    """
    given = config.data
    parse(given.intensity)  # an error is reported before any work
    dataset = open(
        source, label=given.label, labels=given.labels, path=given.path, group=given.group,
        group_regex=given.group_regex, label_regex=given.label_regex, label_level=given.label_level,
        val=given.val, test=given.test, progress=progress,
    )  # fmt: skip
    if given.task in (Task.MULTICLASS, Task.MULTILABEL) and given.task != dataset.task:
        raise UsageError(
            f"data.task is {given.task}, but {dataset.name} is a {dataset.task} set",
            "leave --task out to have it detected",
        )
    return corrected(dataset, given.corrections, progress)


def prepare_data(
    dataset: Dataset,
    spec: ImageSpec,
    config: RunConfig,
    progress: Progress,
    *,
    probes: bool = False,
    divide: Divide | None = None,
) -> Prepared:
    """Decode, audit and split an image set, for every kind of training.

    Args:
        dataset: The image set, as :func:`open_source` gives it.
        spec: The size that the images are decoded to; the split does not depend on it.
        config: Settings; of ``dataset`` the cache and the fractions, of ``train`` the seed.
        progress: Where to report.
        probes: Whether the audit checks for shortcuts, which takes some seconds.
        divide: Makes the split; None: :func:`split` by the settings.

    Raises:
        DataError: the images cannot be split.
    """
    pixels = prepare(dataset, spec, cache=cast("CacheMode", config.data.cache), progress=progress)
    refuse_unreadable(dataset, pixels)
    if spec.intensity is not None:
        progress.say(f"In images of more than 8 bits, {in_words(Scale(spec.black, spec.intensity))}.")
    if spec.background != "white":
        progress.say(f"Transparent pixels become {spec.background}.")
    findings = audit_images(dataset, pixels=pixels, probes=probes, progress=progress)
    return Prepared(
        dataset, pixels, findings, divide(dataset, findings) if divide else split_by(config, dataset, findings)
    )


def refuse_unreadable(dataset: Dataset, pixels: Pixels) -> None:
    """Refuse a set without usable images, with the most common reason.

    Raises:
        DataError: every image lacks pixels.
    """
    from keensight.data.cache import CHANGED

    if len(pixels.errors) < len(dataset):
        return
    reason, count = Counter(pixels.errors.values()).most_common(1)[0]
    if reason == CHANGED:
        raise DataError(
            f"{count:,} of {len(dataset):,} images of {dataset.name} have changed since they were opened",
            "open the source again, and do not change it during the run",
        )
    raise DataError(
        f"no image of {dataset.name} can be used; {count:,} of {len(dataset):,}: {reason}",
        "`keensight inspect` lists the problems",
    )


def input_spec(dataset: Dataset, config: RunConfig, model: str, effort: str | None = None) -> ImageSpec:
    """The input of a network, from the settings; ``effort`` in place of theirs."""
    given = config.data
    return image_spec(
        dataset, given.image_size, given.fit, model=model, effort=effort or config.train.effort,
        intensity=given.intensity, background=given.background,
    )  # fmt: skip


def as_prepared(config: RunConfig, spec: ImageSpec) -> RunConfig:
    """The settings with what was decided about the images: size, fit, intensity scale and background."""
    decided: dict[str, Any] = {
        "data.image_size": spec.width if spec.width == spec.height else None,
        "data.fit": spec.fit,
        "data.background": spec.background,
    }
    if spec.intensity is not None:
        decided["data.intensity"] = as_setting(Scale(spec.black, spec.intensity))
    return config.with_values(decided)


def split_by(config: RunConfig, dataset: Dataset, findings: AuditReport) -> Split:
    """:func:`split` by the settings of a run."""
    given = config.data
    return split(
        dataset, audit=findings, val_share=given.val_share, test_share=given.test_share, seed=config.train.seed
    )  # fmt: skip


def refuse_unsplittable(dataset: Dataset, config: RunConfig) -> None:
    """Refuse a set that cannot be split, by its headers, before anything is decoded or written.

    Raises:
        DataError: a class has too few images or an invalid name, or there are no training images.
    """
    from keensight.data.splits import make_split

    if names := dataset.labels.controls():
        raise DataError(f"the class name {names[0]!r} contains a control character", "rename the class")
    given = config.data
    make_split(dataset, val_share=given.val_share, test_share=given.test_share, seed=config.train.seed)


@renamed(data="source")
@with_options(SourceOptions)
def split(
    source: Source,
    *,
    audit: AuditReport | None = None,
    val_share: float = 0.15,
    test_share: float = 0.15,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Unpack[SourceOptions],
) -> Split:
    """Split into training, validation and test set: stratified, stable when images are added, without leaks.

    Duplicates, near-duplicates and groups stay together.

    Args:
        source: The image set, or what :func:`open` takes; predefined splits are kept.
        audit: Its audit; unreadable images are excluded, and near-duplicates stay together. None: the images are
            decoded and audited here; if they are not available, only files that are equal byte by byte are known as
            duplicates.
        val_share: Fraction of the images used to choose and stop.
        test_share: Fraction of the images used to measure.
        seed: Another seed gives another split.
        progress: Where to report.
        **options: How the source is read (see :func:`open`).

    Raises:
        DataError: a class has too few images.

    Examples:
        >>> split = ks.split("photos/", val_share=0.2, test_share=0.2)
        >>> len(split.train) + len(split.val) + len(split.test)
        120
    """
    from keensight.data.audit.duplicates import ties
    from keensight.data.splits import make_split

    data = open(source, progress=progress, **options)
    if audit is None and data.reader is not None:
        audit = audit_images(data, probes=False, progress=shown(progress))
    excluded, tied = (audit.unusable(data), ties(audit, data)) if audit else (frozenset(), ())
    return make_split(data, exclude=excluded, val_share=val_share, test_share=test_share, seed=seed, ties=tied)
