"""Sources as people have them, and what Keensight says of each: the cases of *Which sources work*.

Each module ``cases_*.py`` has a list ``CASES``. ``tests/unit/data/test_source_cases.py`` opens every one of them, and
``docs/generate.py`` writes ``docs/sources.md`` from them.
"""

from __future__ import annotations

import pkgutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

Outcome = Literal["read", "told", "refused"]
SECTIONS = ("Folders", "Tables", "Archives and arrays", "Formats")


@dataclass(frozen=True)
class Case:
    """One source, and what happens when it is opened."""

    section: Literal["Folders", "Tables", "Archives and arrays", "Formats"]
    name: str
    """What a user would call it: ``train and test folders``."""
    layout: str
    """How it looks: ``train/cat/1.png, test/cat/2.png``."""
    build: Callable[[Path], Any]
    """Makes it in an empty folder; returns what ``ks.open`` is given."""
    outcome: Outcome
    """``read``: opened, with no warning. ``told``: opened, with a warning. ``refused``: an error."""
    sentence: str
    """A part of what is said: of the line ``read as`` and its warnings, or of the error and its hint."""
    classes: tuple[str, ...] = ("cat", "dog")
    """The classes, where it is opened."""
    images: int = 8
    """The number of images, where it is opened."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of ``ks.open``."""
    needs: str = ""
    """A package of an extra that it takes; the test is skipped without it."""


def all_cases() -> list[Case]:
    """The cases of all modules, in the order of ``SECTIONS``."""
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    cases = [case for module in modules for case in getattr(module, "CASES", ())]
    return sorted(cases, key=lambda case: SECTIONS.index(case.section))


def picture(path: Path, **options: Any) -> Path:
    """Write a small image whose pixels follow from its name alone, so that equal names are equal images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    Image.fromarray(rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(path, **options)
    return path


def pictures(root: Path, *paths: str) -> Path:
    """Write images at these relative paths, where ``cat/{1-4}.png`` stands for four; return the root."""
    for path in paths:
        before, brace, rest = path.partition("{")
        numbers, _, after = rest.partition("}")
        first, _, last = numbers.partition("-")
        for number in range(int(first), int(last) + 1) if brace else ("",):
            picture(root / f"{before}{number}{after}")
    return root
