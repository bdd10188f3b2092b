"""What a tree of image files may mean: from relative paths alone to the readings that they allow.

One reading is taken and told; several are refused, each with the option that chooses it. No file is opened here.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from keensight.core.records import PARTS, Part, Skipped
from keensight.data.sources.names import clean_label
from keensight.data.sources.set_aside import OUTSIDE, Folders, set_aside
from keensight.data.sources.tree_names import (
    is_container,
    is_shard,
    is_unlabeled,
    list_tables,
    loose_split_of,
    split_of,
)

Level = Literal["top", "leaf", "path"]
LEVELS: tuple[Level, ...] = ("top", "leaf", "path")

UNMATCHED = "the label pattern does not match its path"
_MOST = 0.8
"""Fraction of the images from which on a folder may be all of the set, and what is next to it no classes."""
_FEW = 0.01
"""... if no larger fraction of them is directly in it."""
_MATCHED = 0.9
"""Fraction of the files' names that must have a class in them."""
_NAMES = (
    (re.compile(r"([^\W\d_]+(?:[ _-][^\W\d_]+)*)[ ._-]*\(?[0-9]+\)?"), r"([^/\d]+?)[ ._-]*\(?\d+\)?\.\w+$"),
    (re.compile(r"[0-9]+[ ._-]+([^\W\d_]+(?:[ _-][^\W\d_]+)*)"), r"\d+[ ._-]+([^/\d]+)\.\w+$"),
    (re.compile(r"([^\W_]*[^\W\d_][^\W_]*)[ ._-]+[0-9]+"), r"([^/]+?)[ ._-]+\d+\.\w+$"),
)
"""Names of files with a class in them (``cat.0``, ``12_dog``, ``s1_0``), and the patterns of ``--label-regex`` that
read them."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The files below a folder, as relative paths with ``/``."""

    images: Sequence[str]
    others: Sequence[str] = ()
    """Files that are no images."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to read a tree: each of its images is in ``labels``, in ``skipped``, or in ``unlabeled``."""

    name: str
    """What users call it: ``folder per class``."""
    top: str = ""
    """The folder (relative, "" for the source itself) whose sub-folders are the classes or the splits."""
    depth: int = 1
    """How many folders above a class, and that one."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The class of each image, by path."""
    parts: Mapping[str, Part] = field(default_factory=dict)
    """The predefined split of each image that has one, by path."""
    unlabeled: tuple[str, ...] = ()
    """Images in no class folder; a table, boxes or a pattern may give their classes."""
    skipped: tuple[Skipped, ...] = ()
    tables: tuple[str, ...] = ()
    """Tables that may list the unlabeled images, or the files that their classes are from."""
    boxes: str = ""
    """``YOLO``, ``COCO`` or ``Pascal VOC``, where there are files of such boxes."""
    pattern: str = ""
    """The ``--label-regex`` that would find a class in each file's name, if one would."""
    cue: str = ""
    override: str = ""
    option: str = ""
    """How users choose this reading, where there are several."""


@dataclass(frozen=True, slots=True)
class _Division:
    """Where the splits are, and what each path is below them."""

    rest: Mapping[str, Folders]
    parts: Mapping[str, Part] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    cue: str = ""
    option: str = ""
    depth: int = 0
    """Folders of splits above a class."""


def find_layouts(tree: Tree, *, level: Level | None = None, pattern: str | None = None) -> tuple[Layout, ...]:
    """All plausible readings of a tree that contains images.

    Args:
        tree: The files.
        level: Which of several nested folders is the class; default: the upper one, if nothing speaks against it.
        pattern: A valid regular expression that finds the class in a path.

    Examples:
        >>> from keensight.data.sources.layouts import Tree, find_layouts
        >>> (layout,) = find_layouts(Tree(["train/cat/1.png", "train/dog/2.png", "eval/cat/3.png", "eval/dog/4.png"]))
        >>> layout.name, layout.labels["eval/dog/4.png"], layout.parts["eval/dog/4.png"], layout.cue
        ('folder per class', 'dog', 'val', 'train/ is the training set, eval/ the validation set')
    """
    below, top, skipped = set_aside(tree.images)
    divisions = _divisions(below) if below else [_Division(below)]
    if pattern is not None:
        return (_by_pattern(divisions[0], top, skipped, re.compile(pattern)),)
    found = [layout for division in divisions for layout in _read(tree, division, top, level)]
    if level is None:
        found = [_without_splits(layout) for layout in found]
    return tuple(replace(layout, skipped=(*skipped, *layout.skipped)) for layout in found)


# Splits


def _divisions(below: Mapping[str, Folders]) -> list[_Division]:
    tops = _tops(below.values())
    named = {name: part for name in tops if (part := split_of(name))}
    nested = {name for name, inner in tops.items() if inner}
    whole = _Division(below)
    if len(set(named.values())) >= 2:
        return [_by_folder(below, named)]
    if len(set(named.values())) == 1 and len(tops) > 1 and nested & named.keys():
        return _one_split(below, named, nested)
    loose = {name: part for name in tops if (part := loose_split_of(name))}
    if len(set(loose.values())) >= 2 and len(loose) == len(tops) and _same_inside(tops):
        return [_by_folder(below, loose)]
    inner = {name for names in tops.values() for name in names}
    parts = {name: part for name in inner if (part := split_of(name))}
    if len(nested) == len(tops) > 1 and len(parts) == len(inner) and len(set(parts.values())) > 1:
        return [_inside_classes(below, parts)]
    return [whole]


def _tops(paths: Iterable[Folders]) -> dict[str, set[str]]:
    """The upper folders, each with the folders in it that contain images."""
    tops: dict[str, set[str]] = defaultdict(set)
    for folders in paths:
        if len(folders) > 1:
            tops[folders[0]] |= {folders[1]} if len(folders) > 2 else set()
    return tops


def _same_inside(tops: Mapping[str, set[str]]) -> bool:
    """Whether several folders contain the same two or more folders."""
    sets = [{clean_label(name).lower() for name in inner} for inner in tops.values()]
    return len(sets) > 1 and len(sets[0]) > 1 and all(one == sets[0] for one in sets)


def _one_split(below: Mapping[str, Folders], named: Mapping[str, Part], nested: set[str]) -> list[_Division]:
    """``train/`` with class folders, next to folders that are no splits."""
    tops = _tops(below.values())
    if len(named) == len(tops):
        return [_by_folder(below, named)]
    if all(is_unlabeled(name) for name in tops.keys() - named.keys()):
        return [_by_folder(below, named)]
    (first, *_) = sorted(nested & named.keys())
    inside = replace(_by_folder(below, named), option=f"open {first}/ itself", cue=f"{first}/ contains folders")
    return [inside, replace(_Division(below), option="--label-regex '^([^/]+)/'")]


_SETS = {"train": "training set", "val": "validation set", "test": "test set"}


def _by_folder(below: Mapping[str, Folders], named: Mapping[str, Part]) -> _Division:
    several = len(set(named.values())) > 1
    rest: dict[str, Folders] = {}
    parts: dict[str, Part] = {}
    skipped = []
    by_folder: dict[str, dict[str, Folders]] = defaultdict(dict)
    for path, folders in below.items():
        if len(folders) == 1:
            skipped.append(Skipped(path, OUTSIDE))
        elif (part := named.get(folders[0])) is None:
            skipped.append(Skipped(path, f"in the folder {folders[0]}, which is none of train, val and test"))
        else:
            by_folder[folders[0]][path] = folders[1:]
            if several:
                parts[path] = part
    classes = Counter(name for inner in by_folder.values() for name in {f[0] for f in inner.values() if len(f) > 1})
    for name, inner in by_folder.items():
        rest |= _unwrapped(inner, name, classes)
    ordered = sorted(named, key=lambda name: (PARTS.index(named[name]), name))
    told = [f"{name}/ {'' if i else 'is '}the {_SETS[named[name]]}" for i, name in enumerate(ordered)]
    return _Division(rest, parts, tuple(skipped), ", ".join(told) if several else "", depth=1)


def _unwrapped(inner: Mapping[str, Folders], name: str, classes: Mapping[str, int]) -> Mapping[str, Folders]:
    """Without folders that contain all of a split: ``train/train/cat``, ``train/images/1.png``."""
    while True:
        firsts = {folders[0] if len(folders) > 1 else "" for folders in inner.values()}
        if len(firsts) != 1 or "" in firsts:
            return inner
        (only,) = firsts
        children = {folders[1] for folders in inner.values() if len(folders) > 2}
        known = len(children) > 1 and all(classes.get(child) for child in children)
        if not (only.lower() == name.lower() or is_container(only) or split_of(only) or known):
            return inner
        inner = {path: folders[1:] for path, folders in inner.items()}


def _inside_classes(below: Mapping[str, Folders], named: Mapping[str, Part]) -> _Division:
    rest: dict[str, Folders] = {}
    parts: dict[str, Part] = {}
    skipped = []
    for path, folders in below.items():
        if len(folders) < 3:
            skipped.append(Skipped(path, OUTSIDE))
        else:
            parts[path] = named[folders[1]]
            rest[path] = (folders[0], *folders[2:])
    names = sorted(named, key=lambda name: (PARTS.index(named[name]), name))
    return _Division(
        rest, parts, tuple(skipped), f"each class has the splits {', '.join(f'{name}/' for name in names)}"
    )


# Classes


def _read(tree: Tree, division: _Division, top: str, level: Level | None) -> list[Layout]:
    rest = division.rest
    tops = _tops(rest.values())
    shards = bool(tops) and all(map(is_shard, tops)) and not any(tops.values())
    if not tops or shards or _in_container(rest.values()):
        flat = _flat(tree, division, top)
        if shards and len(tops) > 1 and level is None:
            cue = f"{_listed(tops)} are numbered; if they are classes, use --label-level top"
            return [replace(flat, cue="; ".join(filter(None, (flat.cue, cue))))]
        if not tops or flat.tables or flat.boxes or flat.pattern:
            return [flat]
    if level is None and not division.parts and len(tops) > 1 and _same_inside(tops):
        leaf, upper = (_classes(division, top, one) for one in ("leaf", "top"))
        names = f"{_listed(tops)} contain the same {len(next(iter(tops.values())))} folders"
        if all(map(is_shard, tops)):
            return [replace(leaf, cue=names, override="--label-level top")]
        inside = set.union(*tops.values())
        if not all(name.isdecimal() or is_container(name) for name in inside):
            return [replace(leaf, cue=names, option="--label-level leaf"), replace(upper, option="--label-level top")]
    upper = _told(_classes(division, top, level or "top"), division, tops, level)
    if level is None and not (division.parts or division.option) and (inner := _inner(division, top, tops)):
        return [inner, replace(upper, option="--label-level top")]
    return [upper]


def _inner(division: _Division, top: str, tops: Mapping[str, set[str]]) -> Layout | None:
    """Another reading of folders that are not alike, by which one of them contains the classes."""
    leaf = _classes(division, top, "leaf")
    for name, inner in tops.items():
        if len(inner & tops.keys() - {name}) > 1:
            cue = f"{name}/ contains folders that are also next to it"
            return replace(leaf, cue=cue, option="--label-level leaf")
    counts = Counter(folders[0] for folders in division.rest.values() if len(folders) > 1)
    (first, n), *_ = counts.most_common(1)
    direct = sum(len(folders) == 2 and folders[0] == first for folders in division.rest.values())
    alike = any(inner & tops[first] for name, inner in tops.items() if name != first)
    if len(counts) < 2 or alike or direct > _FEW * n or n < _MOST * counts.total():
        return None
    inside = tuple(path for path, folders in division.rest.items() if folders[0] == first)
    outside = [Skipped(path, f"outside {first}/") for path, folders in division.rest.items() if folders[0] != first]
    cue = f"{first}/ contains {n:,} of {counts.total():,} images, in deeper folders"
    skipped = (*division.skipped, *outside)
    return Layout(
        "folder per class", top, unlabeled=inside, skipped=skipped, cue=cue, option=f"open {first}/ itself"
    )  # fmt: skip


def _in_container(paths: Iterable[Folders]) -> bool:
    """Whether all images are in one folder, whose name says no more than that."""
    parents = {folders[:-1] for folders in paths}
    return len(parents) == 1 and all(parent and is_container(parent[-1]) for parent in parents)


def _classes(division: _Division, top: str, level: Level) -> Layout:
    labels: dict[str, str] = {}
    skipped = list(division.skipped)
    for path, folders in division.rest.items():
        if len(folders) == 1:
            skipped.append(Skipped(path, OUTSIDE))
        else:
            names = [clean_label(name) or name for name in folders[:-1]]
            labels[path] = {"top": names[0], "leaf": names[-1], "path": "/".join(names)}[level]
    return Layout(
        "folder per class", top, division.depth + 1, labels, _parts_of(labels, division), skipped=tuple(skipped),
        cue=division.cue, option=division.option,
    )  # fmt: skip


def _without_splits(layout: Layout) -> Layout:
    """Unless a user says so, folders of two splits are no classes."""
    named = {label for label in set(layout.labels.values()) if split_of(label)}
    if len({split_of(label) for label in named}) < 2:
        return layout
    cue = f"{_listed(named)} are named like splits; if they are classes, use --label-level top"
    return replace(layout, labels={}, parts={}, unlabeled=(*layout.labels, *layout.unlabeled), cue=cue, override="")


def _told(layout: Layout, division: _Division, tops: Mapping[str, set[str]], level: Level | None) -> Layout:
    """With a word on deeper folders, where they may be classes."""
    if level is not None:
        cues = {"top": "the upper folders", "leaf": "the innermost folders", "path": "the paths of folders"}
        return replace(layout, cue="; ".join(filter(None, (layout.cue, f"classes are {cues[level]}"))))
    deeper = [inner for inner in tops.values() if len(inner) > 1]
    leaves = {folders[-2] for folders in division.rest.values() if len(folders) > 2}
    if not deeper or 2 * len(leaves) > len(layout.labels) or all(map(is_container, leaves)):
        return layout
    return replace(layout, override=f"--label-level leaf or path ({len(leaves):,} deeper folders)")


def _by_pattern(division: _Division, top: str, skipped: Iterable[Skipped], pattern: re.Pattern[str]) -> Layout:
    labels: dict[str, str] = {}
    unmatched = [*skipped, *division.skipped]
    for path in division.rest:
        found = pattern.search(path)
        text = None if found is None else found[1] if pattern.groups else found[0]
        if text is not None and (label := clean_label(text)):
            labels[path] = label
        else:
            unmatched.append(Skipped(path, UNMATCHED))
    cue = "; ".join(filter(None, (division.cue, f"classes by the pattern {pattern.pattern!r}")))
    parts = _parts_of(labels, division)
    return Layout("class in the path", top, 0, labels, parts, skipped=tuple(unmatched), cue=cue)


def _parts_of(labels: Mapping[str, str], division: _Division) -> Mapping[str, Part]:
    """The predefined splits; none where only one of them has labels, which is then divided."""
    parts = {path: part for path, part in division.parts.items() if path in labels}
    return parts if len(set(parts.values())) > 1 else {}


# Images without class folders


def _flat(tree: Tree, division: _Division, top: str) -> Layout:
    images = tuple(division.rest)
    folders = {path.rpartition("/")[0] for path in images}
    near = folders | {parent for folder in folders for parent in _parents(folder)} | {""}
    boxes = _boxes(images, tree.others)
    tables = list_tables(tree.others, near)
    if boxes == "YOLO":
        stems = {_stem(path) for path in images}
        tables = [path for path in tables if _stem(path) not in stems]
    return Layout(
        "images in no class folders", top, parts=division.parts, unlabeled=images, skipped=division.skipped,
        tables=tuple(tables), boxes=boxes, pattern=_name_pattern(images), cue=division.cue, option=division.option,
    )  # fmt: skip


def _parents(folder: str) -> Iterator[str]:
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def _boxes(images: Sequence[str], others: Sequence[str]) -> str:
    stems = {_stem(path) for path in images}
    matched = Counter(path.rpartition(".")[2].lower() for path in others if _stem(path) in stems)
    for suffix, name in (("xml", "Pascal VOC"), ("txt", "YOLO")):
        if 2 * matched[suffix] >= len(stems):
            return name
    names = [path.rpartition("/")[2].lower() for path in others if path.lower().endswith(".json")]
    return "COCO" if any("coco" in name or name.startswith("instances_") for name in names) else ""


def _name_pattern(images: Sequence[str]) -> str:
    """The pattern that finds two or more classes, of two or more images each, in nearly all names of files."""
    for name, pattern in _NAMES:
        found = [match[1].lower() for path in images if (match := name.fullmatch(_stem(path)))]
        counts = Counter(found)
        if len(found) >= _MATCHED * len(images) and len(counts) > 1 and min(counts.values()) > 1:
            return pattern
    return ""


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    shown = [f"{name}/" for name in ordered[:4]]
    if len(ordered) > 4:
        return f"{', '.join(shown)} and {len(ordered) - 4:,} more"
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else shown[0]
