"""Folders of images: one sub-folder per class, split folders of such, or images with their classes elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from keensight.core.progress import Progress
from keensight.core.reading import EMPTY_CLASS
from keensight.core.records import Dataset, Reading, Sample, Skipped
from keensight.data.sources.assemble import OneClass, assemble
from keensight.data.sources.boxes import box_classes
from keensight.data.sources.containers.archives import archive_kind
from keensight.data.sources.file_index import FileReader, examine
from keensight.data.sources.folder_tables import OpenTables, open_beside
from keensight.data.sources.layouts import LEVELS, Layout, Level, Tree, find_layouts
from keensight.data.sources.listing import Listing, list_images
from keensight.data.sources.metadata import attach, find_metadata
from keensight.data.sources.names import is_image_name
from keensight.data.sources.notices import Notices
from keensight.data.sources.set_aside import OUTSIDE
from keensight.errors import DataError, UsageError


def open_folder(  # noqa: PLR0913 - public options, by keyword
    root: Path,
    *,
    label: str | None = None,
    path: str | None = None,
    group: str | None = None,
    labels: Sequence[str] = (),
    label_regex: str | None = None,
    label_level: str | None = None,
    open_tables: OpenTables,
    progress: Progress | None = None,
) -> Dataset:
    """Read a folder by the one layout that its paths allow (:mod:`keensight.data.sources.layouts`).

    Images in deeper folders belong to the class above them. If the source contains a single folder with the classes in
    it, as unpacked archives do, that folder is used. A ``metadata.csv`` next to the classes adds its columns to the
    images that it lists: ``group`` and ``label`` are columns of it. Images in no class folder get their classes from a
    table next to them, or from files of boxes, if each image has boxes of one class.

    Args:
        root: The folder.
        label: Column with the class.
        path: Column with the image's path.
        group: Column with a group ID.
        labels: Columns of 0 and 1 of a table next to images.
        label_regex: A regular expression searched in each relative path; its first capture group (or the whole match)
            is the class.
        label_level: Which of nested folders is the class: ``top``, ``leaf`` or ``path``.
        open_tables: Reads the tables next to images.
        progress: Where to report while files are read.

    Raises:
        DataError: there are no images, no classes or fewer than two, several ways to read the folder, or a column
            named by the caller does not exist.
        UsageError: the pattern is no regular expression, or the level is unknown.
    """
    return open_tree(
        root, list_images(root), label=label, path=path, group=group, labels=labels, label_regex=label_regex,
        label_level=label_level, open_tables=open_tables, progress=progress,
    )  # fmt: skip


def open_tree(  # noqa: PLR0913 - those of open_folder
    root: Path,
    listing: Listing,
    *,
    label: str | None = None,
    path: str | None = None,
    group: str | None = None,
    labels: Sequence[str] = (),
    label_regex: str | None = None,
    label_level: str | None = None,
    open_tables: OpenTables,
    progress: Progress | None = None,
) -> Dataset:
    """Read the images of ``listing`` below ``root`` (see :func:`open_folder`)."""
    layout = _layout(root, listing, label_level, label_regex)
    columns: dict[str, Any] = {"label": label, "path": path, "group": group}
    if layout.unlabeled and layout.tables:
        table = partial(open_tables, **columns, labels=labels, progress=progress)
        try:
            return open_beside(root, listing, layout, table)
        except DataError as error:
            if isinstance(error, OneClass) or not layout.boxes:
                raise
    if labels:
        raise DataError(
            f"{root} is a folder, so the label columns {','.join(labels)} cannot be looked up", "open a table instead"
        )
    if layout.unlabeled and layout.boxes:
        layout = box_classes(root, layout, [item.path for item in listing.others])
    if not layout.labels:
        raise _no_classes(root, listing, layout, label_regex)
    return _dataset(root, listing, layout, columns, progress)


def _layout(root: Path, listing: Listing, level: str | None, pattern: str | None) -> Layout:
    """The only layout that the paths allow."""
    _check(pattern, level)
    if not listing.files:
        raise DataError(f"{root} contains no images", _what_else(root, listing))
    tree = Tree([found.path for found in listing.files], [item.path for item in listing.others])
    layouts = find_layouts(tree, level=cast("Level | None", level), pattern=pattern)
    if len(layouts) > 1:
        raise _several(root, layouts)
    return layouts[0]


def _check(pattern: str | None, level: str | None) -> None:
    if level is not None and level not in LEVELS:
        raise UsageError(f"there is no label level {level!r}", f"expected one of {', '.join(LEVELS)}")
    if pattern is None:
        return
    if level is not None:
        raise UsageError("the class is set twice, by a pattern and by a level", "use label_regex or label_level")
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"the label pattern {pattern!r} is not a valid regular expression: {error}",
            r"write it like --label-regex '([a-z]+)\.\d+\.jpg'",
        ) from error


def _dataset(
    root: Path, listing: Listing, layout: Layout, columns: dict[str, Any], progress: Progress | None
) -> Dataset:
    files = [found for found in listing.files if found.path in layout.labels]
    facts = examine(root, root, files, progress)
    samples = [
        Sample(
            found.path, layout.labels[found.path], fact.digest, found.size, split=layout.parts.get(found.path),
            info=fact.info, error=fact.error,
        )
        for found, fact in zip(files, facts, strict=True)
    ]  # fmt: skip
    table = find_metadata(root, layout.top)
    skipped = (*listing.skipped, *layout.skipped, *_empty_folders(listing, layout))
    used = {root / path for path in (*layout.tables, *(() if table is None else (table,)))}
    skipped = tuple(item for item in skipped if root / item.path not in used)
    samples, unmatched, notices = attach(samples, table, source=root, **columns)
    reader = FileReader(root, {found.path: found.stored for found in files if found.stored})
    skipped += tuple(unmatched)
    return assemble(
        root.resolve().name or "images", "split folders" if layout.parts else "folder", samples, reader,
        skipped=skipped, reading=_reading(layout, skipped, notices),
    )  # fmt: skip


def _reading(layout: Layout, skipped: Sequence[Skipped], notices: Notices) -> Reading:
    notes = (*((f"in {layout.top}/",) if layout.top else ()), *notices.notes)
    warnings = (*left_out(skipped), *notices.warnings)
    return Reading(layout.name, layout.cue, layout.override, notes, warnings)


def left_out(skipped: Sequence[Skipped]) -> list[str]:
    """Warnings of images that are not used, with numbers: by reason, and by folder where they have no class."""
    from keensight.data.audit.missing_classes import is_unread_image

    warnings = []
    unread = Counter(Path(item.path).suffix.lower() for item in skipped if is_unread_image(item))
    if unread:
        kinds = ", ".join(f"{n:,} {suffix}" for suffix, n in unread.most_common())
        warnings.append(f"{_images(unread.total())} of a format that is not read ({kinds}): convert to JPEG or PNG")
    loose = Counter(item.path.rpartition("/")[0] for item in skipped if item.reason == OUTSIDE)
    for folder, n in loose.most_common():
        where = f"in {folder}/" if folder else "next to the class folders"
        warnings.append(
            f"{_images(n)} {where} not used: in no class folder; `keensight predict` classifies them after training"
        )
    images = [item for item in skipped if is_image_name(item.path) and item.reason not in (OUTSIDE, EMPTY_CLASS)]
    reasons = Counter(item.reason for item in images if not item.reason.startswith(("hidden", "put there")))
    return [*warnings, *(f"{_images(n)} not used: {reason}" for reason, n in reasons.most_common(5))]


def _images(n: int) -> str:
    return f"{n:,} {'image' if n == 1 else 'images'}"


def _empty_folders(listing: Listing, layout: Layout) -> tuple[Skipped, ...]:
    depth = (layout.top.count("/") + 1 if layout.top else 0) + layout.depth
    if not layout.depth:
        return ()
    filled = {"/".join(found.path.split("/", depth)[:depth]) for found in listing.files}
    return tuple(
        Skipped(folder, EMPTY_CLASS)
        for folder in listing.folders
        if folder.count("/") == depth - 1 and folder not in filled
    )


# Refusals


def _what_else(root: Path, listing: Listing) -> str:
    if not listing.skipped:
        return "put the images of each class in its own sub-folder"
    archive = next((item.path for item in listing.skipped if archive_kind(item.path)), None)
    if archive is not None:
        return f"open the archive itself: {root / archive}"
    n, shown = len(listing.skipped), "; ".join(f"{item.path or '.'}: {item.reason}" for item in listing.skipped[:3])
    return f"{n} other {'entry was' if n == 1 else 'entries were'} skipped ({shown})"


def _several(root: Path, layouts: Sequence[Layout]) -> DataError:
    ways = []
    for layout in layouts:
        names = sorted(set(layout.labels.values()))
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        classes = f"{len(names):,} classes ({shown})" if names else "the classes inside"
        ways.append(f"{classes}: {layout.option}")
    cue = layouts[0].cue
    return DataError(
        f"{root} can be read in {len(layouts)} ways{f': {cue}' if cue else ''}", f"choose {'; or '.join(ways)}"
    )


def _no_classes(root: Path, listing: Listing, layout: Layout, pattern: str | None) -> DataError:
    if pattern is not None:
        return DataError(
            f"the label pattern {pattern!r} matches no path of {root}",
            f"the first path is {listing.files[0].path}; try another",
        )
    where = f" ({layout.cue})" if layout.cue else ""
    hint = "put the images of each class in its own sub-folder, or list them in a CSV table with path and label"
    if layout.pattern:
        hint = f"if the class is in the name of each file, use --label-regex '{layout.pattern}'; else {hint}"
    return DataError(f"{root} holds {len(listing.files)} images but no class folders{where}", hint)
