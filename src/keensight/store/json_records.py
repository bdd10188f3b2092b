"""Read records from untrusted files: sizes, schema number and types are checked first."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeVar

from keensight.core.codec import from_plain
from keensight.errors import KeensightError, StoreError

R = TypeVar("R")
_DAMAGED = "the file is damaged or was written by another program; restore it or train again"


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
    schema = plain.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise StoreError(f"{path} has no schema number", _DAMAGED)
    if schema > newest:
        raise StoreError(
            f"{path} was written by a newer Keensight: its schema is {schema}, this version reads up to {newest}",
            "upgrade: pip install --upgrade keensight",
        )
    return checked(path, cls, plain)


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
