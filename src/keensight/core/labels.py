"""What is suspected of a set's labels."""

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
from keensight.errors import DataError

DETECTABLE = 0.6
"""With less the classes are too alike for the check: what it would find is mostly the model's own errors."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image whose label looks wrong to models that did not see it."""

    path: str
    digest: str
    part: str
    """``train``, ``val`` or ``test``."""
    given: str
    suggested: str
    """The class that is most probable instead."""
    score: float
    """Calibrated probability of the given class, 0 to 1; the lowest is the most suspicious."""
    probability: float
    """That of the suggested class."""


@dataclass(frozen=True, slots=True)
class ClassNoise:
    """How many of the images that carry a label seem to belong elsewhere."""

    label: str
    n: int
    suspects: int
    noise: float
    """Estimated fraction of wrong labels, 0 to 1."""
    mostly: str
    """The class that its wrong labels should mostly be; empty where there are none."""


@dataclass(frozen=True, slots=True)
class AccuracyRange:
    """Where a test accuracy lies, by what the suspects among the test images turn out to be."""

    n: int
    suspects: int
    """Of the test images."""
    measured: float
    """With the labels as given."""
    low: float
    """If exactly those suspects are mislabelled that counted as right."""
    high: float
    """If exactly those are mislabelled whose suggested class the model named."""
    corrected: float
    """If every suspect belongs to its suggested class."""


@dataclass(frozen=True, slots=True)
class LabelSuspects:
    """The outcome of a label check, as ``labels.json`` holds it."""

    n: int
    """Images that were judged."""
    method: str
    """How, in words."""
    accuracy: float
    """Share of images that the models, none of which saw the image, put into the given class."""
    noise: float
    """Estimated fraction of wrong labels over all classes, 0 to 1."""
    suspects: tuple[Suspect, ...]
    """The most suspicious first."""
    classes: tuple[ClassNoise, ...]
    accuracy_range: AccuracyRange | None = None
    """None where no test figures are at hand."""
    doubtful: tuple[Suspect, ...] = ()
    """The next least probable labels, for review only: that they are wrong is not shown."""
    precision: float | None = None
    """Estimated fraction of the suspects that are wrong; None: no suspects, or written before it was estimated."""
    detectable: float | None = None
    """If 1% of the labels were wrong at random, the fraction of those that could be told from honest confusions; None:
    written before it was estimated."""

    @property
    def too_alike(self) -> bool:
        """Whether the classes are so alike that too few wrong labels could be told from honest confusions."""
        return self.detectable is not None and self.detectable < DETECTABLE

    def headline(self) -> dict[str, Any]:
        """The figures as plain values, for ``run.json`` and ``train --json``."""
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
        """How many suspects there are and what they mean for the test accuracy; one line of ASCII."""
        if not self.suspects:
            return self._none()
        text = f"{len(self.suspects):,} of {self.n:,} labels are suspect"
        if self.precision is not None:
            text += f" (estimated: {100 * self.precision:.0f}% of them wrong)"
        found = self.accuracy_range
        if found is None or not found.suspects:
            return text
        return (
            f"{text}; {found.suspects:,} of them in the test part: if they are wrong, its accuracy is "
            f"{found.low:.3f} to {found.high:.3f}"
        )

    def _none(self) -> str:
        text = f"none of {self.n:,} labels is suspect"
        if self.too_alike:
            text += f": the {len(self.classes)} classes are too alike to tell wrong labels from honest confusions"
        if not self.doubtful:
            return text
        return f"{text}; the {len(self.doubtful)} least probable are listed for review only"


Action = Literal["keep", "relabel", "drop"]
ACTIONS: tuple[Action, ...] = typing.get_args(Action)


@dataclass(frozen=True, slots=True)
class Correction:
    """A decision about one image; one line of the table."""

    path: str
    digest: str
    given: str
    """The label that was looked at."""
    action: Action
    label: str
    """The label that holds from now on; empty where the image is dropped."""


COLUMNS = tuple(field.name for field in fields(Correction))


def write_corrections(path: Path, corrections: Iterable[Correction]) -> None:
    """Write the table atomically: a reader sees the old one or the new one.

    Raises:
        StoreError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(guarded, astuple(correction)) for correction in corrections)
    write_text(path, text.getvalue())


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """Read the table.

    Raises:
        DataError: the file is missing or no such table, or a line decides nothing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{path} has no column {missing[0]!r}",
                    f"a table of corrections has the columns {', '.join(COLUMNS)}; `keensight review` writes one",
                )
            return tuple(_correction(path, reader.line_num, row) for row in reader)
    except FileNotFoundError as error:
        raise DataError(f"there is no table of corrections {path}", "`keensight review RUN` writes one") from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the table of corrections {path} cannot be read: {error}", "give a CSV file") from error


def _correction(path: Path, line: int, row: dict[str, str | None]) -> Correction:
    values = {name: unguarded(row[name] or "") for name in COLUMNS}
    action = values["action"].strip().lower()
    if action not in ACTIONS:
        raise DataError(f"{path}, line {line}: the action is {action!r}", f"write one of {', '.join(ACTIONS)}")
    if action == "relabel" and not values["label"]:
        raise DataError(f"{path}, line {line}: {values['path']} gets no label", "write it in the column label")
    label = {"keep": values["given"], "drop": ""}.get(action, values["label"])
    return Correction(values["path"], values["digest"].lower(), values["given"], action, label)
