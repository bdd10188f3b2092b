"""A table as a folder of Parquet files that several workers fill in any order, and that is continued after a stop.

Until all is there, the folder has a hidden name next to its place. What it is of is in ``_keensight.json``, whose name
readers of Parquet folders pass over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keensight.core.files import check_writable, read_json, storing, write_bytes, write_json
from keensight.errors import StoreError, UsageError
from keensight.workflow.prediction_tables import Written

STATE = "_keensight.json"
_NAME = re.compile(r"part-(\d{6,})\.parquet")
_OURS = re.compile(rf"\.?(part-\d+\.parquet|{re.escape(STATE)})(\.\w+)?")
"""Names in the folder, also of files that were not finished."""
_WORDS = {"model": "model", "engine": "--engine", "top": "--top", "images": "images", "version": "version of Keensight"}


@dataclass(frozen=True, slots=True)
class PartFolder:
    """The place of a table and what it is of.

    Args:
        out: The folder when it is complete.
        work: What determines the rows: model, engine, top, images, version.
        sizes: Number of rows in each file.
    """

    out: Path
    work: Mapping[str, Any]
    sizes: Sequence[int]

    def done(self) -> set[int]:
        """The finished parts: all of them, if the folder is complete. Nothing is written.

        Raises:
            UsageError: what is there is of another model, or of other images or options; the message says which.
            StoreError: something else is in the way.
        """
        check_place(self.out)
        self._check_same(self.out)
        if (self.out / STATE).exists():
            return set(range(len(self.sizes)))
        draft = self._draft
        if draft.exists() and not _is_ours(draft):
            raise StoreError(f"{draft} is in the way and was not written by Keensight", "move it away")
        self._check_same(draft)
        there = {number for number in range(len(self.sizes)) if (draft / _name(number)).is_file()}
        return {number for number in there if _rows(draft / _name(number)) == self.sizes[number]}

    def begin(self) -> None:
        """Make the folder that parts are added to, unless it is there.

        Raises:
            StoreError: it cannot be written.
        """
        with storing(self._draft):
            self._draft.mkdir(parents=True, exist_ok=True)
        write_json(self._draft / STATE, dict(self.work))

    def add(self, number: int, rows: bytes) -> None:
        """Write a part, whole or not at all."""
        write_bytes(self._draft / _name(number), rows)

    def finish(self) -> Written:
        """Move the folder to its place, unless it is there, and count what is in it."""
        if not (self.out / STATE).exists():
            for path in self._draft.iterdir():
                if path.name.startswith("."):  # left by a process that was killed while it wrote
                    with suppress(OSError):
                        path.unlink()
            with storing(self.out):
                if self.out.exists():
                    self.out.rmdir()
                self._draft.rename(self.out)
        return self._counted()

    @property
    def _draft(self) -> Path:
        return self.out.with_name(f".{self.out.name}.workers")

    def _check_same(self, folder: Path) -> None:
        state = folder / STATE
        if not state.exists():
            return
        before = read_json(state)
        for key, now in self.work.items():
            then = before.get(key) if isinstance(before, dict) else None
            if then != now:
                those = "other images" if key == "images" else f"{_WORDS[key]} {then}, not {now}"
                raise UsageError(
                    f"{self.out} was {'written' if folder == self.out else 'begun'} with {those}",
                    "give the same again, or another --out"
                    + ("" if folder == self.out else f"; {folder} is what was begun"),
                )

    def _counted(self) -> Written:
        from pyarrow import parquet

        unreadable, noted, note = 0, 0, ""
        for number in range(len(self.sizes)):
            table = parquet.read_table(self.out / _name(number), columns=["error", "note"], partitioning=None)
            unreadable += len(table) - table.column("error").null_count
            notes = table.column("note").drop_null().to_pylist()
            noted, note = noted + len(notes), note or next(iter(notes), "")
        return Written(self.out, sum(self.sizes), unreadable, noted, note)


def check_place(out: Path) -> None:
    """Refuse a place for a table of several workers, before any work.

    Raises:
        UsageError: it does not end in ``.parquet``.
        StoreError: something else is there, or it cannot be written.
    """
    if out.suffix.lower() != ".parquet":
        kind = out.suffix.lower() or "a file without an extension"
        raise UsageError(
            f"several workers write a folder of Parquet files, not {kind}",
            "give --out NAME.parquet",
        )
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file, and several workers write a folder", "remove it, or give another --out")
    if out.is_dir() and any(out.iterdir()) and not (out / STATE).is_file():
        raise StoreError(f"{out} was not written by Keensight", "move it away, or give another --out")
    check_writable(out, folder=True)


def _name(number: int) -> str:
    return f"part-{number:06d}.parquet"


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and all(_OURS.fullmatch(path.name) for path in folder.iterdir())


def _rows(file: Path) -> int | None:
    """Rows of a part; None: it is damaged."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(file).num_rows)
    except (pa.ArrowException, OSError):
        return None
