"""Convert records to plain JSON values and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum, EnumType
from functools import cache
from typing import Any, TypeVar

import numpy as np

from keensight.errors import StoreError

R = TypeVar("R")


def to_plain(value: Any) -> Any:
    """Convert a record (or a container of records) to dictionaries, lists and scalars."""
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


def from_plain(cls: type[R], value: Any, key: str = "") -> R:
    """Rebuild a record from plain values, every one of which must have the type that the record says.

    Unknown keys are ignored, so that a newer file still opens. A whole number is taken for a
    number.

    Args:
        cls: The record.
        value: As :func:`to_plain` gives it.
        key: What ``value`` is called in messages, such as ``decision.answers``.

    Raises:
        StoreError: a key is missing or has a value of another type; the message names key, type and what was expected.
        DataError: the record itself refuses its values.
    """
    return typing.cast(R, _build(cls, value, key))


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _build(kind: Any, value: Any, key: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        known = next(option for option in inner if option is not type(None))
        return None if value is None else _build(known, value, key)
    if dataclasses.is_dataclass(kind):
        return _record(typing.cast(type, kind), value, key)
    if origin is tuple:
        return _tuple(inner, value, key)
    if origin is Mapping:
        return {name: _build(inner[1], item, _within(key, name)) for name, item in _object(value, key).items()}
    if origin is np.ndarray:
        return _array(value, key)
    return _scalar(kind, value, key)


def _record(cls: type, value: Any, key: str) -> Any:
    given, hints = _object(value, key), _hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    for field in fields:
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in given:
            raise _refusal(f"the key {_within(key, field.name)!r} is missing")
    known = [field.name for field in fields if field.name in given]
    return cls(**{name: _build(hints[name], given[name], _within(key, name)) for name in known})


def _tuple(kinds: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _misfit(value, "a list", key)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise _refusal(f"{_called(key)} is a list of {len(value)}, but a list of {len(kinds)} was expected")
    return tuple(_build(kind, item, f"{key}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _array(value: Any, key: str) -> Any:
    try:
        return np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise _misfit(value, "a list of numbers", key) from error


def _object(value: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _misfit(value, "an object", key)
    return value


def _scalar(kind: Any, value: Any, key: str) -> Any:
    if isinstance(kind, EnumType):
        members: list[Enum] = list(kind)
        try:
            return kind(value)
        except ValueError as error:
            raise _misfit(value, f"one of {', '.join(str(item.value) for item in members)}", key) from error
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise _misfit(value, f"one of {', '.join(map(str, choices))}", key)
        return value
    taken = (int, float) if kind is float else kind
    if not isinstance(value, taken) or (isinstance(value, bool) and kind is not bool):
        raise _misfit(value, _EXPECTED.get(kind, kind.__name__), key)
    try:
        return float(value) if kind is float else value
    except OverflowError as error:
        raise _misfit(value, "a number", key) from error


_EXPECTED = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _within(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _called(key: str) -> str:
    return f"the key {key!r}" if key else "the whole"


def _misfit(value: Any, expected: str, key: str) -> StoreError:
    return _refusal(f"{_called(key)} is {_described(value)}, but {expected} was expected")


def _refusal(message: str) -> StoreError:
    return StoreError(message, "the file is damaged or was written by another program; restore it, or train again")


def _described(value: Any) -> str:
    """A plain value in a message: short, and by JSON's own words."""
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"the number {value}" if abs(value) < _LONGEST else "a number of very many digits"
    return _WORDS[value]


_LONGEST = 10**40
_WORDS = {None: "null", True: "true", False: "false"}
