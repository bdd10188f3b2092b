"""Folders that Keensight has written: runs, studies, bundles and exports contain pictures, but are not image sets."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from keensight.core.files import read_json
from keensight.errors import DataError, StoreError

_MARKS: Mapping[str, tuple[str, frozenset[str]]] = {
    "run.json": ("run", frozenset({"schema", "state", "source", "command", "model", "seed", "versions"})),
    "study.json": ("study", frozenset({"schema", "state", "source", "command", "metric", "wanted"})),
    "manifest.json": ("bundle", frozenset({"schema", "task", "labels", "image", "files", "provenance"})),
    "export.json": ("export", frozenset({"schema", "format", "file", "labels", "outputs", "self_test"})),
}
"""A folder's record, what the folder is, and keys of the record: image sets may have files of these names, too."""
_LARGEST = 16 << 20
"""Bytes of a record; the store reads no larger ones."""
_IMAGES = "give the images themselves, as in `keensight train SOURCE --run FOLDER`"


def refuse_own_folder(folder: Path) -> None:
    """Refuse a run, a study, a bundle or an export as an image set, and a folder of nothing else.

    Raises:
        DataError: it is one.
    """
    if kind := _kind(folder):
        raise DataError(f"{folder} is {_a(kind)}, not an image set", _hint(kind, shlex.quote(str(folder))))
    inner = _inner_kinds(folder)
    if inner and None not in inner:
        found = " and ".join(sorted("studies" if one == "study" else f"{one}s" for one in inner))
        raise DataError(f"{folder} contains only {found} of Keensight and is not an image set", _IMAGES)


def _kind(folder: Path) -> str | None:
    """What a folder is by its record; None: nothing that Keensight wrote."""
    for name, (kind, keys) in _MARKS.items():
        record = _record(folder / name)
        if keys <= record.keys() and isinstance(record["schema"], int):
            return kind
    return None


def _inner_kinds(folder: Path) -> set[str | None]:
    """The kinds of all that is in a folder; it is not read on after what Keensight did not write."""
    kinds: set[str | None] = set()
    with suppress(OSError):
        for one in folder.iterdir():
            if not one.name.startswith("."):
                kinds.add(_kind(one))
            if None in kinds:
                break
    return kinds


def _a(kind: str) -> str:
    return f"an {kind}" if kind == "export" else f"a {kind}"


def _record(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none."""
    with suppress(StoreError, OSError):
        found = read_json(path) if path.is_file() and path.stat().st_size <= _LARGEST else None
        return found if isinstance(found, dict) else {}
    return {}


def _hint(kind: str, place: str) -> str:
    if kind == "run":
        return f"{_IMAGES}; `keensight evaluate {place}` shows the results of this run"
    if kind == "study":
        return f"{_IMAGES}; study.html in {place} shows the results of this study"
    if kind == "export":
        return f"{_IMAGES}; reader.py in {place} uses this export"
    return f"{_IMAGES}; `keensight predict {place} IMAGE` uses this bundle"
