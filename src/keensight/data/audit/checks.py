"""The checks of an audit: each looks for one kind of problem and returns its findings.

A check is a function of the dataset and its decoded pixels (None if nothing was decoded). To add one, write it here or
in another module of this package, and add it to :data:`CHECKS`. Duplicates are in :mod:`.duplicates`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keensight.core.audit import Finding, Severity
from keensight.core.decoded import Pixels
from keensight.core.intensity import is_deep
from keensight.core.reading import EMPTY_CLASS
from keensight.core.records import PARTS, Dataset, ImageInfo, Sample
from keensight.core.task import Task
from keensight.data.audit.leakage import leaks
from keensight.data.audit.missing_classes import (
    foreign_names,
    is_unread_image,
    lost_classes,
    needing_extras,
    unsupported_format,
)
from keensight.data.audit.quality import histogram
from keensight.data.cache import CHANGED
from keensight.data.sources.image_facts import reasons_in_words
from keensight.data.sources.listing import UNKNOWN_TYPE
from keensight.data.sources.names import clean_label, is_image_name, suffix_of
from keensight.data.sources.tables import NO_LABEL

Check = Callable[[Dataset, Pixels | None], list[Finding]]

SMALL_CLASS = 20
"""With fewer images, a single test image changes a class's recall by 30 percentage points or more."""

_FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), ("JPEG", "MPO")),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF",)),
    **dict.fromkeys((".pgm", ".ppm", ".pbm", ".pnm"), ("PPM",)),
    **dict.fromkeys((".heic", ".heif", ".hif"), ("HEIC",)),
    ".png": ("PNG",), ".bmp": ("BMP", "DIB"), ".gif": ("GIF",), ".webp": ("WEBP",), ".avif": ("AVIF",),
    ".jp2": ("JPEG2000",), ".jxl": ("JXL",), ".ico": ("ICO",), ".tga": ("TGA",), ".dcm": ("DICOM",),
}  # fmt: skip
_USUAL_MODES = frozenset({"L", "RGB", "P", "1"})


def quarantine(dataset: Dataset, pixels: Pixels | None) -> dict[int, str]:
    """Indices of the images that cannot be used, with the reason: unreadable file, header or body."""
    reasons = {i: sample.error for i, sample in enumerate(dataset.samples) if sample.error is not None}
    if pixels is not None:
        reasons.update(pixels.errors)
    return reasons


def readable(dataset: Dataset, pixels: Pixels | None) -> list[Sample]:
    """The samples that are not quarantined."""
    return [dataset.samples[i] for i in readable_rows(dataset, pixels)]


def readable_rows(dataset: Dataset, pixels: Pixels | None) -> list[int]:
    """Indices of the samples that are not quarantined."""
    bad = quarantine(dataset, pixels)
    return [i for i in range(len(dataset)) if i not in bad]


def _counts(dataset: Dataset, pixels: Pixels | None) -> Counter[str]:
    """Readable images of each class, or of each label of a multi-label set."""
    return Counter(name for sample in readable(dataset, pixels) for name in sample.classes)


def noun(dataset: Dataset) -> str:
    """``class`` or ``label``, depending on the task."""
    return dataset.task.noun


def images_in_words(n: int, one: str, many: str) -> str:
    """``1 image ONE`` or ``N images MANY``."""
    return f"1 image {one}" if n == 1 else f"{n} images {many}"


def each(rows: Iterable[int]) -> list[tuple[int]]:
    """Every image as its own group, for :meth:`~keensight.core.audit.Finding.on`."""
    return [(i,) for i in rows]


def unreadable(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Files that are missing, empty, damaged or not images."""
    bad = quarantine(dataset, pixels)
    if not bad:
        return []
    subject = images_in_words(len(bad), "cannot be read and is", "cannot be read and are")
    changed = sum(reason == CHANGED for reason in bad.values())
    severity: Severity = "severe" if changed or len(bad) > 0.05 * len(dataset) else "warning"
    why = reasons_in_words(bad.values())
    message = f"{subject} excluded from training and testing ({why}): replace, convert or delete them."
    if changed:
        told = images_in_words(changed, "has", "have")
        message += f" {told} changed since the set was opened: open the source again."
    return [Finding.on(dataset, each(sorted(bad)), "unreadable", severity, message)]


def group_leak(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """One group in two predefined splits."""
    members: dict[str, list[int]] = defaultdict(list)
    for i in readable_rows(dataset, pixels):
        sample = dataset.samples[i]
        if sample.group is not None and sample.split is not None:
            members[sample.group].append(i)
    groups, findings = list(members.values()), []
    for leak in leaks([[dataset.samples[i] for i in group] for group in groups]):
        torn = [groups[i] for i in leak.places]
        subject = "1 group has" if len(torn) == 1 else f"{len(torn)} groups have"
        message = f"{subject} images {leak.words}: re-split the set."
        findings.append(Finding.on(dataset, torn, "group-leak", leak.severity, message))
    return findings


def imbalance(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Class imbalance: classes of very different size."""
    counts = _counts(dataset, pixels)
    if len(counts) < 2:
        return []
    (largest, most), (smallest, fewest) = counts.most_common()[0], counts.most_common()[-1]
    if most < 3 * fewest:
        return []
    message = (
        f"The largest {noun(dataset)} ({largest}, {most}) has {most / fewest:.1f} times as many images as the smallest "
        f"({smallest}, {fewest}): check the results per {noun(dataset)}, and try class weights."
    )
    return [Finding("imbalance", "warning" if most >= 10 * fewest else "info", message, len(counts))]


def small_class(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Classes too small to be evaluated (labels: :func:`~keensight.data.audit.label_checks.near_empty_label`)."""
    if dataset.task == Task.MULTILABEL:
        return []
    counts = _counts(dataset, pixels)
    small = {name: counts[name] for name in dataset.labels.names if 0 < counts[name] < SMALL_CLASS}
    if not small:
        return []
    message = f"{_classes(small)} fewer than {SMALL_CLASS} images, too few to evaluate: add images or merge classes."
    return [Finding("small-class", "warning", message, len(small))]


def _classes(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name} ({n})" for name, n in list(counts.items())[:10]) + (", ..." if len(counts) > 10 else "")
    return f"1 class has ({shown})" if len(counts) == 1 else f"{len(counts)} classes ({shown}) have"


def empty_class(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Class folders without images, and classes without a readable one."""
    counts = _counts(dataset, pixels)
    folders = [item.path for item in dataset.skipped if item.reason == EMPTY_CLASS]
    unread = [name for name in dataset.labels.names if not counts[name]]
    empty = [*folders, *unread]
    if not empty:
        return []
    subject = "1 class holds" if len(empty) == 1 else f"{len(empty)} classes hold"
    message = f"{subject} no readable image ({', '.join(empty[:10])}): add images, or remove the class."
    gone = unread or any(clean_label(path.split("/")[-1]) not in counts and _is_bare(path, dataset) for path in folders)
    return [Finding("empty-class", "severe" if gone else "warning", message, len(empty))]


def _is_bare(folder: str, dataset: Dataset) -> bool:
    """Whether a folder contains nothing that explains why it has no images, such as scripts or notes."""
    within = [item for item in dataset.skipped if item.path.startswith(f"{folder}/")]
    return all(is_unread_image(item) or not item.reason.startswith(UNKNOWN_TYPE) for item in within)


def lost_class(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Classes that lose all or more than half of their images."""
    return lost_classes(dataset, quarantine(dataset, pixels))


ABSENT = "The predefined {} set has no image of"
"""How a finding on absent classes begins."""


def absent_class(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Classes that are missing from a predefined split."""
    held: dict[str, set[str]] = defaultdict(set)
    for sample in readable(dataset, pixels):
        if sample.split is not None:
            held[sample.split].update(sample.classes)
    findings = []
    for part in PARTS:
        absent = [name for name in dataset.labels.names if held[part] and name not in held[part]]
        if absent:
            one = len(absent) == 1
            fate = "cannot be learned" if part == "train" else f"{'is' if one else 'are'} not evaluated there"
            which = f"that {noun(dataset)}" if one else f"those {dataset.task.nouns}"
            message = f"{ABSENT.format(part)} {', '.join(absent[:10])}, so {which} {fate}: add images or re-split."
            findings.append(Finding("absent-class", "severe" if part == "train" else "warning", message, len(absent)))
    return findings


_SIGNS = frozenset("+-<>=≤≥±#*")


def _without_separators(name: str) -> str:
    """A name's letters and digits, with what tells names apart: signs (``A+``, ``-1``, ``<5``), decimal points."""
    text = name.casefold().strip()
    return "".join(sign for i, sign in enumerate(text) if sign.isalnum() or _tells_apart(text, i))


def _tells_apart(text: str, place: int) -> bool:
    before, sign, after = text[place - 1 : place], text[place], text[place + 1 : place + 2]
    if before.isdigit() and after.isdigit():
        return True
    return sign in _SIGNS and (not after or (after.isdigit() and not before.isalnum()))


def similar_classes(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Class names that differ only by case, spaces or punctuation."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in dataset.labels.names:
        alike[_without_separators(name) or name].append(name)
    pairs = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if not pairs:
        return []
    message = (
        f"Some classes have nearly the same name ({'; '.join(pairs[:5])}): if they are the same class, merge "
        f"their folders."
    )
    return [Finding("similar-classes", "warning", message, len(pairs))]


def ungrouped(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Images without a group although others have one."""
    alone = [i for i, sample in enumerate(dataset.samples) if sample.group is None]
    if not alone or len(alone) == len(dataset):
        return []
    subject = images_in_words(len(alone), "has", "have")
    message = (
        f"{subject} no group while others have one, so one subject could be in several splits: fill the group column."
    )
    return [Finding.on(dataset, each(alone), "ungrouped", "warning", message)]


def wrong_extension(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """File extensions that do not match the format in the header."""
    wrong = [i for i in readable_rows(dataset, pixels) if _is_misnamed(dataset.samples[i])]
    if not wrong:
        return []
    subject = images_in_words(len(wrong), "has a different format than its", "have a different format than their")
    message = f"{subject} name suggests; they were read by their content, but rename them for other programs."
    return [Finding.on(dataset, each(wrong), "wrong-extension", "info", message)]


def _is_misnamed(sample: Sample) -> bool:
    expected = _FORMATS.get(suffix_of(sample.path))
    return sample.info is not None and expected is not None and sample.info.format not in expected


def infos(dataset: Dataset, pixels: Pixels | None) -> list[tuple[int, ImageInfo]]:
    """Readable samples by index, with their headers."""
    found = ((i, dataset.samples[i].info) for i in readable_rows(dataset, pixels))
    return [(i, info) for i, info in found if info is not None]


def animated(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Files with several frames."""
    several = [i for i, info in infos(dataset, pixels) if info.frames > 1]
    if not several:
        return []
    subject = images_in_words(len(several), "has", "have")
    message = f"{subject} several frames or pages, of which only the first is used: export the others if they matter."
    return [Finding.on(dataset, each(several), "animated", "info", message)]


def unusual_mode(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Color modes that have to be converted (more than 8 bits: :func:`~keensight.data.intensity.intensity`)."""
    unusual = [
        (i, info.mode)
        for i, info in infos(dataset, pixels)
        if info.mode not in _USUAL_MODES and (pixels is None or not is_deep(info.mode))
    ]
    if not unusual:
        return []
    modes = Counter(mode for _, mode in unusual)
    listed = ", ".join(f"{mode} {n}" for mode, n in modes.most_common(5))
    subject = images_in_words(len(unusual), "is", "are")
    message = f"{subject} neither plain gray nor RGB ({listed}) and will be converted: check that this is right."
    return [Finding.on(dataset, each(i for i, _ in unusual), "unusual-mode", "info", message)]


def mixed_sizes(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Images of very different aspect ratio, which stretching to a square distorts."""
    sizes = [info for _, info in infos(dataset, pixels)]
    aspects = [info.width / info.height for info in sizes if info.height]
    if not aspects or max(aspects) < 2 * min(aspects):
        return []
    message = (
        f"Width over height runs from {min(aspects):.2f} to {max(aspects):.2f}: for a network trained from scratch "
        f"they are stretched to one shape; if shapes matter, set data.fit to crop or pad."
    )
    return [Finding("mixed-sizes", "info", message, len({(info.width, info.height) for info in sizes}))]


def unlabelled(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Table rows without a label."""
    paths = [item.path for item in dataset.skipped if item.reason == NO_LABEL]
    if not paths:
        return []
    message = (
        f"{images_in_words(len(paths), 'has', 'have')} no label in the table and are skipped: fill the label column."
    )
    severity: Severity = "severe" if len(paths) > len(dataset) else "warning"
    return [Finding("unlabelled", severity, message, len(paths), tuple((path,) for path in paths))]


def skipped(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Everything else in the source that is not an image of the set."""
    others = [
        item for item in dataset.skipped if item.reason not in (EMPTY_CLASS, NO_LABEL) and not is_unread_image(item)
    ]
    if not others:
        return []
    reasons = Counter(item.reason for item in others).most_common(3)
    listed = "; ".join(f"{n}: {reason}" for reason, n in reasons)
    subject = "1 entry was" if len(others) == 1 else f"{len(others)} entries were"
    message = f"{subject} skipped ({listed}): move images that belong to the set into a class."
    images = sum(is_image_name(item.path) for item in others)
    severity: Severity = "severe" if images > len(dataset) else "info"
    return [Finding("skipped", severity, message, len(others), tuple((item.path,) for item in others))]


CHECKS: tuple[Check, ...] = (
    unreadable, lost_class, group_leak, absent_class, empty_class, small_class, imbalance,
    similar_classes, unlabelled, ungrouped, wrong_extension, animated, unusual_mode, mixed_sizes,
    unsupported_format, needing_extras, foreign_names, skipped,
)  # fmt: skip
"""All checks, in display order for findings of equal severity."""


@dataclass(frozen=True, slots=True)
class _Outlying:
    """A kind of outlier, and what its finding says."""

    kind: str
    factor: float
    """Deviations from the median by less than this factor are never reported."""
    advice: str
    measure: str


_SIZE = _Outlying(
    "odd-size", 3.0,
    "far larger or smaller than the others: check whether they are thumbnails, scans or from another source.",
    "side of a square of the same area, relative to the median",
)  # fmt: skip
_ASPECT = _Outlying(
    "odd-aspect", 2.0,
    "far more elongated than the others, or less: check whether they are strips, panoramas or wrongly cropped.",
    "longer over shorter side, relative to the median",
)  # fmt: skip
_FENCE = 3.0
"""Interquartile ranges beyond the quartiles: Tukey's "far out" (Exploratory Data Analysis, 1977)."""


def odd_size(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Images much larger or smaller than the others."""
    rows, widths, heights = _sizes(dataset, pixels)
    return _outliers(dataset, rows, np.sqrt(widths * heights), _SIZE)


def odd_aspect(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Images far more elongated than the others, in either orientation, as in cleanvision."""
    rows, widths, heights = _sizes(dataset, pixels)
    return _outliers(dataset, rows, np.maximum(widths, heights) / np.minimum(widths, heights), _ASPECT)


def _sizes(dataset: Dataset, pixels: Pixels | None) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
    """Indices of readable samples with their width and height."""
    found = infos(dataset, pixels)
    sides = np.array([(info.width, info.height) for _, info in found], dtype=np.float64).reshape(-1, 2)
    return [i for i, _ in found], sides[:, 0], sides[:, 1]


def _outliers(dataset: Dataset, rows: list[int], values: NDArray[np.float64], outlying: _Outlying) -> list[Finding]:
    if not rows:
        return []
    logs = np.log(values / np.median(values))
    low, high = np.quantile(logs, (0.25, 0.75))
    least = min(-np.log(outlying.factor), low - _FENCE * (high - low))
    most = max(np.log(outlying.factor), high + _FENCE * (high - low))
    bad = np.flatnonzero((logs < least) | (logs > most))
    if not len(bad):
        return []
    worst = bad[np.argsort(-np.abs(logs[bad]), kind="stable")]
    subject = "1 image is" if len(bad) == 1 else f"{len(bad)} images are"
    far = np.exp(most if logs[worst[0]] > 0 else least)
    return [
        Finding.on(
            dataset, each(rows[i] for i in worst), outlying.kind, "info", f"{subject} {outlying.advice}",
            scores=tuple(round(float(np.exp(logs[i])), 3) for i in worst), threshold=round(float(far), 3),
            measure=outlying.measure, histogram=histogram(np.exp(logs)),
        )
    ]  # fmt: skip
