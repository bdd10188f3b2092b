"""Predictions as tables, of one image or of a hundred thousand: the same columns in the same order, whatever is asked.

:func:`predict_to_file` holds only some images at a time. It writes parts of 1,000 rows next to its place, in the folder
``.NAME.parts``; a later call with the same model and images continues after the last of them.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight import __version__
from keensight.core.codec import from_plain, to_plain
from keensight.core.files import (
    Draft,
    canonical_json,
    check_writable,
    drafted,
    read_json,
    sha256_text,
    storing,
    write_bytes,
    write_json,
)
from keensight.core.progress import Progress
from keensight.core.records import SEPARATOR
from keensight.core.sanitize import guarded
from keensight.core.sources import Images, name_of
from keensight.errors import KeensightError, StoreError
from keensight.workflow.engines import opened, suited
from keensight.workflow.predict import check_ending, find
from keensight.workflow.progress import shown
from keensight.workflow.self_test import tested

if TYPE_CHECKING:
    from keensight.core.anomaly import AnomalyScores
    from keensight.core.predictions import Predictions
    from keensight.nets.network import Engine
    from keensight.store.run import Run

_PART = 1000
"""Rows of a part: what a stop loses at most."""
_CLASSES = ("path", "label", "probability", "decision", "reason", "error", "note", "set", "ood_score", "model")
_SCORES = ("path", "label", "probability", "score", "decision", "error", "note", "model")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table of predictions."""

    first: tuple[str, ...]
    ranks: range
    """Of the classes with a column of their own, the most probable one is 1."""
    model: str | None = None
    """Name and digest of the model; None: not known."""

    @classmethod
    def of(cls, predictions: Predictions | AnomalyScores, top: int, model: str | None = None) -> Layout:
        """The columns for predictions like these."""
        labels = getattr(predictions, "labels", None)
        if labels is None:
            return cls(_SCORES, range(0), model)
        # The most probable class is the label, except in multi-label sets.
        begin = 2 if getattr(predictions, "thresholds", None) is None else 1
        return cls(_CLASSES, range(begin, min(top, len(labels)) + 1), model)

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names."""
        return (*self.first, *(f"{name}_{rank}" for rank in self.ranks for name in ("label", "probability")))

    def cells(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of :meth:`Predictions.rows` as one of the table."""
        found: dict[str, Any] = {**{name: row.get(name) for name in self.first}, "model": self.model}
        if found.get("set") is not None:
            found["set"] = SEPARATOR.join(found["set"])
        for rank in self.ranks:
            known = row["top"][rank - 1] if rank <= len(row["top"]) else (None, None)
            found[f"label_{rank}"], found[f"probability_{rank}"] = known
        return found


def named_model(model: str | Path) -> str:
    """Name and digest of the model of a run or bundle, for the column ``model``: ``photos@3f9a1c04b7de``.

    Raises:
        StoreError: it has no valid manifest.
    """
    from keensight.store.bundle import bundle_folder
    from keensight.store.manifest import MANIFEST, model_digest, read_manifest

    manifest = read_manifest(bundle_folder(model) / MANIFEST)
    return f"{manifest.name}@{model_digest(manifest)[:12]}"


def write_predictions(
    predictions: Predictions | AnomalyScores, path: str | Path, top: int = 5, model: str | None = None
) -> None:
    """Write predictions as a CSV, JSON or Parquet table, by the file's ending.

    CSV and Parquet have one row an image: path, label, probability, decision, reason, error, note, set (its classes
    with ``|`` between), ood_score, model, then the ``top`` classes as ``label_2``, ``probability_2`` and so on. Of a
    multi-label model ``label`` is a list such as ``cat|dog``, empty where no label reaches its threshold, and the most
    probable labels begin with ``label_1``.

    Args:
        predictions: From :func:`keensight.predict`.
        path: The file.
        top: Number of classes per image.
        model: Text for the column ``model``; None: it is empty.

    Raises:
        UsageError: the ending is none of the three.
        StoreError: the file cannot be written.

    Examples:
        >>> ks.write_predictions(ks.predict(run, "photos/"), "predictions.csv")
        >>> import pandas as pd
        >>> list(pd.read_csv("predictions.csv").columns[:4])
        ['path', 'label', 'probability', 'decision']
    """
    path = Path(path)
    check_predictions_place(path)
    rows = predictions.rows(top)
    if path.suffix.lower() == ".json":
        write_json(path, rows)
        return
    layout = Layout.of(predictions, top, model)
    encode, _ = _FORMS[path.suffix.lower()]
    write_bytes(path, encode([layout.cells(row) for row in rows], layout.columns))


def check_predictions_place(path: Path, endings: tuple[str, ...] = (".csv", ".json", ".parquet")) -> None:
    """Refuse a file that predictions cannot be written to, before predicting.

    Raises:
        UsageError: its ending is none of ``.csv``, ``.json`` and ``.parquet``.
        StoreError: it cannot be written.
    """
    check_ending(path, "predictions", endings)
    if path.suffix.lower() == ".parquet":
        import pyarrow  # noqa: F401 - missing in an installation for prediction alone; better said now
    check_writable(path)


def as_csv(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Rows as CSV with a header; text that a spreadsheet would take for a formula is guarded."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: guarded(cell) for name, cell in row.items()} for row in rows)
    return text.getvalue()


def _encode_csv(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> bytes:
    return as_csv(rows, columns).encode("utf-8", "backslashreplace")


def _join_csv(parts: list[Path], whole: Draft) -> None:
    for number, part in enumerate(parts):
        with part.open("rb") as rows:
            if number:
                rows.readline()  # the header
            shutil.copyfileobj(rows, whole.stream)


def encode_parquet(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> bytes:
    """Rows as a Parquet file; text and numbers have the same types whatever is in the rows."""
    import pyarrow
    from pyarrow import parquet

    numbers = ("probability", "score", "ood_score")
    kinds = {name: pyarrow.float64() if name.startswith(numbers) else pyarrow.string() for name in columns}
    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(kinds)), sink)
    return sink.getvalue()


def _join_parquet(parts: list[Path], whole: Draft) -> None:
    from pyarrow import parquet

    with parquet.ParquetWriter(whole.stream, parquet.read_schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(parquet.read_table(part))


_FORMS = {".csv": (_encode_csv, _join_csv), ".parquet": (encode_parquet, _join_parquet)}


@dataclass(frozen=True, slots=True)
class Written:
    """Predictions that were written or shown."""

    path: Path | None
    """Where; None: nowhere."""
    images: int
    unreadable: int
    noted: int = 0
    """Images with a note, such as gray values outside the range of the training images."""
    note: str = ""
    """The first of the notes."""


def predict_to_file(
    model: str | Path | Run,
    images: Images,
    out: str | Path,
    *,
    top: int = 5,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> Written:
    """Predict any number of images into a CSV or Parquet table, with bounded memory and on all CPUs.

    If it is stopped, a second call with the same model, images, ``out`` and ``top`` continues where it stopped.

    Args:
        model: A run or a bundle.
        images: As for :func:`keensight.predict`; a table (CSV, Parquet) or a text file with paths, too.
        out: The ``.csv`` or ``.parquet`` file, with the columns of :func:`keensight.write_predictions`. An older file
            is replaced when all images are done.
        top: Number of classes per image.
        engine: What the model is opened on (see :func:`keensight.load`).
        progress: Where to report.

    Raises:
        UsageError: the ending is neither.
        DataError: there are no images.
        StoreError: the file cannot be written, or the bundle is damaged.
        GateError: the bundle fails its self-test.

    Examples:
        >>> done = ks.predict_to_file(run, "photos/", "predictions.csv")
        >>> done.images, done.unreadable
        (120, 0)
    """
    from keensight.store.bundle import open_bundle

    out, progress = Path(out), shown(progress)
    check_predictions_place(out, tuple(_FORMS))
    package = open_bundle(model if isinstance(model, (str, Path)) else model.path)
    sources = find(images, progress)
    engine = suited(package, engine, len(sources), progress)
    predictor = tested(package, opened(package, engine))
    named = named_model(package.path)
    parts = _Parts(out, sha256_text(canonical_json([__version__, named, top, engine, _digest(sources)])))
    state = parts.resumed()
    if state.rows:
        progress.say(f"continuing: {state.rows:,} of {len(sources):,} images are done")
    found = predictor.stream(sources[state.rows :], state.rows)
    with progress.task("predicting", len(sources) - state.rows) as task:
        for some in _thousands(found, task.advance):
            parts.add(some, Layout.of(some[0], top, named), top)
    return parts.finish()


def _digest(sources: Iterable[Any]) -> str:
    """Of the images' names in order; images in memory have only their position."""
    return sha256_text("\n".join(name_of(source, place) for place, source in enumerate(sources)))


def _thousands(found: Iterator[Any], done: Callable[[int], object]) -> Iterator[list[Any]]:
    """Predictions of some images at a time, gathered to lists of about a thousand images."""
    waiting: list[Any] = []
    count = 0
    for some in found:
        waiting.append(some)
        count += len(some)
        done(len(some))
        if count >= _PART:
            yield waiting
            waiting, count = [], 0
    if waiting:
        yield waiting


@dataclass(frozen=True, slots=True)
class _State:
    """How far the parts in a folder are."""

    key: str
    parts: int = 0
    rows: int = 0
    unreadable: int = 0
    noted: int = 0
    note: str = ""


_OURS = re.compile(r"\.?(state\.json|\d+)(\.\w+)?")
"""Names in the folder of parts, also of files that were not finished."""


def _is_ours(folder: Path) -> bool:
    """Whether a folder is one of parts, perhaps just begun or half removed."""
    return folder.is_dir() and all(_OURS.fullmatch(path.name) for path in folder.iterdir())


class _Parts:
    """The parts of a table that is being written."""

    def __init__(self, out: Path, key: str) -> None:
        self._out, self._state = out, _State(key)
        self._folder = out.with_name(f".{out.name}.parts")
        self._encode, self._join = _FORMS[out.suffix.lower()]

    def resumed(self) -> _State:
        """The parts that the same work has left; those of other work are removed."""
        state = self._folder / "state.json"
        if self._folder.exists() and not _is_ours(self._folder):
            raise StoreError(f"{self._folder} is in the way and was not written by Keensight", "move it away")
        with suppress(KeensightError, OSError):
            left = from_plain(_State, read_json(state), "state")
            if left.key == self._state.key:
                self._state = left
                return left
        with storing(self._folder):
            if self._folder.exists():
                shutil.rmtree(self._folder)
            self._folder.mkdir(parents=True)
        write_json(state, to_plain(self._state))
        return self._state

    def add(self, some: list[Predictions | AnomalyScores], layout: Layout, top: int) -> None:
        """Write one part."""
        rows = [layout.cells(row) for found in some for row in found.rows(top)]
        notes = [note for found in some for note in found.notes.values()]
        state = self._state
        write_bytes(self._place(state.parts), self._encode(rows, layout.columns))
        self._state = _State(
            state.key, state.parts + 1, state.rows + len(rows),
            state.unreadable + sum(row["error"] is not None for row in rows),
            state.noted + len(notes), state.note or next(iter(notes), ""),
        )  # fmt: skip
        write_json(self._folder / "state.json", to_plain(self._state))

    def finish(self) -> Written:
        """Join the parts in their place."""
        state = self._state
        with storing(self._out), drafted(self._out) as whole:
            self._join([self._place(number) for number in range(state.parts)], whole)
        with storing(self._folder):
            shutil.rmtree(self._folder)
        return Written(self._out, state.rows, state.unreadable, state.noted, state.note)

    def _place(self, number: int) -> Path:
        return self._folder / f"{number:06d}"
