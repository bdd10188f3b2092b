"""What ``sources.json`` says of each image set: its repository, which files it takes, their labels, and its split."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Rule:
    """Which files of the repository are images of the set.

    The named groups of ``pattern`` are the fields of a picture; the other texts are templates of them (see
    :func:`fill`), used in place of a field of the same name.
    """

    pattern: re.Pattern[str]
    archive: re.Pattern[str] | None = None
    """Zip files in the repository; ``pattern`` is then matched against the names in them."""
    label: str = "{label}"
    group: str = ""
    split: str = ""
    mask: str = ""
    """Path in the repository of the mask of the defect."""
    copies: bool = False
    """Augmented copies; ``group`` is the original that they come from."""


@dataclass(frozen=True, slots=True)
class LabelFile:
    """Labels that are in a file of the repository, one for each match of ``pattern``.

    A picture's label is that of the match whose group ``key`` is its field ``name``; without such a group the matches
    are numbered from ``first``.
    """

    path: str
    pattern: str
    first: int = 0
    form: str = "{}"


@dataclass(frozen=True, slots=True)
class Near:
    """What happens to images whose fingerprints differ in at most ``bits`` of 256."""

    bits: int
    action: str
    """``group``: they share a group; ``drop_train``: those like a test image are dropped from training."""


@dataclass(frozen=True, slots=True)
class Division:
    """How train, val and test are made; ``by`` names one of the functions in ``draws.DIVISIONS``."""

    by: str
    fractions: tuple[float, ...] = ()
    field: str = "split"
    names: Mapping[str, str] | None = None
    """Values of the field and the names of their splits, where these differ."""
    val: float = 0.0
    """Fraction of train that becomes val."""
    most: Mapping[str, int] | None = None
    """Most images of a split; of an anomaly set: of ``train``, ``good`` (in test) and ``defect``."""


@dataclass(frozen=True, slots=True)
class Source:
    """One image set."""

    name: str
    kind: str
    task: str
    half: str
    """``chosen``: defaults may be chosen on it; ``shown``: they are only shown on it."""
    repository: str
    commit: str
    original: str
    license: str
    note: str
    images: int
    digest: str
    """SHA-256 of the set's table (see ``sets.digest``)."""
    rules: tuple[Rule, ...]
    division: Division
    label_file: LabelFile | None = None
    label_by_mask: str = ""
    """Label of the images whose mask is not empty; the others are good."""
    labels: Mapping[str, str] | None = None
    """Labels as found and as used, where these differ."""
    without: tuple[str, ...] = ()
    """Labels as found whose images are left out."""
    classes: int = 0
    """Number of classes drawn; 0: all."""
    most: int = 0
    """About so many images are drawn; 0: all."""
    floor: int = 0
    """Classes of up to so many images are taken whole."""
    series: str = ""
    """Pattern of the number in the path; images with numbers that follow each other closely share a group."""
    gap: int = 0
    people: bool = False
    """Each person made the classes in order, so that a new one begins where the class number falls."""
    near: Near | None = None


def load(path: Path = HERE / "sources.json") -> tuple[Source, ...]:
    return tuple(_source(entry) for entry in json.loads(path.read_text(encoding="utf-8")))


def pick(names: list[str], half: str | None, kind: str | None) -> list[Source]:
    """The sets of these names (none: all), of a half, and whose kind contains a word.

    Raises:
        SystemExit: a set does not exist.
    """
    found = {source.name: source for source in load()}
    if unknown := [name for name in names if name not in found]:
        raise SystemExit(f"no such set: {', '.join(unknown)}; there are {', '.join(found)}")
    chosen = [found[name] for name in names] if names else list(found.values())
    return [one for one in chosen if half in (None, one.half) and (kind is None or kind in one.kind)]


def fill(template: str, fields: Mapping[str, str]) -> str:
    """``{name}``: the field; ``{number//10}``: the field divided by 10, rounded down."""

    def value(match: re.Match[str]) -> str:
        text = fields[match[1]]
        return text if match[2] is None else str(int(text) // int(match[2]))

    return re.sub(r"\{(\w+)(?://(\d+))?\}", value, template)


def _source(entry: dict[str, Any]) -> Source:
    parts: dict[str, Any] = {
        "rules": tuple(_rule(rule) for rule in entry["rules"]),
        "division": Division(**entry["division"]),
        "without": tuple(entry.get("without", ())),
    }
    for key, kind in (("label_file", LabelFile), ("near", Near)):
        if key in entry:
            parts[key] = kind(**entry[key])
    return Source(**entry | parts)


def _rule(entry: dict[str, Any]) -> Rule:
    patterns: dict[str, Any] = {key: re.compile(entry[key]) for key in ("pattern", "archive") if key in entry}
    return Rule(**entry | patterns)
