"""Sources that are files with many images inside: arrays, Parquet, archives, records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.data.sources.archive_folders import open_archive
from keensight.data.sources.archives import archive_kind, read_archive
from keensight.data.sources.array_files import HDF5_SUFFIXES, holds_npy, open_hdf5, open_npy, open_npz
from keensight.data.sources.embedded import PARQUET_SUFFIXES, Wanted, find_shards, holds_images, open_parquet
from keensight.data.sources.idx import holds_idx, open_idx
from keensight.data.sources.tfrecord import find_records, is_tfrecord, open_tfrecord
from keensight.data.sources.webdataset import find_tars, holds_samples, open_webdataset
from keensight.errors import DataError


def open_container(
    source: Path, wanted: Wanted, tree: Mapping[str, Any], progress: Progress | None = None
) -> Dataset | None:
    """Open a file or folder that holds images in something else than image files; None: it is of another kind.

    Args:
        source: An existing path.
        wanted: The columns that the user named.
        tree: Of :func:`.folders.open_folder`, for archives: ``label_regex``, ``label_level`` and ``open_table``.
        progress: Where to report while images are read.

    Raises:
        DataError: it is such a file, but damaged, refused or without labels.
    """
    if source.is_dir():
        return _of_folder(source, wanted, progress)
    suffix = source.suffix.lower()
    if suffix == ".npz":
        return without_columns(open_npz(source, label=wanted.label), wanted, label=True)
    if suffix in HDF5_SUFFIXES:
        return without_columns(open_hdf5(source, label=wanted.label), wanted, label=True)
    if suffix in PARQUET_SUFFIXES and holds_images(source):
        return open_parquet([source], source.parent, source.name, wanted, progress)
    if is_tfrecord(source):
        return without_columns(open_tfrecord(source, [source], wanted.label, progress), wanted, label=True)
    if archive_kind(source.name):
        return _of_archive(source, wanted, tree, progress)
    if is_pickle(source):
        _refuse_pickle(source)
    return None


def _of_archive(source: Path, wanted: Wanted, tree: Mapping[str, Any], progress: Progress | None) -> Dataset:
    archive = read_archive(source, progress)
    if holds_samples(archive):
        return without_columns(open_webdataset(source, [source], wanted.label, progress), wanted, label=True)
    if wanted.labels:
        raise DataError(
            f"{source} is an archive, so label columns cannot be looked up", "unpack it and open a table in it"
        )
    columns = {"label": wanted.label, "path": wanted.path, "group": wanted.group}
    return open_archive(archive, columns | dict(tree), progress)


def _of_folder(folder: Path, wanted: Wanted, progress: Progress | None) -> Dataset | None:
    if holds_idx(folder):
        return without_columns(open_idx(folder), wanted)
    if holds_npy(folder):
        return without_columns(open_npy(folder, label=wanted.label), wanted, label=True)
    if shards := find_shards(folder):
        return open_parquet(shards, folder, folder.resolve().name, wanted, progress)
    if records := find_records(folder):
        return without_columns(open_tfrecord(folder, records, wanted.label, progress), wanted, label=True)
    if tars := find_tars(folder):
        return without_columns(open_webdataset(folder, tars, wanted.label, progress), wanted, label=True)
    files = [path for path in folder.iterdir() if path.is_file()]
    if (pickled := next(filter(is_pickle, files), None)) and not any(map(Path.is_dir, folder.iterdir())):
        _refuse_pickle(pickled)
    return None


_PICKLES = frozenset({".pkl", ".pickle", ".pck", ".pt", ".pth", ".joblib", ".dill"})


def is_pickle(path: Path) -> bool:
    """Whether a file is a Python pickle, by its extension or, without one, by its first bytes (CIFAR's)."""
    if path.suffix.lower() in _PICKLES:
        return True
    if path.suffix or not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(2)
    return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _refuse_pickle(path: Path) -> NoReturn:
    raise DataError(
        f"{path.name} is a Python pickle, which can run code when it is opened, and is refused",
        "load it with a program that you trust, and pass the arrays: ks.open((images, labels)); "
        "CIFAR: keras.datasets.cifar10.load_data()",
    )


def without_columns(dataset: Dataset, wanted: Wanted, *, label: bool = False) -> Dataset:
    """The dataset, if the user named no column of it.

    Args:
        dataset: It has no columns.
        wanted: The columns that the user named.
        label: Whether ``wanted.label`` was used.

    Raises:
        DataError: the user named one.
    """
    given = {"label": None if label else wanted.label, "path": wanted.path, "group": wanted.group}
    named = [f"{option}={column}" for option, column in (given | {"labels": ",".join(wanted.labels)}).items() if column]
    if named:
        raise DataError(
            f"{dataset.name} has no columns, so {', '.join(named)} cannot be looked up",
            "remove the option, or open a table (CSV, Parquet) with this column",
        )
    return dataset
