"""Folders of images: one sub-folder per class, or train, val and test folders of such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keensight.core.progress import Progress
from keensight.core.reading import EMPTY_CLASS
from keensight.core.records import Dataset, Part, Sample, Skipped
from keensight.data.sources.assemble import assemble
from keensight.data.sources.file_index import FileReader, examine
from keensight.data.sources.listing import Found, Listing, list_images
from keensight.data.sources.metadata import attach, find_metadata
from keensight.data.sources.names import clean_label, part_of
from keensight.errors import DataError


@dataclass(frozen=True, slots=True)
class _Place:
    """The class and split of a file by its path."""

    found: Found
    label: str
    part: Part | None


@dataclass(frozen=True, slots=True)
class _Layout:
    kind: str
    top: str
    """The folder (relative, "" for the source itself) whose sub-folders are the classes or the splits."""
    places: tuple[_Place, ...]
    skipped: tuple[Skipped, ...]


def open_folder(
    root: Path,
    *,
    label: str | None = None,
    path: str | None = None,
    group: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read a folder with one sub-folder per class, or with train, val and test folders of such.

    Images in deeper folders belong to the class above them. If the source contains a single folder with the classes in
    it, as unpacked archives do, that folder is used. A ``metadata.csv`` next to the classes adds its columns to the
    images that it lists: ``group`` and ``label`` are columns of it.

    Raises:
        DataError: there are no images, no class folders or fewer than two classes, or a column named
            by the caller does not exist.
    """
    listing = list_images(root)
    if not listing.files:
        raise DataError(f"{root} contains no images", _what_else(listing))
    layout = _layout(listing)
    if not layout.places:
        raise DataError(f"{root} holds {len(listing.files)} images but no class folders", _flat_hint(root))
    files = [place.found for place in layout.places]
    facts = examine(root, root, files, progress)
    samples = [
        Sample(
            place.found.path, place.label, fact.digest, place.found.size, split=place.part, info=fact.info,
            error=fact.error,
        )
        for place, fact in zip(layout.places, facts, strict=True)
    ]  # fmt: skip
    table = find_metadata(root, layout.top)
    skipped = [item for item in (*listing.skipped, *layout.skipped) if table is None or root / item.path != table]
    samples, unmatched = attach(samples, table, label=label, path=path, group=group, source=root)
    name = root.resolve().name or "images"
    reader = FileReader(root, {found.path: found.stored for found in files if found.stored})
    return assemble(name, layout.kind, samples, reader, skipped=[*skipped, *unmatched])


def _layout(listing: Listing) -> _Layout:
    top = _common_folder(listing.files)
    depth = len(top.split("/")) if top else 0
    parts = [found.path.split("/")[depth:] for found in listing.files]
    if _are_split_folders(parts):
        layout = _place(listing.files, top, "split folders", parts, {name: part_of(name) for name in _tops(parts)})
        empty = _empty_folders(listing, depth + 2) if layout.places else ()
    else:
        layout = _place(listing.files, top, "folder", parts, None)
        empty = _empty_folders(listing, depth + 1) if layout.places else ()
    return replace(layout, skipped=layout.skipped + empty)


def _common_folder(files: Sequence[Found]) -> str:
    """The deepest folder that holds all images, if they lie in sub-folders of it; else the source itself."""
    parents = [found.path.split("/")[:-1] for found in files]
    low, high = min(parents), max(parents)
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    has_loose_images = any(len(parent) == shared for parent in parents)
    return "" if has_loose_images else "/".join(low[:shared])


def _tops(parts: Sequence[Sequence[str]]) -> set[str]:
    return {names[0] for names in parts if len(names) > 1}


def _are_split_folders(parts: Sequence[Sequence[str]]) -> bool:
    """Whether the folders are splits: at least two of train, val, test, with class folders in them.

    Other folders beside train (``predict``, say) are no classes then; a class that happens to be
    called "train", beside classes of other names, contains images directly.
    """
    tops = _tops(parts)
    named = {part for top in tops if (part := part_of(top))}
    nested = any(len(names) > 2 and part_of(names[0]) for names in parts)
    return len(named) >= 2 and nested and ("train" in named or all(part_of(top) for top in tops))


def _place(
    files: Sequence[Found],
    top: str,
    kind: str,
    parts: Sequence[Sequence[str]],
    split: Mapping[str, Part | None] | None,
) -> _Layout:
    places: list[_Place] = []
    skipped: list[Skipped] = []
    level = 0 if split is None else 1
    for found, names in zip(files, parts, strict=True):
        part = None if split is None else split.get(names[0])
        if split is not None and len(names) > 1 and part is None:
            skipped.append(Skipped(found.path, f"in the folder {names[0]}, which is none of train, val and test"))
        elif len(names) <= level + 1:
            skipped.append(Skipped(found.path, "an image outside the class folders"))
        else:
            places.append(_Place(found, clean_label(names[level]) or names[level], part))
    return _Layout(kind, top, tuple(places), tuple(skipped))


def _empty_folders(listing: Listing, depth: int) -> tuple[Skipped, ...]:
    filled = {"/".join(found.path.split("/", depth)[:depth]) for found in listing.files}
    return tuple(
        Skipped(folder, EMPTY_CLASS)
        for folder in listing.folders
        if folder.count("/") == depth - 1 and folder not in filled
    )


def _what_else(listing: Listing) -> str:
    if not listing.skipped:
        return "put the images of each class in its own sub-folder"
    shown = "; ".join(f"{item.path or '.'}: {item.reason}" for item in listing.skipped[:3])
    return f"{len(listing.skipped)} other entries were skipped ({shown})"


def _flat_hint(root: Path) -> str:
    tables = sorted(path.name for path in root.glob("*") if path.suffix.lower() in (".csv", ".tsv", ".parquet"))
    if tables:
        return f"open the table beside them instead: {root / tables[0]}"
    return "put the images of each class in its own sub-folder, or list them in a CSV table with path and label"
