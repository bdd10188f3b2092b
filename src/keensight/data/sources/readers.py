"""Open any source as a :class:`~keensight.core.records.Dataset`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keensight.core.progress import Progress
from keensight.core.records import Dataset, Part
from keensight.core.registry import best_match
from keensight.data.sources import samples
from keensight.data.sources.arrays import from_arrays
from keensight.data.sources.containers.archives import is_archive
from keensight.data.sources.containers.embedded import Wanted
from keensight.data.sources.containers.open_container import open_container, without_columns
from keensight.data.sources.folders import open_folder
from keensight.data.sources.names import is_image_name
from keensight.data.sources.own_folders import refuse_own_folder
from keensight.data.sources.table_files import is_table_name
from keensight.data.sources.tables import from_frame, open_tables
from keensight.errors import DataError, UsageError

_TOGETHER = "check the path; of folders, put them into one, called train, val and test"

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
    val: str | Path | None = None,
    test: str | Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Open a labeled image set. No image is decoded: files are hashed and their headers read, once.

    Args:
        source: A folder with one sub-folder per class; a folder with train, val (valid, validation) and test
            folders of such; a table (CSV, TSV, Excel, JSON lines or records, Parquet, text list); an archive of these;
            arrays or other files with many images (:mod:`.containers`); or, if no such path exists, the name of a
            sample dataset.
        label: Column with the class, in a table or in ``metadata.csv`` next to class folders; default: detected by name
            in a table, else the folder.
        path: Column with the image's path; default: found by its name.
        group: Column with a group ID (a patient, a product); images with the same ID are kept in the same split.
        labels: Multi-label: columns of 0 and 1 in a table, one per label; default: detected by content.
        label_regex: In a folder, a regular expression searched in each relative path; its first capture group (or the
            whole match) is the class.
        label_level: In a folder, which of nested folders is the class: ``top``, ``leaf`` or ``path``.
        val: A second table with the same columns, of the validation images.
        test: A second table with the same columns, of the test images.
        progress: Where to report while files are read.

    Raises:
        DataError: the source is missing, empty, of one class only or otherwise unfit; the message says why.
    """
    where = Path(source).expanduser()
    wanted = Wanted(label, path, group, labels)
    tree: dict[str, Any] = {"label_regex": label_regex, "label_level": label_level, "open_tables": open_tables}
    if (label_regex or label_level) and not (where.is_dir() or is_archive(where)):
        raise UsageError(f"{source} is not a folder, so there are no paths to take the class from", "remove the option")
    together = bool(val or test)
    if not together and _exists(where):
        refuse_own_folder(where)
        if (dataset := open_container(where, wanted, tree, progress)) is not None:
            return dataset
    if together or (is_table_name(where.name) and os.path.isfile(where)):  # noqa: PTH113 - takes any name
        files = _given_together({None: where, "val": val, "test": test})
        return open_tables(files, label=label, path=path, group=group, labels=labels, progress=progress)
    if not where.exists():
        return without_columns(_sample_set(source), wanted)
    if where.is_dir():
        return open_folder(where, label=label, path=path, group=group, labels=labels, **tree, progress=progress)
    raise DataError(f"{where} is neither a folder nor a table nor an .npz file", _file_hint(where))


def _given_together(files: Mapping[Part | None, str | Path | None]) -> list[tuple[Path, Part | None]]:
    found = [(Path(file).expanduser(), part) for part, file in files.items() if file]
    for file, _ in found:
        if not os.path.isfile(file):  # noqa: PTH113 - takes any name
            raise DataError(f"{file} is not a file, and only tables are given together", _TOGETHER)
        if not is_table_name(file.name):
            raise DataError(f"{file} is not a table, and only tables are given together", _TOGETHER)
    return found


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


def _file_hint(path: Path) -> str:
    if is_image_name(path.name):
        return "a single image is not a training set; to classify it, use `keensight predict`"
    if "idx" in path.name:
        return "give the folder with the IDX files"
    return "tables end in .csv, .tsv, .xlsx, .jsonl, .json, .parquet or .txt"
