"""What names of folders and files say of a tree of images: splits, containers, shards, masks, tables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import PurePosixPath

from keensight.core.records import Part
from keensight.data.sources.names import part_of

_WORD = re.compile(r"[^\W_]+")
_FILLER = frozenset(
    {
        "set", "sets", "seg", "images", "image", "imgs", "img", "data", "dataset", "split", "folder", "new", "pics",
        "pictures", "photos",
    }
)  # fmt: skip
_LATER = frozenset({"pred", "predict", "prediction", "unlabeled", "unlabelled", "inference", "submission", "unknown"})
_CONTAINERS = frozenset(
    {
        "images", "image", "imgs", "img", "jpegimages", "jpeg", "jpg", "jpgs", "png", "pngs", "photos", "pictures",
        "pics", "data", "files", "all",
    }
)  # fmt: skip
"""Folders that hold images of every class."""
_SERIES = "images?|imgs?|part|batch|chunk|shard|data|dataset|archive|folder|files|vol|dir"
_SHARD = re.compile(rf"(.*[a-z_ -])?({_SERIES})[ _-]*[0-9]+")
_NO_TABLES = re.compile(r"submission|readme|requirements|license|licence|changelog", re.IGNORECASE)
_TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".parquet", ".pq"})
_LIST = "labels?|list|annotations?|split|files?|images?|ground_?truth"
_LIST_NAMES = re.compile(rf"({_LIST})|((train|val|valid|test)(ing)?([ _-]?({_LIST}))?)|(images?[ _-]labels?)")
MASK_FOLDERS = frozenset({"mask", "masks", "segmentation", "segmentations", "segmentationclass", "segmentationobject"})
TRUTH_FOLDERS = frozenset({"ground_truth", "groundtruth", "gt"})
PREVIEW_FOLDERS = frozenset({"preview", "previews", "thumb", "thumbs", "thumbnail", "thumbnails", "_thumbs"})
_MASK_ENDING = re.compile(r"[ _-](mask|masks|seg|segmentation|groundtruth|gt)([ _-]?[0-9]+)?$", re.IGNORECASE)


@lru_cache(maxsize=4096)
def split_of(name: str) -> Part | None:
    """The split that a folder's name means: ``training_set``, ``seg_train``, ``trainval``, ``Test``; else None."""
    words = _words(name)
    useful = [word for word in words if word not in _FILLER] or words
    return part_of("_".join(useful))


def loose_split_of(name: str) -> Part | None:
    """The split that a name speaks of among other words (``pets_train_2020``), None if of several or of none."""
    found = {part for word in _words(name) if (part := part_of(word))}
    return found.pop() if len(found) == 1 else None


def _words(name: str) -> list[str]:
    return _WORD.findall(name.strip().lower())


def is_container(name: str) -> bool:
    """Whether a folder's name says only that images are in it."""
    return name.strip().lower() in _CONTAINERS


def is_shard(name: str) -> bool:
    """Whether a folder's name is one of a numbered series: ``images_003``, ``part2``."""
    return _SHARD.fullmatch(name.strip().lower()) is not None


def is_unlabeled(name: str) -> bool:
    """Whether a folder's name says that its images have no classes yet."""
    return not _LATER.isdisjoint(_words(name))


def mask_of(stem: str) -> str | None:
    """The stem of the image that a mask belongs to (``1`` of ``1_mask``), or None."""
    found = _MASK_ENDING.search(stem)
    return stem[: found.start()] if found else None


def list_tables(others: Iterable[str], folders: Collection[str]) -> list[str]:
    """The files that may be tables of the images in ``folders``, next to them or at the source's root."""
    return [path for path in others if _folder(path) in folders and _may_list(PurePosixPath(path))]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _may_list(path: PurePosixPath) -> bool:
    name = path.name.lower().removesuffix(".gz")
    stem, _, suffix = name.rpartition(".")
    if _NO_TABLES.search(stem):
        return False
    return f".{suffix}" in _TABLE_SUFFIXES or (suffix in ("txt", "lst") and _LIST_NAMES.fullmatch(stem) is not None)
