"""Files that hold one image after another with its label: WebDataset tars and TFRecords, one file or many."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keensight.core.progress import Progress
from keensight.core.records import NO_METADATA, SEPARATOR, Dataset, Part, Reading, Sample, Skipped
from keensight.core.task import Task
from keensight.data.sources.arrays import NO_LABEL
from keensight.data.sources.assemble import assemble
from keensight.data.sources.containers.archives import Archive
from keensight.data.sources.file_index import examine
from keensight.data.sources.listing import Found
from keensight.data.sources.names import clean_label, part_of
from keensight.errors import DataError, ImageError

_NAME_FILES = ("classnames.txt", "classes.txt", "labels.txt", "label.labels.txt", "class_names.txt")
_NUMBER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """An image in a shard, and what is said of it there."""

    member: str
    """Its name among the members of the archive."""
    labels: tuple[str, ...] | None
    """None: it has none; an empty tuple: it has none of the labels of a multi-label set."""
    metadata: Mapping[str, Any] = field(default_factory=lambda: NO_METADATA)


@dataclass(frozen=True, slots=True)
class Shard:
    """A file with images in it."""

    archive: Archive
    entries: Sequence[Entry]
    skipped: Sequence[Skipped] = ()
    """Further images that are not used."""


@dataclass(frozen=True, slots=True)
class ShardReader:
    """Loads images from several files; ``rows`` is path to file and name in it."""

    archives: Sequence[Archive]
    rows: Mapping[str, tuple[int, str]]

    def load(self, sample: Sample) -> bytes:
        """The image's bytes.

        Raises:
            ImageError: the sample is not of this set, or cannot be read.
        """
        return self.read(sample.path)

    def read(self, path: str) -> bytes:
        """The bytes of an image by its path, as :meth:`load`."""
        place = self.rows.get(path)
        if place is None:
            raise ImageError("not an image of this set")
        return self.archives[place[0]].read(place[1])


def open_shards(source: Path, shards: Sequence[Shard], layout: str, label: str, progress: Progress | None) -> Dataset:
    """A dataset of the images in shards.

    Args:
        source: The file or folder that was opened.
        shards: In order; ``train-000000.tar``, ``train/0.tar`` and ``flowers-train.tfrecord-00000-of-00002`` are of the
            training split.
        layout: The kind of file, in words.
        label: Where the labels were found, in words.
        progress: Where to report while images are read.

    Raises:
        DataError: no image has a label.
    """
    folder = source if source.is_dir() else source.parent
    placed = _placed(shards, folder)
    several = any(len(one.entry.labels or ()) > 1 for one in placed)
    labeled = [one for one in placed if one.entry.labels or (several and one.entry.labels is not None)]
    reader = ShardReader(
        [shard.archive for shard in shards], {one.found.path: (one.shard, one.entry.member) for one in placed}
    )
    names, notes = _class_names(folder, [label for one in labeled for label in one.entry.labels or ()])
    facts = examine(source, lambda found: reader.read(found.path), [one.found for one in labeled], progress)
    samples: list[Sample] = []
    for one, fact in zip(labeled, facts, strict=True):
        held = tuple(names.get(label, label) for label in one.entry.labels or ())
        samples.append(Sample(
            one.found.path, SEPARATOR.join(held), fact.digest, one.found.size, split=one.split,
            metadata=one.entry.metadata, info=fact.info, error=fact.error, labels=held if several else (),
        ))  # fmt: skip
    used = {one.found.path for one in labeled}
    unlabeled = [Skipped(one.found.path, NO_LABEL) for one in placed if one.found.path not in used]
    further = [item for shard in shards for item in shard.skipped]
    layout = layout if len(shards) == 1 else f"{len(shards)} files: {layout}"
    reading = Reading(
        layout, f"labels in {label}", notes=tuple(notes), warnings=_warnings(len(placed), unlabeled, further)
    )
    return assemble(
        source.resolve().name or "images", "records", samples, reader, skipped=[*unlabeled, *further],
        task=Task.MULTILABEL if several else Task.MULTICLASS, reading=reading,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Placed:
    """An image, with its path in the dataset and the number of its shard."""

    found: Found
    entry: Entry
    shard: int
    split: Part | None


def _placed(shards: Sequence[Shard], folder: Path) -> list[_Placed]:
    places = [shard.archive.path.relative_to(folder) for shard in shards]
    splits = [split_of(place) for place in places]
    prefixes = [f"{_plain(place)}/" for place in places]
    if len(set(prefixes)) < len(prefixes):
        prefixes = [f"{place.as_posix()}/" for place in places]
    placed: list[_Placed] = []
    for number, shard in enumerate(shards):
        changed = shard.archive.path.stat().st_mtime_ns
        prefix = "" if len(shards) == 1 else prefixes[number]
        split = splits[number] if len(set(splits)) > 1 else None
        for entry in shard.entries:
            found = Found(f"{prefix}{entry.member}", shard.archive.members[entry.member].size, changed)
            placed.append(_Placed(found, entry, number, split))
    return placed


def _warnings(n: int, unlabeled: Sequence[Skipped], further: Sequence[Skipped]) -> tuple[str, ...]:
    warned = [f"{len(unlabeled):,} of {n:,} images have no label and are not used"] if unlabeled else []
    if further:
        warned.append(f"{len(further):,} further images of the same samples are not used, such as {further[0].path}")
    return tuple(warned)


def split_of(path: Path) -> Part | None:
    """The split that a shard's name or folder says: ``data/train-00000-of-00002.parquet``, ``train/0000.parquet``."""
    words = [word for name in (path.name, *reversed(path.parent.parts)) for word in re.split(r"[^A-Za-z]+", name)]
    return next((part for word in words if (part := part_of(word))), None)


def _plain(path: Path) -> str:
    """A shard's path without the extension of its kind."""
    return re.sub(r"\.(tar|tfrec(ord)?s?)(\.gz)?", "", path.as_posix())


def _class_names(folder: Path, labels: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The name of each class number, where a text file beside the shards lists them."""
    numbers = set(labels)
    path = next((folder / name for name in _NAME_FILES if (folder / name).is_file()), None)
    if path is None or not all(_NUMBER.fullmatch(label) for label in numbers):
        return {}, []
    try:
        lines = [clean_label(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read: {error}", "expected one class name per line, in UTF-8") from error
    if not all(0 <= int(label) < len(lines) for label in numbers):
        return {}, [f"{path.name} does not name all class numbers and is not used"]
    return {label: lines[int(label)] for label in numbers}, [f"class names from {path.name}"]
