"""The tables of a run: its images (Parquet), its split, predictions and confusion (CSV).

Text that UTF-8 cannot hold is written as ``\\udcff``, so that every table opens in every program.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight import __version__
from keensight.core.anomaly import AnomalyScores
from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.codec import to_plain
from keensight.core.evaluation import Evaluation
from keensight.core.files import drafted, write_json, write_text
from keensight.core.labels import Suspect
from keensight.core.predictions import Predictions
from keensight.core.records import (
    NO_METADATA,
    PARTS,
    SEPARATOR,
    Dataset,
    ImageInfo,
    LabelSet,
    Part,
    Reading,
    Sample,
    Skipped,
    Split,
)
from keensight.core.sanitize import guarded, unguarded
from keensight.core.task import Task
from keensight.errors import StoreError
from keensight.store.json_records import check_schema, checked, read_record

DATASET_SCHEMA = 1
"""Number of the layout of ``dataset.parquet``."""
_KEY = b"keensight"
_NAMES = ("path", "label", "digest", "size", "group", "split")
_INFO = ("format", "mode", "width", "height", "frames", "orientation")
_FACTS = ("path", "true", "predicted", "confidence", "correct")
_ODD, _ROW, _CLUSTER = ("ood_score", "unlike"), "row", "cluster"
_FURTHER: dict[str, tuple[str, type]] = {
    _ODD[0]: ("ood_scores", np.float32), _ODD[1]: ("odd", np.bool_),
    _ROW: ("indices", np.int64), _CLUSTER: ("clusters", np.int64),
}  # fmt: skip
"""Columns after the probabilities, in their order: the field of Predictions that each is, and its type."""
_ROWS = 1 << 16
"""Rows of a table that are in memory at a time."""
_NUMBERS = {"size": "int64", "width": "int32", "height": "int32", "frames": "int32", "orientation": "int8"}

_DAMAGE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, NotImplementedError, RecursionError, csv.Error
)  # fmt: skip


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors from a damaged table into one clear StoreError (most of Arrow's errors are ValueErrors)."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", "the run stopped before writing it; train again") from error
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(
            f"{path} cannot be read: {reason}", "the file is damaged; restore it or train again"
        ) from error


def write_dataset(path: Path, dataset: Dataset) -> None:
    """Write a dataset as Parquet, one row per sample, with name, kind, labels and skipped entries as metadata.

    Raises:
        StoreError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*_NAMES, "metadata", *_INFO, "error", *(("labels",) if dataset.task == Task.MULTILABEL else ())]
    kinds = {name: getattr(pa, _NUMBERS.get(name, "string"))() for name in names}
    if "labels" in kinds:
        kinds["labels"] = pa.list_(pa.string())
    whole = {
        "schema": DATASET_SCHEMA, "name": dataset.name, "kind": dataset.kind, "labels": dataset.labels,
        "skipped": dataset.skipped, "task": dataset.task, "reading": dataset.reading,
        "versions": {"keensight": __version__},
    }  # fmt: skip
    schema = pa.schema(list(kinds.items())).with_metadata({_KEY: json.dumps(to_plain(whole)).encode()})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for begin in range(0, max(1, len(dataset)), _ROWS):
            writer.write_table(pa.table(_columns(dataset.samples[begin : begin + _ROWS], names), schema=schema))
    with drafted(path) as draft:
        draft.write(sink.getbuffer())


def _columns(samples: Sequence[Sample], names: Sequence[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "path": [_utf8(sample.path) for sample in samples],
        "label": [_utf8(sample.label) for sample in samples],
        "digest": [sample.digest for sample in samples],
        "size": [sample.size for sample in samples],
        "group": [None if sample.group is None else _utf8(sample.group) for sample in samples],
        "split": [sample.split for sample in samples],
        "metadata": [_metadata(sample.metadata) for sample in samples],
        **{name: [getattr(sample.info, name, None) for sample in samples] for name in _INFO},
        "error": [None if sample.error is None else _utf8(sample.error) for sample in samples],
    }
    if "labels" in names:
        columns["labels"] = [[_utf8(name) for name in sample.labels] for sample in samples]
    return columns


def read_dataset(path: Path) -> Dataset:
    """Read what :func:`write_dataset` wrote; the dataset has no reader.

    Raises:
        StoreError: the file is missing or damaged.
    """
    with _reading(path):
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            table = file.read()
        whole = json.loads(table.schema.metadata[_KEY])
        check_schema(path, whole, DATASET_SCHEMA)
        column = {name: table.column(name).to_pylist() for name in table.column_names}
        for name in ("label", "group"):  # many images have one: each text is kept once
            column[name] = [text if text is None else sys.intern(text) for text in column[name]]
        infos = list(map(_info, *(column[name] for name in _INFO)))
        metadata = [json.loads(text) if text else NO_METADATA for text in column["metadata"]]
        several = map(tuple, column.get("labels") or [()] * len(infos))
        samples = tuple(map(Sample, *(column[name] for name in _NAMES), metadata, infos, column["error"], several))
        known = checked(path, _Known, whole)
        return Dataset(
            known.name, known.kind, known.labels, samples, known.skipped, task=known.task, reading=known.reading
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """What the metadata of ``dataset.parquet`` says."""

    name: str
    kind: str
    labels: LabelSet
    skipped: tuple[Skipped, ...]
    task: Task = Task.MULTICLASS
    reading: Reading | None = None


@lru_cache(maxsize=4096)
def _info(format: str | None, mode: str, width: int, height: int, frames: int, orientation: int) -> ImageInfo | None:
    return None if format is None else ImageInfo(format, mode, width, height, frames, orientation)


def _metadata(metadata: Mapping[str, Any]) -> str | None:
    return json.dumps(to_plain(metadata), default=str) if metadata else None


def write_split(path: Path, split: Split, dataset: Dataset) -> None:
    """Write a split as CSV: one row per sample, in the dataset's order, with an empty split for excluded samples.

    Raises:
        StoreError: the file cannot be written.
    """
    parts: list[str] = [""] * len(dataset)
    for name in PARTS:
        for index in split.part(name):
            parts[index] = name
    rows = ((s.path, s.digest, s.label, part) for s, part in zip(dataset.samples, parts, strict=True))
    write_csv(path, ("path", "digest", "label", "part"), rows)


def read_split(path: Path, method: str) -> Split:
    """Read what :func:`write_split` wrote; indices come in ascending order.

    Raises:
        StoreError: the file is missing or damaged.
    """
    members: dict[str, list[int]] = {name: [] for name in ("", *PARTS)}
    with _reading(path):
        for index, row in enumerate(_rows(path)):
            members[row["part"]].append(index)
    return Split(tuple(members["train"]), tuple(members["val"]), tuple(members["test"]), method)


def read_digests(path: Path, parts: Sequence[Part]) -> frozenset[str]:
    """SHA-256 of every image in the given splits.

    Raises:
        StoreError: the file is missing or damaged.
    """
    with _reading(path):
        return frozenset(row["digest"] for row in _rows(path) if row["part"] in parts and row["digest"])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream, strict=True)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions with their true classes as CSV: path, true, predicted, confidence, correct, ``p_CLASS``...

    With OOD detection, two columns follow: ``ood_score`` and ``unlike``. Then
    ``row``, the image's row in the dataset, and ``cluster``: images with the same number (a group, duplicates) count as
    one.

    Args:
        path: The file.
        predictions: n rows, none of them unreadable, with their truth.

    Raises:
        StoreError: the file cannot be written.
        DataError: the truth is not known.
    """
    import pandas as pd

    names = [_utf8(name) for name in predictions.labels.names]
    places = range(len(predictions))
    facts = [
        [guarded(_utf8(name)) for name in predictions.paths],
        [guarded(_utf8(SEPARATOR.join(predictions.true(i)))) for i in places],
        [guarded(_utf8(SEPARATOR.join(predictions.named(i)))) for i in places],
        predictions.probabilities.max(axis=1), predictions.right(),
    ]  # fmt: skip
    further = {
        _ODD[0]: predictions.ood_scores, _ODD[1]: predictions.odd,
        _ROW: predictions.indices, _CLUSTER: predictions.clusters,
    }  # fmt: skip
    more = pd.DataFrame({k: v for k, v in further.items() if v is not None}, index=places)
    columns = pd.DataFrame(predictions.probabilities, columns=[f"p_{name}" for name in names])
    frame = pd.concat([pd.DataFrame(dict(zip(_FACTS, facts, strict=True))), columns, more], axis=1)
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def read_predictions(path: Path, labels: LabelSet, task: Task = Task.MULTICLASS) -> Predictions:
    """Read what :func:`write_predictions` wrote; ``indices`` is None in files of runs before schema 4.

    Args:
        path: The file.
        labels: The classes, in the order of its probability columns.
        task: Whether images have one class each, or any number of labels.

    Raises:
        StoreError: the file is missing or damaged.
    """
    with _reading(path):
        import pandas as pd

        columns = [f"p_{_utf8(name)}" for name in labels.names]
        with path.open(encoding="utf-8", newline="") as stream:
            header = next(csv.reader(stream), [])
        more = header[len(_FACTS) + len(columns) :]
        if header != [*_FACTS, *columns, *more] or more != [name for name in _FURTHER if name in more]:
            raise ValueError("its columns do not match the model's classes")
        names = [f"{place} {name}" for place, name in enumerate(more)]  # a class may have this name
        frame = pd.read_csv(
            path,
            header=0,
            names=[*_FACTS, *columns, *names],
            usecols=["path", "true", *columns, *names],
            dtype={"path": str, "true": str} | dict.fromkeys(columns, "float32"),
            keep_default_na=False,
            encoding="utf-8",
        )
        further: dict[str, Any] = {
            _FURTHER[name][0]: frame[place].to_numpy(_FURTHER[name][1]) for name, place in zip(more, names, strict=True)
        }
        truth = _truth([unguarded(true) for true in frame["true"]], labels, task)
        return Predictions(
            tuple(map(unguarded, frame["path"])), labels, frame[columns].to_numpy(np.float32), truth=truth, **further
        )


def _truth(true: Sequence[str], labels: LabelSet, task: Task) -> NDArray[Any]:
    names = LabelSet(tuple(_utf8(name) for name in labels.names))
    if task != Task.MULTILABEL:
        return names.encode(true)
    table = np.zeros((len(true), len(names)), np.uint8)
    for row, given in enumerate(true):
        if given:
            table[row, names.encode(given.split(SEPARATOR))] = 1
    return table


def rows_of(paths: Sequence[str], dataset: Dataset) -> NDArray[np.int64]:
    """Rows of a dataset by path, for runs that did not store them; a path listed more than once gives them in turn.

    Raises:
        StoreError: the dataset has no such path.
    """
    listed: dict[str, list[int]] = {}
    for i, sample in reversed(list(enumerate(dataset.samples))):
        listed.setdefault(_utf8(sample.path), []).append(i)
    try:
        found = [listed[path].pop() if len(listed[path]) > 1 else listed[path][0] for path in paths]
    except KeyError as error:
        raise StoreError(
            f"the dataset has no image {error.args[0]!r}", "save predictions together with their dataset"
        ) from error
    return np.array(found, np.int64)


def write_confusion(path: Path, evaluation: Evaluation) -> None:
    """Write the confusion matrix as CSV: one row per true class, one column per predicted class. For a multi-label
    evaluation: one row per label, with true negatives, false positives, false negatives and true positives.

    Raises:
        StoreError: the file cannot be written.
    """
    names = evaluation.labels.names
    if evaluation.multilabel is not None:
        counts = ((row.label, *row.counts) for row in evaluation.multilabel.per_label)
        write_csv(path, ("label", "true_negative", "false_positive", "false_negative", "true_positive"), counts)
        return
    rows = ((name, *counts) for name, counts in zip(names, evaluation.confusion, strict=True))
    write_csv(path, ("true \\ predicted", *names), rows)


def write_suspects(path: Path, suspects: Iterable[Suspect]) -> None:
    """Write label suspects as CSV, one row per image, the most suspicious first.

    Raises:
        StoreError: the file cannot be written.
    """
    rows = (
        (s.path, s.digest, s.part, s.given, s.suggested, f"{s.score:.6f}", f"{s.probability:.6f}") for s in suspects
    )
    write_csv(path, [field.name for field in dataclasses.fields(Suspect)], rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV table atomically, with text guarded against being read as a formula.

    Raises:
        StoreError: the file cannot be written.
    """
    lines = (map(guarded, row) for row in chain([header], rows))
    with drafted(path) as draft:
        while some := list(islice(lines, _ROWS)):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(some)
            draft.write(text.getvalue().encode("utf-8", "backslashreplace"))


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


_FIGURES, _SCORES = "evaluation/anomaly.json", "evaluation/scores.csv"


def save_anomalies(folder: Path, evaluation: AnomalyEvaluation) -> None:
    """Write the metrics and scores of a run into its folder.

    Raises:
        StoreError: a file cannot be written, or the evaluation has no scores.
    """
    anomaly_scores = evaluation.anomaly_scores
    if anomaly_scores is None or anomaly_scores.truth is None or anomaly_scores.indices is None:
        raise StoreError("this evaluation has no scores", "evaluate again")
    scored = zip(anomaly_scores.rows(), anomaly_scores.truth, anomaly_scores.indices.tolist(), strict=True)
    rows = ((row["path"], true, row["label"], f"{row['score']:.6f}", index) for row, true, index in scored)
    write_csv(folder / _SCORES, ("path", "true", "label", "score", "row"), rows)
    write_json(folder / _FIGURES, to_plain(evaluation))


def read_anomalies(folder: Path, dataset: Dataset) -> AnomalyEvaluation:
    """Read the metrics of a run with their scores and its dataset.

    Raises:
        StoreError: a file is missing or damaged.
    """
    evaluation = read_record(folder / _FIGURES, AnomalyEvaluation)
    try:
        with (folder / _SCORES).open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            rows = list(csv.DictReader(stream))
        scores = np.array([float(row["score"]) for row in rows], dtype=np.float32)
        paths = tuple(unguarded(row["path"]) for row in rows)
        kept = bool(rows) and "row" in rows[0]  # from schema 4 on
        indices = np.array([int(row["row"]) for row in rows], np.int64) if kept else rows_of(paths, dataset)
        anomaly_scores = AnomalyScores(
            paths, scores, indices=indices, truth=tuple(unguarded(row["true"]) for row in rows)
        )
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(f"{folder / _SCORES} cannot be read: {error}", "evaluate again") from error
    return dataclasses.replace(evaluation, anomaly_scores=anomaly_scores, dataset=dataset)
