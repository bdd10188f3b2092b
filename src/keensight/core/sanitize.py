"""Make foreign text (file and class names, headers, messages) safe for terminals, web pages and spreadsheets."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def visible(text: str, keep: str = "") -> str:
    """Escape what would control a terminal (control characters, changes of direction) as ``\\x1b``.

    Args:
        text: Any text, including undecodable bytes of file names.
        keep: Control characters to keep.
    """
    if text.isprintable():
        return text
    return "".join(sign if _is_harmless(sign) or sign in keep else repr(sign)[1:-1] for sign in text)


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def unsteered(text: str) -> str:
    """Escape control characters and changes of direction, and nothing else: pages show what a terminal may not, such as
    joined emoji and the joiners of Persian.
    """
    return _STEERING.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)


def _is_harmless(sign: str) -> bool:
    return sign.isprintable() or unicodedata.category(sign) == "Zs"


def guarded(cell: Any) -> Any:
    """Guard a table cell from being read as a formula by spreadsheets: such text gets an apostrophe in front."""
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def unguarded(cell: str) -> str:
    """Undo :func:`guarded`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


# What may precede a path in one word of a command line: `--out=`, `data.corrections=`, `run:`, `file://`.
_ABSOLUTE = re.compile(r"(?P<before>(?:[\w.-]+=|run:|file://)*)(?:[A-Za-z]:|~[^/\\]*)?[/\\](?P<path>.*)", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def without_place(word: str) -> str:
    """Reduce an absolute path to its last component, keeping any prefix; other words are unchanged."""
    found = _ABSOLUTE.fullmatch(word)
    if found is None:
        return word
    components = re.split(r"[/\\]+", found["path"].rstrip("/\\"))
    return found["before"] + components[-1]


def command_without_places(command: str) -> str:
    """Reduce the absolute paths in a command line to their last components."""
    try:
        words = shlex.split(command)
    except ValueError:  # an unclosed quote: it was not typed into a shell
        return without_place(command)
    cut = [without_place(word) for word in words]
    return command if cut == words else shlex.join(cut)


def toml_without_places(text: str) -> str:
    """Do the same for the text values of settings in TOML."""
    return _QUOTED.sub(lambda found: json.dumps(without_place(json.loads(found[0])), ensure_ascii=False), text)
