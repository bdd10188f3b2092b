"""Tables whose cells are images: Parquet files as Hugging Face datasets have them, and pandas tables with bytes."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from keensight.core import pixels
from keensight.core.decode_limits import MAX_BYTES
from keensight.core.files import sha256
from keensight.core.image_files import recognize
from keensight.core.parallel import ordered, processors
from keensight.core.progress import Progress, Silent
from keensight.core.records import Dataset, Part, Reader, Sample, Skipped
from keensight.core.task import Task
from keensight.data.sources.arrays import NO_LABEL, ItemReader
from keensight.data.sources.assemble import assemble
from keensight.data.sources.containers.record_files import split_of
from keensight.data.sources.file_index import Facts
from keensight.data.sources.names import is_encodable
from keensight.data.sources.notices import Notices
from keensight.data.sources.table_columns import find_columns, squashed
from keensight.data.sources.table_files import table_of
from keensight.data.sources.tables import read_rows
from keensight.errors import DataError, ImageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})

_HEAD = 4096
_HELD_GROUPS = 3
"""Row groups of a Parquet file that are kept in memory: threads read at most that far from each other."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns that the user named."""

    label: str | None = None
    path: str | None = None
    group: str | None = None
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ParquetReader:
    """Loads images from the cells of a column; ``rows`` is path to row number."""

    files: tuple[Path, ...]
    column: str
    groups: Sequence[tuple[int, int]]
    """File and row group in it, of each row group of all files."""
    begins: Sequence[int]
    """The first row of each of these."""
    rows: Mapping[str, int]
    _held: dict[tuple[int, int], Any] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def load(self, sample: Sample) -> bytes:
        """The encoded bytes.

        Raises:
            ImageError: the sample is not of this set, or has no image.
        """
        number = self.rows.get(sample.path)
        if number is None:
            raise ImageError("not an image of this set")
        place = bisect_right(self.begins, number) - 1
        return image_bytes(self._group(*self.groups[place])[number - self.begins[place]].as_py())

    def _group(self, file: int, group: int) -> Any:
        with self._lock:
            found = self._held.get((file, group))
            if found is None:
                found = self._held[file, group] = read_group(self.files[file], group, self.column)
                for oldest in list(self._held)[:-_HELD_GROUPS]:
                    del self._held[oldest]
            return found


def read_group(file: Path, group: int, column: str) -> Any:
    """The image column of one row group.

    Raises:
        ImageError: the file is damaged or gone.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            return opened.read_row_group(group, columns=[column]).column(column)
    except (pa.ArrowException, OSError) as error:
        raise ImageError(f"{file.name} cannot be read: {error}", "the file is damaged: copy it again") from error


def image_bytes(cell: Any) -> bytes:
    """The encoded image in a cell: bytes, or ``{"bytes": ..., "path": ...}``.

    Raises:
        ImageError: the cell is empty or says only where the image was.
    """
    held = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if isinstance(held, (bytearray, memoryview)):
        held = bytes(held)
    if not isinstance(held, bytes) or not held:
        where = cell.get("path") if isinstance(cell, Mapping) else None
        raise ImageError(f"the table has only its path, {where}" if where else "the cell of the image is empty")
    if len(held) > MAX_BYTES:
        raise ImageError(f"the image is larger than {MAX_BYTES >> 20} MiB", "remove it")
    return held


_USUAL = frozenset({"image", "img", "picture", "photo", "imagebytes", "imagedata", "jpg", "jpeg", "png", "bytes"})
"""Names of columns of images, without spaces and punctuation."""


def image_columns(path: Path | BinaryIO) -> list[str]:
    """The columns of encoded images in a Parquet file (or open file), the likeliest first; empty if it is none.

    They are what Hugging Face's ``datasets`` declares as such, structs with ``bytes``, and binary columns that are
    called so or begin with an image.
    """
    import pyarrow as pa

    schema = parquet_schema(path)
    if schema is None:
        return []
    declared = [name for name, feature in _features(schema).items() if feature.get("_type") == "Image"]
    structs = [column.name for column in schema if pa.types.is_struct(column.type) and _has_bytes(column.type)]
    binary = [column.name for column in schema if _is_binary(column.type)]
    binary = [name for name in binary if squashed(name) in _USUAL or _begins_with_image(path, name)]
    found = [name for name in dict.fromkeys((*declared, *structs, *binary)) if name in (*structs, *binary)]
    return sorted(found, key=lambda name: squashed(name) not in _USUAL)


def _has_bytes(kind: pa.DataType) -> bool:
    return any(kind.field(i).name == "bytes" and _is_binary(kind.field(i).type) for i in range(kind.num_fields))


def _begins_with_image(path: Path | BinaryIO, column: str) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=16, columns=[column]), None)
    except (pa.ArrowException, OSError):
        return False
    cells = [] if batch is None else batch.column(0).to_pylist()
    return any(_is_image(cell) for cell in cells)


def _is_image(cell: Any) -> bool:
    try:
        recognize(image_bytes(cell)[:_HEAD])
    except ImageError:
        return False
    return True


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """What Hugging Face's ``datasets`` says of each column; empty where another program wrote the file."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: item for name, item in found.items() if isinstance(item, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def parquet_schema(path: Path | BinaryIO) -> pa.Schema | None:
    """The schema of a Parquet file; None: it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return None


def holds_images(path: Path) -> bool:
    """Whether a Parquet file has a column of encoded images."""
    return bool(image_columns(path))


def open_parquet(
    files: Sequence[Path], root: Path, name: str, wanted: Wanted, progress: Progress | None = None
) -> Dataset:
    """Read Parquet files with an image in each row, such as the shards of a Hugging Face dataset.

    Args:
        files: The files, in order; ``train-00000-of-00002.parquet`` or ``train/0000.parquet`` is the training split.
        root: The folder that their names start from.
        name: Name of the dataset.
        wanted: The columns that the user named.
        progress: Where to report while images are read.

    Raises:
        DataError: a file is damaged, the files do not fit each other, or labels are missing.
    """
    columns = image_columns(files[0])
    first = parquet_schema(files[0])
    if first is None or not columns:
        raise DataError(f"{files[0].name} cannot be read as Parquet", "the file is damaged: copy or download it again")
    column = wanted.path if wanted.path in columns else columns[0]
    splits = [split_of(path.relative_to(root)) for path in files]
    if len(set(splits)) == 1:
        splits = [None] * len(files)
    frame, groups, begins = _other_columns(files, column, splits)
    images: list[_Image] = []
    with (progress or Silent()).task("reading", len(frame)) as task:
        for image in ordered(_examine, _cells(files, column), processors() + 2, ahead=64):
            images.append(image)
            task.advance()
    if len(images) != len(frame):
        raise DataError(f"{name} has {len(frame)} rows but {len(images)} images", "the file is damaged: copy it again")
    known = _named(frame, _features(first))
    layout = "Parquet with images" if len(files) == 1 else f"{len(files)} Parquet files with images"
    others = [name for name in columns if name != column]
    known = known.drop(columns=[name for name in others if name in known.columns])
    notices = _one_of_several(column, others)
    return _assembled(
        known,
        column,
        images,
        lambda rows: ParquetReader(tuple(files), column, groups, begins, rows),
        wanted,
        name,
        layout,
        notices,
    )


def _one_of_several(column: str, others: Sequence[str]) -> Notices:
    """What is reported where several columns are images."""
    if not others:
        return Notices()
    return Notices(
        (f"the images are those of the column {column}",), (f"--path {others[0]}",),
        (f"further columns of images: {', '.join(others)}",),
    )  # fmt: skip


def from_image_frame(frame: pd.DataFrame, column: str, wanted: Wanted, name: str) -> Dataset:
    """A dataset from a pandas table whose ``column`` contains encoded images (see :func:`image_bytes`).

    Raises:
        DataError: there is no label, or no image can be read.
    """
    cells = frame[column].tolist()
    images = list(ordered(_examine, cells, processors()))

    def reader(rows: Mapping[str, int]) -> Reader:
        held = {row: images[row].facts.error is None for row in rows.values()}
        return ItemReader([image_bytes(cell) if held.get(i) else b"" for i, cell in enumerate(cells)], rows)

    others = frame.drop(columns=[column]).reset_index(drop=True)
    return _assembled(others, column, images, reader, wanted, name, "pandas table with images")


def frame_column(frame: pd.DataFrame, wanted: str | None = None) -> str | None:
    """The column of a pandas table whose cells are encoded images, or None."""
    for column in frame.columns if wanted is None else [wanted]:
        if column in frame.columns and frame[column].dtype == object:
            first = next((cell for cell in frame[column] if cell is not None), None)
            if (isinstance(first, Mapping) and "bytes" in first) or (isinstance(first, bytes) and _is_image(first)):
                return str(column)
    return None


@dataclass(frozen=True, slots=True)
class _Image:
    facts: Facts
    size: int
    path: str | None
    """The name of the file that it once was."""


def _examine(cell: Any) -> _Image:
    inner = cell.get("path") if isinstance(cell, Mapping) else None
    inner = inner if isinstance(inner, str) else None
    try:
        data = image_bytes(cell)
    except ImageError as error:
        return _Image(Facts("", None, error.message), 0, inner)
    digest = sha256(data)
    try:
        return _Image(Facts(digest, pixels.probe(data), None), len(data), inner)
    except ImageError as error:
        return _Image(Facts(digest, None, error.message), len(data), inner)


def _cells(files: Sequence[Path], column: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=64, columns=[column]):
                    yield from batch.column(0).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error


def _other_columns(
    files: Sequence[Path], column: str, splits: Sequence[Part | None]
) -> tuple[pd.DataFrame, list[tuple[int, int]], list[int]]:
    """All other columns of all files; the file and number of each row group, and its first row among all."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    frames: list[pd.DataFrame] = []
    groups: list[tuple[int, int]] = []
    sizes: list[int] = []
    for number, (path, split) in enumerate(zip(files, splits, strict=True)):
        try:
            with pq.ParquetFile(path) as file:
                filled = [(g, n) for g in range(file.num_row_groups) if (n := file.metadata.row_group(g).num_rows)]
                others = [name for name in file.schema_arrow.names if name != column]
                rows = range(file.metadata.num_rows)
                frame = file.read(columns=others).to_pandas() if others else pd.DataFrame(index=rows)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error
        frames.append(frame.assign(split=split) if split else frame)
        groups += [(number, group) for group, _ in filled]
        sizes += [rows_of_group for _, rows_of_group in filled]
    return pd.concat(frames, ignore_index=True), groups, [0, *accumulate(sizes)][:-1]


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(
        f"{path.name} cannot be read as Parquet: {reason}", "the file is damaged: copy or download it again"
    )


def _named(frame: pd.DataFrame, features: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The table with the names of classes in place of their numbers, where the schema has them."""
    for column, feature in features.items():
        inner = feature.get("feature", feature)
        names = inner.get("names") if isinstance(inner, Mapping) and inner.get("_type") == "ClassLabel" else None
        if names and column in frame.columns:
            frame = frame.copy()
            frame[column] = frame[column].astype(object).map(lambda cell, names=names: _class_name(cell, names))
    return frame


def _class_name(cell: Any, names: Sequence[str]) -> str | tuple[str, ...] | None:
    """The name of a class number, or of several; None: a missing label, which datasets write as -1."""
    if isinstance(cell, Iterable) and not isinstance(cell, str):
        return tuple(name for number in cell if isinstance(name := _class_name(number, names), str))
    try:
        return names[int(cell)] if 0 <= int(cell) < len(names) else None
    except (TypeError, ValueError):
        return None


def _assembled(  # noqa: PLR0913 - each is another part of the table
    frame: pd.DataFrame,
    column: str,
    images: Sequence[_Image],
    reader: Callable[[Mapping[str, int]], Reader],
    wanted: Wanted,
    name: str,
    layout: str,
    notices: Notices = Notices(),
) -> Dataset:
    paths = _paths(images, frame["split"].tolist() if "split" in frame.columns else [None] * len(images))
    rows = {path: row for row, path in enumerate(paths)}
    frame = frame.assign(**{column: paths})
    table = table_of(frame, name)
    columns = find_columns(table, name, path=column, label=wanted.label, group=wanted.group, labels=wanted.labels)
    read = read_rows(table, columns, name)
    samples: list[Sample] = []
    skipped = list(read.skipped)
    for row in read.rows:
        image = images[rows[row.path]]
        if row.label is None:
            skipped.append(Skipped(row.path, NO_LABEL))
            continue
        samples.append(Sample(
            row.path, row.label, image.facts.digest, image.size, group=row.group, split=row.split,
            metadata=row.metadata, info=image.facts.info, error=image.facts.error, labels=row.labels or (),
        ))  # fmt: skip
    unlabeled = sum(item.reason == NO_LABEL for item in skipped)
    missing = (f"{unlabeled:,} of {len(images):,} images have no label and are not used",) if unlabeled else ()
    multilabel = any(row.labels is not None for row in read.rows)
    return assemble(
        name, "table", samples, reader(rows), skipped=skipped, classes=read.classes,
        task=Task.MULTILABEL if multilabel else Task.MULTICLASS,
        reading=(notices + read.notices + Notices(warnings=missing)).reading(layout),
    )  # fmt: skip


def _paths(images: Sequence[_Image], splits: Sequence[Any]) -> list[str]:
    """A name for each image: that of the file it once was, if each has its own; else its number."""
    inner = [_safe(image.path) for image in images]
    if None in inner or len(set(inner)) < len(inner):
        width = max(5, len(str(len(images) - 1)))
        inner = [f"{row:0{width}d}" for row in range(len(images))]
    return [
        f"{split}/{name}" if isinstance(split, str) else str(name) for name, split in zip(inner, splits, strict=True)
    ]


def _safe(path: str | None) -> str | None:
    name = (path or "").replace("\\", "/").rsplit("/", 1)[-1]
    return name if name not in ("", ".", "..") and is_encodable(name) else None
