"""An export on disk: a folder with a network, ``export.json``, its self-test and a reader; complete or absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from keensight.core.codec import to_plain
from keensight.core.exports import SCHEMA, SELF_TEST, SIDECAR, Exported, ExportRecord, digest_of
from keensight.core.files import sha256_file, write_bytes, write_json
from keensight.core.whole_folders import whole_folder
from keensight.errors import StoreError
from keensight.store.json_records import read_versioned, strict_json

CHECK = "record, files and SHA-256"
"""Name of the check of :func:`read_export`."""
_LIMIT = 64 << 20
_AGAIN = "export the model again, or get the export again from its source"


def is_export(path: str | Path) -> bool:
    """Whether a folder contains an export."""
    return (Path(path) / SIDECAR).is_file()


def check_place(folder: Path, replace_it: bool) -> None:
    """Refuse a place that an export cannot be written to, before any work.

    Raises:
        StoreError: there is something, which is not to be replaced or is not an export.
    """
    if not folder.exists():
        return
    empty = folder.is_dir() and not any(folder.iterdir())
    if empty or (replace_it and is_export(folder)):
        return
    if replace_it:
        raise StoreError(f"{folder} exists and is not an export", "choose another place; nothing else is replaced")
    raise StoreError(f"{folder} already exists", "add --replace, or choose another place with --out")


def write_export(
    folder: Path, fill: Callable[[Path], ExportRecord], files: Callable[[ExportRecord], Mapping[str, bytes]]
) -> Exported:
    """Write an export next to its place, then move it there.

    Args:
        folder: Its place; an export there is replaced.
        fill: Writes the network into the folder that it gets, and compares it with the model.
        files: The other files: relative name to content.

    Raises:
        StoreError: a file cannot be written.
        GateError: from ``fill``: the export may not be used; nothing is written.
    """
    with whole_folder(folder, replace=True) as place:
        record = fill(place)
        for name, content in files(record).items():
            write_bytes(place / name, content)
        record = replace(record, schema=SCHEMA, files=_digests(place)).sealed()
        write_json(place / SIDECAR, to_plain(record))
        size = network_size(place / record.file)
    return Exported(folder, record, size)


def read_export(folder: Path) -> Exported:
    """Read an export's record, and check it and every file by its SHA-256; nothing is loaded.

    Raises:
        StoreError: it is damaged, was changed, or is of a newer version.
    """
    path = folder / SIDECAR
    record = read_versioned(path, ExportRecord, newest=SCHEMA, limit=_LIMIT)
    if digest_of(strict_json(path.read_bytes())) != record.digest:
        raise StoreError(f"{path} was changed or is damaged: its digest differs", _AGAIN)
    found = _digests(folder)
    if missing := sorted(record.files.keys() - found.keys()):
        raise StoreError(f"{folder} lacks {', '.join(missing)}", _AGAIN)
    if extra := sorted(found.keys() - record.files.keys()):
        raise StoreError(f"{folder} contains files that {SIDECAR} does not list: {', '.join(extra[:5])}", _AGAIN)
    for name, digest in record.files.items():
        if found[name] != digest:
            raise StoreError(f"{folder / name} was changed or is damaged: checksum mismatch (SHA-256)", _AGAIN)
    unlisted = [one.file for one in record.self_test if f"{SELF_TEST}/{one.file}" not in record.files]
    if unlisted:
        raise StoreError(f"{path} does not list the images {', '.join(unlisted[:5])} of its self-test", _AGAIN)
    if record.file not in record.files and not any(name.startswith(f"{record.file}/") for name in record.files):
        raise StoreError(f"{path} does not list its network {record.file}", _AGAIN)
    return Exported(folder, record, network_size(folder / record.file))


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the record, by relative name; hidden files and Python's caches do not count."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts):
            continue
        if path.is_symlink():
            raise StoreError(f"{path} is a link, but an export must contain its files", _AGAIN)
        if path.is_file() and parts != (SIDECAR,):
            found["/".join(parts)] = sha256_file(path)
    return found


def network_size(network: Path) -> int:
    """Bytes of a network: its file with a ``.bin`` of the same name, or all files of its folder."""
    if network.is_dir():
        return sum(path.stat().st_size for path in network.rglob("*") if path.is_file())
    weights = network.with_suffix(".bin")
    return network.stat().st_size + (weights.stat().st_size if weights.is_file() else 0)
