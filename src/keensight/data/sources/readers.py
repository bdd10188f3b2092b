"""Open any source as a :class:`~keensight.core.records.Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.core.registry import best_match
from keensight.data.sources import samples
from keensight.data.sources.arrays import from_arrays, open_npz
from keensight.data.sources.folders import open_folder
from keensight.data.sources.idx import holds_idx, open_idx
from keensight.data.sources.names import is_image_name
from keensight.data.sources.tables import TABLE_SUFFIXES, from_frame, read_table
from keensight.errors import DataError, UsageError

__all__ = ["from_arrays", "from_frame", "open_source"]


def open_source(  # noqa: PLR0913 - public options, by keyword
    source: str | Path,
    *,
    label: str | None = None,
    path: str | None = None,
    group: str | None = None,
    labels: Sequence[str] = (),
    label_regex: str | None = None,
    label_level: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Open a labeled image set. No image is decoded: files are hashed and their headers read, once.

    Args:
        source: A folder with one sub-folder per class; a folder with train, val (valid, validation) and test
            folders of such; a CSV, TSV or Parquet table; a folder of IDX files; an ``.npz`` file; or, if no such path
            exists, the name of a sample dataset.
        label: Column with the class, in a table or in ``metadata.csv`` next to class folders; default: detected by name
            in a table, else the folder.
        path: Column with the image's path; default: found by its name.
        group: Column with a group ID (a patient, a product); images with the same ID are kept in the same split.
        labels: Multi-label: columns of 0 and 1 in a table, one per label; default: detected by content.
        label_regex: In a folder, a regular expression searched in each relative path; its first capture group (or the
            whole match) is the class.
        label_level: In a folder, which of nested folders is the class: ``top``, ``leaf`` or ``path``.
        progress: Where to report while files are read.

    Raises:
        DataError: the source is missing, empty, of one class only or otherwise unfit; the message says why.
    """
    where = Path(source).expanduser()
    listed = ",".join(labels) or None
    if (label_regex or label_level) and not where.is_dir():
        raise UsageError(f"{source} is not a folder, so there are no paths to take the class from", "remove the option")
    if not _exists(where):
        return _no_columns(_sample_set(source), label=label, path=path, group=group, labels=listed)
    if where.is_dir():
        if holds_idx(where):
            return _no_columns(open_idx(where), label=label, path=path, group=group, labels=listed)
        if labels:
            raise DataError(
                f"{where} is a folder, so the label columns {listed} cannot be looked up", "open a table instead"
            )
        return open_folder(
            where, label=label, path=path, group=group, label_regex=label_regex, label_level=label_level,
            open_table=_table, progress=progress,
        )  # fmt: skip
    if where.suffix.lower() in TABLE_SUFFIXES:
        return _table(where, label=label, path=path, group=group, labels=labels, progress=progress)
    if where.suffix.lower() == ".npz":
        return _no_columns(open_npz(where), label=label, path=path, group=group, labels=listed)
    raise DataError(f"{where} is neither a folder nor a table nor an .npz file", _file_hint(where))


def _table(where: Path, **options: Any) -> Dataset:
    return from_frame(read_table(where), where.parent, name=where.name, source=where, **options)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, a null byte, a folder that may not be entered
        raise DataError(f"{str(path)[:80]!r} cannot be opened: {error}", "check the path") from error


def _sample_set(source: str | Path) -> Dataset:
    if str(source) in samples.SAMPLE_SETS:
        return samples.load(str(source))
    nearest = best_match(str(source), samples.SAMPLE_SETS)
    sets = f"did you mean {nearest!r}?" if nearest else f"the sample datasets are {', '.join(samples.SAMPLE_SETS)}"
    raise DataError(f"{source} does not exist", f"give a folder, a table, an .npz file or a sample dataset; {sets}")


def _no_columns(dataset: Dataset, **wanted: str | None) -> Dataset:
    named = [f"{option}={column}" for option, column in wanted.items() if column is not None]
    if named:
        raise DataError(
            f"{dataset.name} has no columns, so {', '.join(named)} cannot be looked up",
            "remove the option, or open a table (CSV, Parquet) with this column",
        )
    return dataset


def _file_hint(path: Path) -> str:
    if is_image_name(path.name):
        return "a single image is not a training set; to classify it, use `keensight predict`"
    if "idx" in path.name:
        return "give the folder with the IDX files"
    return "tables end in .csv, .tsv or .parquet"
