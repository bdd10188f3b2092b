"""Suspected label errors, and corrections."""

from __future__ import annotations

import csv
import io
import typing
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from keensight.core.files import write_text
from keensight.core.sanitize import guarded, unguarded
from keensight.core.text_tables import read_cells
from keensight.errors import DataError

DETECTABLE = 0.6
"""Below this, the classes are too similar for the check: most of what it finds would be the model's own errors."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image whose label looks wrong to models that were not trained on it.

    In a multi-label set, one label of the image: ``given`` is ``"wet"`` and ``suggested`` ``"not wet"`` if the label
    seems to be wrong, and the other way round if it seems to be missing.
    """

    path: str
    digest: str
    part: str
    """``train``, ``val`` or ``test``."""
    given: str
    suggested: str
    """The most probable other class."""
    score: float
    """Calibrated probability of the given class, 0 to 1; the lowest is the most suspicious."""
    probability: float
    """Calibrated probability of the suggested class."""


@dataclass(frozen=True, slots=True)
class ClassNoise:
    """How many images of a class seem to be mislabeled; in a multi-label set, of those with (or without) a label."""

    label: str
    n: int
    suspects: int
    noise: float
    """Estimated fraction of wrong labels, 0 to 1."""
    mostly: str
    """The class that most of its mislabeled images belong to; empty if there are none."""


@dataclass(frozen=True, slots=True)
class AccuracyRange:
    """The range of the test accuracy, depending on which suspects in the test set are really mislabeled."""

    n: int
    suspects: int
    """Suspects in the test set."""
    measured: float
    """With the labels as given."""
    low: float
    """If exactly the suspects that counted as correct are mislabeled."""
    high: float
    """If exactly the suspects whose suggested class the model predicted are mislabeled."""
    corrected: float
    """If every suspect belongs to its suggested class."""


@dataclass(frozen=True, slots=True)
class LabelSuspects:
    """The result of a label check, as stored in ``labels.json``."""

    n: int
    """Number of images checked."""
    method: str
    """The method, in words."""
    accuracy: float
    """Out-of-fold accuracy: fraction of images whose given label is predicted by models not trained on them."""
    noise: float
    """Estimated fraction of wrong labels over all classes, 0 to 1."""
    suspects: tuple[Suspect, ...]
    """The most suspicious first."""
    classes: tuple[ClassNoise, ...]
    accuracy_range: AccuracyRange | None = None
    """None if there are no test results."""
    doubtful: tuple[Suspect, ...] = ()
    """The next least probable labels, for review only: there is no evidence that they are wrong."""
    precision: float | None = None
    """Estimated fraction of the suspects that are wrong; None: no suspects, or written before it was estimated."""
    detectable: float | None = None
    """If 1% of the labels were wrong at random (multi-label: 2% of those present missing, and as many wrongly there),
    the fraction of those that could be distinguished from genuine confusions; None: written before it was estimated."""

    @property
    def pairs(self) -> int | None:
        """Number of (image, label) pairs checked; None: each image has one class.

        Images of a multi-label set are counted for each label; with one label only, they are its two classes.
        """
        counted = sum(row.n for row in self.classes)
        return counted if counted > self.n else None

    @property
    def too_alike(self) -> bool:
        """Whether the classes are so similar that too few label errors could be distinguished from genuine
        confusions."""
        return self.detectable is not None and self.detectable < DETECTABLE

    def headline(self) -> dict[str, Any]:
        """The metrics as plain values, for ``run.json`` and ``train --json``."""
        found = self.accuracy_range
        bounds = None if found is None else [found.low, found.high]
        return {
            "n": self.n,
            "suspects": len(self.suspects),
            "precision": self.precision,
            "noise": self.noise,
            "test_accuracy_range": bounds,
        }

    def sentence(self) -> str:
        """The number of suspects and the resulting range of the test accuracy, in one line of ASCII."""
        if not self.suspects:
            return self._none()
        text = f"{len(self.suspects):,} of {self._what()} are suspicious"
        if self.precision is not None:
            text += f" (estimated: {100 * self.precision:.0f}% of them wrong)"
        found = self.accuracy_range
        if found is None or not found.suspects:
            return text
        return (
            f"{text}; {found.suspects:,} of them in the test set: if they are wrong, its accuracy is "
            f"{found.low:.3f} to {found.high:.3f}"
        )

    def _what(self) -> str:
        if self.pairs is None:
            return f"{self.n:,} labels"
        return f"{self.pairs:,} pairs of image and label"

    def _none(self) -> str:
        text = f"none of {self._what()} is suspicious"
        if self.too_alike:
            which = f"{len(self.classes)} classes are too similar" if self.pairs is None else "labels are too uncertain"
            text += f": the {which} to tell label errors from genuine confusions"
        if not self.doubtful:
            return text
        return f"{text}; the {len(self.doubtful)} least probable are listed for review only"


Action = Literal["keep", "relabel", "drop"]
ACTIONS: tuple[Action, ...] = typing.get_args(Action)


@dataclass(frozen=True, slots=True)
class Correction:
    """A decision about one image: one line of the corrections file."""

    path: str
    digest: str
    given: str
    """The label that was reviewed."""
    action: Action
    label: str
    """The new label; empty if the image is dropped."""


COLUMNS = tuple(field.name for field in fields(Correction))


def write_corrections(path: Path, corrections: Iterable[Correction]) -> None:
    """Write the file atomically: readers see the old one or the new one.

    Raises:
        StoreError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(guarded, astuple(correction)) for correction in corrections)
    write_text(path, text.getvalue())


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """Read a corrections file.

    Raises:
        DataError: the file is missing or not a corrections file, or a line has no valid decision.
    """
    try:
        table = read_cells(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"there is no corrections file {path}", "`keensight review RUN` writes one") from error
    except (OSError, ValueError) as error:
        raise DataError(f"the corrections file {path} cannot be read: {error}", "give a CSV file") from error
    header = table.rows[0] if table.rows else []
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise DataError(
            f"{path} has no column {missing[0]!r}",
            f"a corrections file has the columns {', '.join(COLUMNS)}; `keensight review` writes one",
        )
    found = zip(table.lines[1:], table.rows[1:], strict=True)
    return tuple(_correction(path, line, dict(zip(header, row, strict=False))) for line, row in found)


def _correction(path: Path, line: int, row: dict[str, str]) -> Correction:
    values = {name: unguarded(row.get(name, "")) for name in COLUMNS}
    action = values["action"].strip().lower()
    if action not in ACTIONS:
        raise DataError(f"{path}, line {line}: the action is {action!r}", f"write one of {', '.join(ACTIONS)}")
    if action == "relabel" and not values["label"]:
        raise DataError(f"{path}, line {line}: {values['path']} has no label", "write it in the column label")
    label = {"keep": values["given"], "drop": ""}.get(action, values["label"])
    return Correction(values["path"], values["digest"].lower(), values["given"], action, label)
