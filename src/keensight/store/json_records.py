"""Read records from untrusted files: sizes, schema number and types are checked first."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from keensight import __version__
from keensight.core.codec import from_plain
from keensight.errors import KeensightError, StoreError

R = TypeVar("R")
_DAMAGED = "the file is damaged or was written by another program; restore it or train again"
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){1,3}")


def read_versioned(path: Path, cls: type[R], *, newest: int, limit: int) -> R:
    """A record whose file carries a ``schema`` number.

    Args:
        path: Its JSON file.
        cls: The record.
        newest: Highest schema number that this version reads.
        limit: Largest size of the file in bytes.

    Raises:
        StoreError: the file is missing, too large, damaged, or of a newer schema.
    """
    plain = _read_object(path, limit)
    check_schema(path, plain, newest)
    return checked(path, cls, plain)


def check_schema(place: Path | str, plain: Mapping[str, Any], newest: int) -> None:
    """Refuse a file without a ``schema`` number, or with one that this version does not know.

    Args:
        place: The file, for messages.
        plain: What is in it; where it names the version that wrote it, the hint does too.
        newest: Highest schema number that this version reads.

    Raises:
        StoreError: there is no number, or a higher one.
    """
    schema = plain.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise StoreError(f"{place} has no schema number", _DAMAGED)
    if schema > newest:
        version = _written_by(plain)
        raise StoreError(
            f"{place} was written by a newer Keensight{f' ({version})' if version else ''}: its schema is {schema}, "
            f"this version ({__version__}) reads up to {newest}",
            f'upgrade: pip install --upgrade "keensight>={version}"'
            if version
            else "upgrade: pip install --upgrade keensight",
        )


def _written_by(plain: Mapping[str, Any]) -> str | None:
    """The version of Keensight that a record says it was written by, if it is nothing but a version."""
    provenance = plain.get("provenance")
    for holder in (plain, provenance if isinstance(provenance, Mapping) else {}):
        versions = holder.get("versions")
        found = versions.get("keensight") if isinstance(versions, Mapping) else None
        if isinstance(found, str) and _VERSION.fullmatch(found) and found != __version__:
            return found
    return None


def read_record(path: Path, cls: type[R], *, limit: int = 1 << 30) -> R:
    """A record whose file carries no ``schema`` number.

    Args:
        path: Its JSON file.
        cls: The record.
        limit: Largest size of the file in bytes.

    Raises:
        StoreError: the file is missing, too large or damaged, or a value in it has another type than the record says.
    """
    return checked(path, cls, _read_object(path, limit))


def checked(place: Path | str, cls: type[R], plain: Any, key: str = "") -> R:
    """A record from plain values whose types are checked.

    Args:
        place: What messages begin with: the file, or its line.
        cls: The record.
        plain: What was read.
        key: What that is called in messages, where it is a part of the file.

    Raises:
        StoreError: a key is missing or has a value of another type, or the record itself refuses its values.
    """
    try:
        return from_plain(cls, plain, key)
    except KeensightError as error:
        raise StoreError(f"{place}: {error.message}", _DAMAGED) from error


def strict_json(text: str | bytes) -> Any:
    """JSON with finite numbers only, and with no key twice in an object (the last would silently win).

    Raises:
        ValueError: it is not such JSON.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _read_object(path: Path, limit: int) -> dict[str, Any]:
    try:
        if path.stat().st_size > limit:
            raise StoreError(f"{path} is larger than {limit:,} bytes", _DAMAGED)
        plain = strict_json(path.read_bytes())
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", "is this a Keensight run or bundle?") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}", "check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not valid JSON: {error}", _DAMAGED) from error
    if not isinstance(plain, dict):
        raise StoreError(f"{path} is not a JSON object", _DAMAGED)
    return plain
