"""Reading records that somebody else may have written: sizes, schema number and types are checked first."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from keensight.core.codec import from_plain
from keensight.errors import KeensightError, StoreError

R = TypeVar("R")
_DAMAGED = "the file is damaged or from another program; restore it, or train again"


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
    try:
        record = from_plain(cls, plain)
    except KeensightError as error:
        raise StoreError(f"{path}: {error.message}", _DAMAGED) from error
    problem = _misfit(record, cls, cls.__name__)
    if problem:
        raise StoreError(f"{path}: {problem}", _DAMAGED)
    return record


def _read_object(path: Path, limit: int) -> dict[str, Any]:
    try:
        if path.stat().st_size > limit:
            raise StoreError(f"{path} is larger than {limit:,} bytes", _DAMAGED)
        plain = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", "is this a Keensight run or bundle?") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}", "check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not valid JSON: {error}", _DAMAGED) from error
    if not isinstance(plain, dict):
        raise StoreError(f"{path} holds no JSON object", _DAMAGED)
    return plain


def _misfit(value: Any, kind: Any, where: str) -> str | None:
    """What in a record is of another type than it says (the codec rebuilds, it does not check)."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return None
    if origin is typing.Literal:
        return None if value in inner else f"{where} cannot be {value!r}"
    if origin is types.UnionType:  # something or None
        return None if value is None else _misfit(value, inner[0], where)
    if not isinstance(value, origin or kind) or (kind is int and isinstance(value, bool)):
        return f"{where} is a {type(value).__name__}, not a {getattr(origin or kind, '__name__', kind)}"
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        parts = [(getattr(value, f.name), hints[f.name], f.name) for f in dataclasses.fields(kind)]
    elif origin is tuple:
        parts = [(item, inner[0], f"an item of {where}") for item in value]
    elif origin is Mapping:
        parts = [(item, inner[1], f"{where}[{key!r}]") for key, item in value.items()]
    else:
        parts = []
    return next((found for part in parts if (found := _misfit(*part))), None)
