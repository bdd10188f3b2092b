"""WebDataset: tar files in which ``0001.jpg`` has its label in ``0001.cls`` or ``0001.json``.

Format: https://github.com/webdataset/webdataset (files of one sample share their name up to the first dot).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keensight.core.progress import Progress
from keensight.core.records import NO_METADATA, Dataset, Skipped
from keensight.data.sources.containers.archives import Archive
from keensight.data.sources.containers.record_files import Entry, Shard, open_shards
from keensight.data.sources.names import clean_label, is_image_name, natural_key
from keensight.data.sources.table_columns import is_label_name
from keensight.errors import DataError, ImageError

_CLASS_FILES = ("cls", "cls.txt", "label", "class")
_MAX_TEXT = 1 << 20


def holds_samples(archive: Archive) -> bool:
    """Whether the images of a tar have their labels beside them, as in WebDataset."""
    images = [name for name in archive.members if is_image_name(name)]
    first = images[: max(20, len(images) // 10)]
    beside = sum(any(f"{_key(name)}.{kind}" in archive.members for kind in (*_CLASS_FILES, "json")) for name in first)
    return bool(first) and beside > len(first) / 2


def open_webdataset(
    source: Path, archives: Sequence[Archive], label: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Read WebDataset shards.

    Args:
        source: What the user opened.
        archives: The tar files, in order.
        label: The key of the label in ``.json`` files; default: found by its name.
        progress: Where to report while images are read.

    Raises:
        DataError: a file is damaged, or no image has a label.
    """
    if not all(holds_samples(archive) for archive in archives):
        odd = next(archive.path.name for archive in archives if not holds_samples(archive))
        raise DataError(f"{odd} has images without .cls or .json files", "keep only the shards of one set in a folder")
    shards = [_shard(archive, label) for archive in archives]
    if not any(entry.labels is not None for shard in shards for entry in shard.entries):
        raise DataError(
            f"no image of {source.name} has a label in a .cls or .json file",
            "the label's key is found by its name, such as label; set another with --label NAME (label= in Python)",
        )
    return open_shards(source, shards, "WebDataset tar", "files beside the images", progress)


def _key(name: str) -> str:
    """A file's name up to the first dot."""
    folder, slash, base = name.rpartition("/")
    return f"{folder}{slash}{base.split('.', 1)[0]}"


def _shard(archive: Archive, label: str | None) -> Shard:
    """The images with their labels; of several images of a sample, those that are named as the sample itself."""
    samples: dict[str, list[str]] = {}
    for name in archive.members:
        if is_image_name(name) and not Path(name).name.startswith("."):
            samples.setdefault(_key(name), []).append(name)
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    for key in sorted(samples, key=natural_key):
        own = [name for name in samples[key] if "." not in name.removeprefix(f"{key}.")] or samples[key]
        entries += [_entry(archive, name, label) for name in own]
        skipped += [Skipped(name, "a further image of the same sample") for name in samples[key] if name not in own]
    return Shard(archive, entries, skipped)


def _entry(archive: Archive, name: str, label: str | None) -> Entry:
    key = _key(name)
    facts = _json(archive, f"{key}.json") if f"{key}.json" in archive.members else {}
    wanted = next((column for column in facts if (column == label if label else is_label_name(column))), None)
    given = None if wanted is None else facts[wanted]
    file = next((f"{key}.{kind}" for kind in _CLASS_FILES if f"{key}.{kind}" in archive.members), None)
    if given is None and file is not None and label is None:
        given = _text(archive, file)
    others = {c: value for c, value in facts.items() if c != wanted and isinstance(value, (str, int, float))}
    return Entry(name, _labels(given), others or NO_METADATA)


def _labels(given: Any) -> tuple[str, ...] | None:
    if isinstance(given, list):
        return tuple(sys.intern(clean_label(str(item))) for item in given)
    text = "" if given is None else sys.intern(clean_label(str(given)))
    return (text,) if text else None


def _json(archive: Archive, name: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(archive, name))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(archive: Archive, name: str) -> str:
    try:
        if archive.members[name].size > _MAX_TEXT:
            return ""
        return archive.read(name).decode("utf-8", "replace").strip()
    except ImageError:
        return ""
