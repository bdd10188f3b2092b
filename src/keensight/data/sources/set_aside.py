"""Images of a tree that are no samples: masks, small copies, second copies, and what is outside the set."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from keensight.core.records import Part, Skipped
from keensight.data.sources.tree_names import (
    MASK_FOLDERS,
    PREVIEW_FOLDERS,
    TRUTH_FOLDERS,
    mask_of,
    split_of,
)

OUTSIDE = "an image outside the class folders"
MASK = "a mask of another image"
PREVIEW = "a small copy of another image"
TWIN = "a PNG next to a JPEG, BMP or TIFF of the same name: its mask, or the image once more"
COPY = "in a second copy of the whole set"
_MATCHED = 0.9
"""Fraction of a folder's files that must belong to other images before it is taken for masks or previews."""
_DEEPEST = 4
"""Folders above a split, in repositories that have much besides."""
_PAIRED = frozenset({"jpg", "jpeg", "jpe", "jfif", "bmp", "tif", "tiff"})
_BESIDE = ("", "images", "image", "imgs", "img", "JPEGImages", "Images")
"""Where the images of a folder of masks are: next to it, or in one of these."""

Folders = tuple[str, ...]
"""The folders of a path and its name."""


def set_aside(paths: Sequence[str]) -> tuple[dict[str, Folders], str, tuple[Skipped, ...]]:
    """The images of a tree, each as its folders below the one that contains all; that folder; and what is no sample."""
    aside = dict(_masks(paths))
    kept = [path for path in paths if path not in aside] if aside else list(paths)
    top = common_folder(kept)
    while inner := _only_folder(kept, top):
        aside |= {path: OUTSIDE for path in kept if not path.startswith(f"{inner}/")}
        kept = [path for path in kept if path not in aside]
        top = common_folder(kept)
    if inner := _with_splits(kept, top):
        aside |= {path: f"outside {inner}/, which has the splits" for path in kept if not path.startswith(f"{inner}/")}
        kept = [path for path in kept if path not in aside]
        top = inner
    start = len(top) + 1 if top else 0
    below = {path: _folders(path[start:]) for path in kept}
    for copy in _copies(below):
        aside |= {path: COPY for path, folders in below.items() if folders[0] == copy}
        below = {path: folders for path, folders in below.items() if folders[0] != copy}
    return below, top, tuple(Skipped(path, reason) for path, reason in aside.items())


def _folders(path: str) -> Folders:
    """A path as its folders, each of which is kept once for all its images, and its name."""
    *folders, name = path.split("/")
    return *map(sys.intern, folders), name


def _parents(paths: Collection[str]) -> list[list[str]]:
    """The different folders of files, as lists of names; none is empty but the root's."""
    return [parent.split("/") if parent else [] for parent in {path.rpartition("/")[0] for path in paths}]


def common_folder(paths: Collection[str]) -> str:
    """The deepest folder that contains all images, if they are in sub-folders of it; else the source itself."""
    parents = _parents(paths)
    if not parents:
        return ""
    low, high = min(parents), max(parents)
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    has_loose_images = any(len(parent) == shared for parent in parents)
    return "" if has_loose_images else "/".join(low[:shared])


def _only_folder(paths: Collection[str], top: str) -> str:
    """The only folder in ``top``, if images are next to it and none directly in it; else ""."""
    depth = len(top.split("/")) if top else 0
    below = [parent[depth:] for parent in _parents(paths)]
    tops = {parent[0] for parent in below if parent}
    depths = {len(parent) for parent in below}
    return "/".join(filter(None, (top, *tops))) if len(tops) == 1 and 0 in depths and 1 not in depths else ""


def _with_splits(paths: Collection[str], top: str) -> str:
    """The only folder below ``top`` that contains splits, training images among them; "" where there are several."""
    found: dict[str, set[Part]] = defaultdict(set)
    for parent in _parents(paths):
        for i, name in enumerate(parent[:_DEEPEST]):
            if part := split_of(name):
                found["/".join(parent[:i])].add(part)
                break
    having = [folder for folder, parts in found.items() if len(parts) > 1 and "train" in parts]
    return having[0] if len(having) == 1 and len(having[0]) > len(top) else ""


def _masks(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Masks and previews of other images, with the reason to leave them out."""
    stems = {path.rpartition(".")[0] for path in paths}
    folders: dict[tuple[str, ...], list[tuple[str, bool]]] = defaultdict(list)
    twins = _twins(paths, stems)
    telling = {"/".join(parent): place for parent in _parents(paths) if (place := _telling(parent)) is not None}
    for path in paths:
        image = mask_of(path.rpartition(".")[0])
        if path in twins:
            yield path, TWIN
        elif image is not None and image in stems:
            yield path, MASK
        elif (place := telling.get(path.rpartition("/")[0])) is not None:
            names = path.split("/")
            folders[tuple(names[: place + 1])].append((path, _has_image(names, place, stems)))
    for place_of_masks, found in folders.items():
        if sum(matched for _, matched in found) >= _MATCHED * len(found):
            reason = PREVIEW if place_of_masks[-1].lower() in PREVIEW_FOLDERS else MASK
            yield from ((path, reason) for path, _ in found)


def _telling(parent: Sequence[str]) -> int | None:
    """The place of the first folder whose name is one for masks or previews."""
    known = MASK_FOLDERS | TRUTH_FOLDERS | PREVIEW_FOLDERS
    return next((i for i, name in enumerate(parent) if name.lower() in known), None)


def _twins(paths: Sequence[str], stems: Collection[str]) -> set[str]:
    """PNG files next to nearly all images of another format, with the same names: masks, or the images once more."""
    if len(stems) == len(paths):
        return set()
    png, others = set(), set()
    for path in paths:
        stem, _, suffix = path.rpartition(".")
        if suffix.lower() == "png":
            png.add(stem)
        elif suffix.lower() in _PAIRED:
            others.add(stem)
    both = png & others
    if len(both) < _MATCHED * min(len(png), len(others)):
        return set()
    return {path for path in paths if path.lower().endswith(".png") and path.rpartition(".")[0] in both}


def _has_image(names: Sequence[str], place: int, stems: Collection[str]) -> bool:
    """Whether an image has the same path but for the folder at ``place``: next to it, or in ``images/``."""
    before, after = names[:place], names[place + 1 :]
    stem = after[-1].rpartition(".")[0]
    spellings = [[*after[:-1], one] for one in (stem, mask_of(stem)) if one is not None]
    siblings = (*_BESIDE, "test", "train") if names[place].lower() in TRUTH_FOLDERS else _BESIDE
    tried = ([*before, *filter(None, (sibling,)), *spelling] for sibling in siblings for spelling in spellings)
    return any("/".join(path) in stems for path in tried)


def _copies(below: Mapping[str, Folders]) -> list[str]:
    """Folders with the same files in the same folders as what is next to them: archives unpacked into themselves."""
    nested: dict[str, set[Folders]] = defaultdict(set)
    for folders in below.values():
        if len(folders) > 2:
            nested[folders[0]].add(folders[1:])
    whole = set(below.values())
    return [name for name, files in nested.items() if files <= whole]
