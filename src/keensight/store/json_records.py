"""Reading records that somebody else may have written: sizes, schema number and types are checked first."""

from __future__ import annotations

import dataclasses
import json
import math
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
        return strictly(cls, plain)
    except KeensightError as error:
        raise StoreError(f"{path}: {error.message}", _DAMAGED) from error


def strictly(cls: type[R], plain: Any) -> R:
    """A record from plain values whose types are checked too.

    Raises:
        StoreError: a field is missing, or of another type than the record says.
        DataError: the record itself refuses its values.
    """
    record = from_plain(cls, plain)
    if problem := _misfit(record, cls, cls.__name__):
        raise StoreError(problem, _DAMAGED)
    return record


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
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
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
        raise StoreError(f"{path} holds no JSON object", _DAMAGED)
    return plain


def _misfit(value: Any, kind: Any, where: str) -> str | None:
    """What in a record is of another type than it says (the codec rebuilds, it does not check)."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return None
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _misfit(value, next(k for k in inner if k is not type(None)), where)
    if origin is typing.Literal:
        return None if value in inner else f"{where} cannot be {value!r}"
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
