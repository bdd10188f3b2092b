"""Text that others wrote (names of files and classes, headers, messages), fit for a terminal or a spreadsheet."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def visible(text: str, keep: str = "") -> str:
    """``text`` with what would steer a terminal (control characters, changes of direction) as ``\\x1b``.

    Args:
        text: Any text, also with stray bytes of file names.
        keep: Control characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(sign if _is_harmless(sign) or sign in keep else repr(sign)[1:-1] for sign in text)


def _is_harmless(sign: str) -> bool:
    return sign.isprintable() or unicodedata.category(sign) == "Zs"


def guarded(cell: Any) -> Any:
    """A cell of a table, so that no spreadsheet takes it for a formula: such text gets an apostrophe in front."""
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def unguarded(cell: str) -> str:
    """What :func:`guarded` was given, of a cell that it returned."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
