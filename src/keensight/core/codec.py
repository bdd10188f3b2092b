"""Records to plain JSON values and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import EnumType
from functools import cache
from typing import Any, TypeVar

import numpy as np

from keensight.errors import StoreError

R = TypeVar("R")


def to_plain(value: Any) -> Any:
    """A record (or a container of records) as dictionaries, lists and scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.compare or f.repr}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value


def from_plain(cls: type[R], value: Any) -> R:
    """Rebuild a record from plain values.

    Keys that the record does not know are ignored, so that a newer file still opens.

    Raises:
        StoreError: a field is missing or has another shape.
    """
    try:
        return typing.cast(R, _build(cls, value))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise StoreError(
            f"this is not a valid {cls.__name__}: {error}", "the file is damaged or from another program"
        ) from error


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _build(kind: Any, value: Any) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if value is None or kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _build(next(option for option in inner if option is not type(None)), value)
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        names = {f.name for f in dataclasses.fields(kind)}
        return typing.cast(Any, kind)(**{key: _build(hints[key], item) for key, item in value.items() if key in names})
    if origin is tuple:
        return _tuple(inner, value)
    if origin is Mapping and isinstance(value, Mapping):
        return {key: _build(inner[1], item) for key, item in value.items()}
    if isinstance(kind, EnumType):
        return kind(value)
    if origin is np.ndarray:
        return np.asarray(value, dtype=np.float32)
    return _float(value) if kind is float else value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_build(kinds[0], item) for item in value)
    return tuple(_build(part, item) for part, item in zip(kinds, value, strict=True))
