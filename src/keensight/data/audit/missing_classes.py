"""Checks for content lost in reading the source: classes, most of a class, unsupported images."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from keensight.core.audit import Finding
from keensight.core.decoded import Pixels
from keensight.core.openers import missing_extras
from keensight.core.reading import EMPTY_CLASS
from keensight.core.records import Dataset, Skipped
from keensight.data.sources.file_index import FileReader
from keensight.data.sources.listing import SEEN_BEFORE, UNKNOWN_TYPE, UNREADABLE_FOLDER
from keensight.data.sources.names import clean_label, suffix_of

_OTHER_IMAGES = frozenset(
    {
        ".psd", ".svg", ".fits", ".fit", ".exr", ".hdr", ".eps", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf",
        ".rw2", ".raf", ".raw", ".mat", ".npy", ".czi", ".lif", ".nd2", ".svs", ".ndpi", ".mrxs",
    }
)  # fmt: skip
"""Extensions of unsupported image formats; a file without an extension in a class folder may be one too."""
_LISTED = 10
_DETAIL = re.compile(r" ?[(:].*", re.DOTALL)


def is_unread_image(item: Skipped) -> bool:
    """Whether a skipped file is an image in an unsupported format."""
    return item.reason.startswith(UNKNOWN_TYPE) and suffix_of(item.path) in _OTHER_IMAGES


def unsupported_format(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Images in unsupported formats."""
    paths = [item.path for item in dataset.skipped if is_unread_image(item)]
    if not paths:
        return []
    kinds = ", ".join(f"{suffix} {n}" for suffix, n in Counter(map(suffix_of, paths)).most_common(5))
    subject, were = ("1 file is an image", "was") if len(paths) == 1 else (f"{len(paths)} files are images", "were")
    message = f"{subject} in an unsupported format ({kinds}) and {were} not read: convert to JPEG or PNG."
    return [Finding("unsupported-format", "warning", message, len(paths), tuple((path,) for path in paths))]


def needing_extras(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Images of a format that an extra reads, which is not installed."""
    rows = [i for i, sample in enumerate(dataset.samples) if sample.error and missing_extras([sample.error])]
    if not rows:
        return []
    message = " ".join(missing_extras([dataset.samples[i].error or "" for i in rows]))
    return [Finding.on(dataset, [(i,) for i in rows], "unsupported-format", "warning", message)]


def foreign_names(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Names that are not UTF-8 and were read as Latin-1."""
    stored = dataset.reader.stored if isinstance(dataset.reader, FileReader) else {}
    rows = [i for i, sample in enumerate(dataset.samples) if sample.path in stored]
    if not rows:
        return []
    samples = [dataset.samples[i] for i in rows]
    classes = {
        sample.label
        for sample in samples
        if sample.label in set(_labels(sample.path)) - set(_labels(stored[sample.path]))
    }
    named = f" (class {', '.join(sorted(classes)[:_LISTED])})" if classes else ""
    names = "name of 1 image is" if len(rows) == 1 else f"names of {len(rows)} images are"
    message = f"The {names} not UTF-8, so Latin-1 was assumed{named}: check that this is right, and rename the files."
    return [Finding.on(dataset, [(i,) for i in rows], "foreign-names", "warning", message)]


def _labels(path: str) -> list[str]:
    """The folders that contain a file, as class names."""
    return [clean_label(name) for name in path.split("/")[:-1]]


def lost_classes(dataset: Dataset, bad: Mapping[int, str]) -> list[Finding]:
    """Classes that lose all or more than half of their images, whatever the reason.

    Args:
        dataset: The image set.
        bad: Index and error of each unusable image.
    """
    gone: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for i, reason in bad.items():
        for name in dataset.samples[i].classes:
            gone[name].append((dataset.samples[i].path, reason))
    kept = Counter(name for i, sample in enumerate(dataset.samples) if i not in bad for name in sample.classes)
    for name, item in _attributed(dataset):
        gone[name].append((item.path, item.reason))
    lost = {name: items for name, items in gone.items() if len(items) > kept[name]}
    if not lost:
        return []
    told = "; ".join(_in_words(name, items, kept[name]) for name, items in list(lost.items())[:_LISTED])
    more = f"; and {len(lost) - _LISTED} more" if len(lost) > _LISTED else ""
    task = dataset.task
    subject = f"1 {task.noun} loses" if len(lost) == 1 else f"{len(lost)} {task.nouns} lose"
    message = f"{subject} all or most of the images: {told}{more}. Repair the source, or remove the class."
    images = tuple((path,) for items in lost.values() for path, _ in items)
    return [Finding("lost-class", "severe", message, len(lost), images)]


def _in_words(name: str, items: list[tuple[str, str]], kept: int) -> str:
    reasons = Counter(_DETAIL.sub("", reason) if not reason.startswith(UNKNOWN_TYPE) else reason for _, reason in items)
    listed = ", ".join(reason if n == len(items) else f"{n} {reason}" for reason, n in reasons.most_common(3))
    whole = [reason for _, reason in items if reason.startswith((UNREADABLE_FOLDER, SEEN_BEFORE))]
    if whole and not kept:
        return f"{name} ({whole[0]})"
    return f"{name} {len(items)} of {len(items) + kept} ({listed})"


def _attributed(dataset: Dataset) -> Iterator[tuple[str, Skipped]]:
    """Skipped entries that are a class or may be an image of one, with the class name."""
    if not dataset.skipped:
        return
    parents = _class_parents(dataset)
    names = set(dataset.labels.names)
    empty = {item.path for item in dataset.skipped if item.reason == EMPTY_CLASS}
    for item in dataset.skipped:
        folders = item.path.split("/")[:-1]
        if item.reason.startswith((UNREADABLE_FOLDER, SEEN_BEFORE)):
            if "/".join(folders) in parents:
                yield item.path.split("/")[-1], item
        elif item.reason.startswith(UNKNOWN_TYPE) and (is_unread_image(item) or not suffix_of(item.path)):
            for depth, folder in enumerate(folders, start=1):
                if clean_label(folder) in names or "/".join(folders[:depth]) in empty:
                    yield clean_label(folder), item
                    break


def _class_parents(dataset: Dataset) -> set[str]:
    """The folders that contain class folders."""
    parents: set[str] = set()
    for sample in dataset.samples:
        folders = sample.path.split("/")[:-1]
        parents.update("/".join(folders[:i]) for i, name in enumerate(folders) if clean_label(name) == sample.label)
    return parents
