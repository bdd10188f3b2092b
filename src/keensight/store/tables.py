"""The tables of a run: its images (Parquet), its split, predictions and confusion (CSV).

Text that UTF-8 cannot hold is written as ``\\udcff``, so that every table opens in every program.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keensight.core.answers import Predictions
from keensight.core.codec import from_plain, to_plain
from keensight.core.evaluation import Evaluation
from keensight.core.files import write_bytes, write_text
from keensight.core.labels import Suspect
from keensight.core.records import PARTS, SEPARATOR, Dataset, ImageInfo, LabelSet, Part, Sample, Skipped, Split
from keensight.errors import StoreError

_KEY = b"keensight"
_INFO = ("format", "mode", "width", "height", "frames", "orientation")
_FACTS = ("path", "true", "predicted", "confidence", "correct")
_ODD = ("ood_score", "unlike")
_NUMBERS = {"size": "int64", "width": "int32", "height": "int32", "frames": "int32", "orientation": "int8"}

_DAMAGE = (OSError, ValueError, KeyError, IndexError, TypeError, NotImplementedError, csv.Error)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever a damaged table throws into one clear StoreError (most of Arrow's errors are ValueErrors)."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", "the run did not get that far; train again") from error
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(
            f"{path} cannot be read: {reason}", "the file is damaged; restore it or train again"
        ) from error


def write_dataset(path: Path, data: Dataset) -> None:
    """Write who is in a dataset as Parquet, one row a sample; name, kind, labels and skipped go in its metadata.

    Raises:
        StoreError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {
        "path": [_utf8(sample.path) for sample in data.samples],
        "label": [_utf8(sample.label) for sample in data.samples],
        "digest": [sample.digest for sample in data.samples],
        "size": [sample.size for sample in data.samples],
        "group": [None if sample.group is None else _utf8(sample.group) for sample in data.samples],
        "split": [sample.split for sample in data.samples],
        "metadata": [_metadata(sample.metadata) for sample in data.samples],
        **{name: [getattr(sample.info, name, None) for sample in data.samples] for name in _INFO},
        "error": [None if sample.error is None else _utf8(sample.error) for sample in data.samples],
    }
    if data.task == "multilabel":
        columns["labels"] = [[_utf8(name) for name in sample.labels] for sample in data.samples]
    kinds = {name: getattr(pa, _NUMBERS.get(name, "string"))() for name in columns}
    if "labels" in kinds:
        kinds["labels"] = pa.list_(pa.string())
    schema = pa.schema(list(kinds.items()))
    whole = {
        "schema": 1, "name": data.name, "kind": data.kind, "labels": data.labels, "skipped": data.skipped,
        "task": data.task,
    }  # fmt: skip
    table = pa.table(columns, schema=schema.with_metadata({_KEY: json.dumps(to_plain(whole)).encode()}))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue())


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
        column = {name: table.column(name).to_pylist() for name in table.column_names}
        infos = list(map(_info, *(column[name] for name in _INFO)))
        metadata = [json.loads(text) if text else {} for text in column["metadata"]]
        names = ("path", "label", "digest", "size", "group", "split")
        several = map(tuple, column.get("labels") or [()] * len(infos))
        samples = tuple(map(Sample, *(column[name] for name in names), metadata, infos, column["error"], several))
        labels = from_plain(LabelSet, whole["labels"])
        skipped = tuple(from_plain(Skipped, item) for item in whole["skipped"])
        return Dataset(whole["name"], whole["kind"], labels, samples, skipped, task=whole.get("task", "multiclass"))


def _info(format: str | None, mode: str, width: int, height: int, frames: int, orientation: int) -> ImageInfo | None:
    return None if format is None else ImageInfo(format, mode, width, height, frames, orientation)


def _metadata(metadata: Mapping[str, Any]) -> str | None:
    return json.dumps(to_plain(metadata), default=str) if metadata else None


def write_split(path: Path, split: Split, data: Dataset) -> None:
    """Write a split as CSV: one line a sample, in the dataset's order; the part is empty where it takes none.

    Raises:
        StoreError: the file cannot be written.
    """
    parts: list[str] = [""] * len(data)
    for name in PARTS:
        for index in split.part(name):
            parts[index] = name
    rows = ((s.path, s.digest, s.label, part) for s, part in zip(data.samples, parts, strict=True))
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
    """SHA-256 of every image that a split gives to ``parts``.

    Raises:
        StoreError: the file is missing or damaged.
    """
    with _reading(path):
        return frozenset(row["digest"] for row in _rows(path) if row["part"] in parts and row["digest"])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream, strict=True)


def write_predictions(path: Path, predictions: Predictions, true: Sequence[str]) -> None:
    """Write predictions with their true classes as CSV: path, true, predicted, confidence, correct, ``p_CLASS``...

    Where the model tells images unlike its training images, two columns follow: ``ood_score`` and ``unlike``.

    Args:
        path: The file.
        predictions: n rows, none of them unreadable.
        true: The n true classes, or lists of labels such as ``cat|dog``.

    Raises:
        StoreError: the file cannot be written.
    """
    import pandas as pd

    probabilities = predictions.probabilities
    names = [_utf8(name) for name in predictions.labels.names]
    said = [SEPARATOR.join(predictions.named(i)) for i in range(len(predictions))]
    right = [set(a.split(SEPARATOR)) == set(b.split(SEPARATOR)) for a, b in zip(said, true, strict=True)]
    facts = [
        [_utf8(name) for name in predictions.paths], [_utf8(name) for name in true], [_utf8(name) for name in said],
        probabilities.max(axis=1), right,
    ]  # fmt: skip
    unlike = {} if predictions.odd is None else {_ODD[0]: predictions.ood_scores, _ODD[1]: predictions.odd}
    frame = pd.concat(
        [
            pd.DataFrame(dict(zip(_FACTS, facts, strict=True))),
            pd.DataFrame(probabilities, columns=[f"p_{name}" for name in names]),
            pd.DataFrame(unlike, index=range(len(predictions))),
        ],
        axis=1,
    )
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def read_predictions(path: Path, labels: LabelSet) -> Predictions:
    """Read what :func:`write_predictions` wrote.

    Args:
        path: The file.
        labels: The classes, in the order of its probability columns.

    Raises:
        StoreError: the file is missing or damaged.
    """
    with _reading(path):
        import pandas as pd

        columns = [f"p_{_utf8(name)}" for name in labels.names]
        with path.open(encoding="utf-8", newline="") as stream:
            header = next(csv.reader(stream), [])
        more = header[len(_FACTS) + len(columns) :]
        if header != [*_FACTS, *columns, *more] or more not in ([], list(_ODD)):
            raise ValueError("its columns are not those of the model's classes")
        names = [f"{place} {name}" for place, name in enumerate(more)]  # a class may be called so
        frame = pd.read_csv(
            path,
            header=0,
            names=[*_FACTS, *columns, *names],
            usecols=["path", *columns, *names],
            dtype={"path": str} | dict.fromkeys([*columns, *names[:1]], "float32"),
            keep_default_na=False,
            encoding="utf-8",
        )
        found = Predictions(tuple(frame["path"]), labels, frame[columns].to_numpy(np.float32))
        if not more:
            return found
        scores, odd = (frame[name].to_numpy(kind) for name, kind in zip(names, (np.float32, np.bool_), strict=True))
        return dataclasses.replace(found, ood_scores=scores, odd=odd)


def true_labels(paths: Sequence[str], data: Dataset) -> list[str]:
    """The class that the dataset gives each path; one that is listed more than once gives its classes in turn.

    Raises:
        StoreError: the dataset has no such path.
    """
    listed: dict[str, list[str]] = {}
    for sample in reversed(data.samples):
        listed.setdefault(sample.path, []).append(sample.label)
    try:
        return [listed[path].pop() if len(listed[path]) > 1 else listed[path][0] for path in paths]
    except KeyError as error:
        raise StoreError(
            f"the dataset has no image {error.args[0]!r}", "save predictions with their own data"
        ) from error


def write_confusion(path: Path, evaluation: Evaluation) -> None:
    """Write the confusion matrix as CSV: a line a true class, a column a predicted one.

    Of a multi-label evaluation: a line a label, with its images rightly and wrongly without and with it.

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
    """Write suspected label errors as CSV, one line an image, the most suspicious first.

    Raises:
        StoreError: the file cannot be written.
    """
    rows = (
        (s.path, s.digest, s.part, s.given, s.suggested, f"{s.score:.6f}", f"{s.probability:.6f}") for s in suspects
    )
    write_csv(path, [field.name for field in dataclasses.fields(Suspect)], rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV table atomically.

    Raises:
        StoreError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
