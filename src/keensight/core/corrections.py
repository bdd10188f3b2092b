"""What a person decided about labels: the records, and the table ``corrections.csv`` that holds them."""

from __future__ import annotations

import csv
import io
import typing
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from keensight.core.files import write_text
from keensight.core.foreign import guarded, unguarded
from keensight.errors import DataError

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
