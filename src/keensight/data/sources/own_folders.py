"""Folders that Keensight has written: runs, studies and bundles contain pictures, but are not image sets."""

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
}
"""A folder's record, what the folder is, and keys of the record: image sets may have files of these names, too."""
_LARGEST = 16 << 20
"""Bytes of a record; the store reads no larger ones."""
_IMAGES = "give the images themselves, as in `keensight train SOURCE --run FOLDER`"


def refuse_own_folder(folder: Path) -> None:
    """Refuse a run, a study or a bundle as an image set.

    Raises:
        DataError: it is one.
    """
    for name, (kind, keys) in _MARKS.items():
        record = _record(folder / name)
        if keys <= record.keys() and isinstance(record["schema"], int):
            raise DataError(f"{folder} is a {kind}, not an image set", _hint(kind, shlex.quote(str(folder))))


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
    return f"{_IMAGES}; `keensight predict {place} IMAGE` uses this bundle"
