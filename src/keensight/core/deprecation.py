"""Former names of parameters, which go on working for a while."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def renamed(**names: str) -> Callable[[Function], Function]:
    """Let a function take keywords by their former names, with a ``DeprecationWarning``.

    Args:
        **names: Former name to present name.
    """

    def wrapped(function: Function) -> Function:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            for old, new in names.items():
                if old in options:
                    warnings.warn(
                        f"{function.__name__}({old}=...) is now {function.__name__}({new}=...)",
                        DeprecationWarning, stacklevel=2,
                    )  # fmt: skip
                    if new in options:
                        raise TypeError(f"{function.__name__}() got both {old!r}, its former name, and {new!r}")
                    options[new] = options.pop(old)
            return function(*args, **options)

        return call  # type: ignore[return-value]

    return wrapped
