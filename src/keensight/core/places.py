"""Texts that leave the machine say no absolute path: it holds the user's name, or the customer's."""

from __future__ import annotations

import json
import re
import shlex

# What may stand before a path in one word of a command line: `--out=`, `data.corrections=`, `run:`, `file://`.
_ABSOLUTE = re.compile(r"(?P<before>(?:[\w.-]+=|run:|file://)*)(?:[A-Za-z]:|~[^/\\]*)?[/\\](?P<path>.*)", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def without_place(word: str) -> str:
    """An absolute path as its last component, with what stands before it; any other word as it is."""
    found = _ABSOLUTE.fullmatch(word)
    if found is None:
        return word
    components = re.split(r"[/\\]+", found["path"].rstrip("/\\"))
    return found["before"] + components[-1]


def command_without_places(command: str) -> str:
    """A command line whose absolute paths are cut to their last components."""
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that does not end: it was not typed into a shell
        return without_place(command)
    cut = [without_place(word) for word in words]
    return command if cut == words else shlex.join(cut)


def toml_without_places(text: str) -> str:
    """Settings as TOML, the same with their text values."""
    return _QUOTED.sub(lambda found: json.dumps(without_place(json.loads(found[0])), ensure_ascii=False), text)
