"""Sources that are files with many images inside: arrays, Parquet, archives, records."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.data.sources.containers.archive_folders import open_archive
from keensight.data.sources.containers.archives import archive_kind, read_archive
from keensight.data.sources.containers.array_files import HDF5_SUFFIXES, holds_npy, open_hdf5, open_npy, open_npz
from keensight.data.sources.containers.embedded import PARQUET_SUFFIXES, Wanted, holds_images, open_parquet
from keensight.data.sources.containers.tfrecord import is_record_name, is_tfrecord, open_tfrecord
from keensight.data.sources.containers.webdataset import holds_samples, open_webdataset
from keensight.data.sources.idx import holds_idx, open_idx
from keensight.data.sources.names import is_image_name, junk_reason, natural_key, suffix_of
from keensight.errors import DataError


def open_container(
    source: Path, wanted: Wanted, tree: Mapping[str, Any], progress: Progress | None = None
) -> Dataset | None:
    """Open a file or folder that holds images in something else than image files; None: it is of another kind.

    Args:
        source: An existing path.
        wanted: The columns that the user named.
        tree: Of :func:`.folders.open_folder`, for archives: ``label_regex``, ``label_level`` and ``open_tables``.
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
    if suffix in _FOREIGN or is_pickle(source):
        _refuse(source)
    return None


def _of_archive(source: Path, wanted: Wanted, tree: Mapping[str, Any], progress: Progress | None) -> Dataset:
    archive = read_archive(source, progress)
    if holds_samples(archive):
        return without_columns(open_webdataset(source, [archive], wanted.label, progress), wanted, label=True)
    if wanted.labels:
        raise DataError(
            f"{source} is an archive, so label columns cannot be looked up", "unpack it and open a table in it"
        )
    columns = {"label": wanted.label, "path": wanted.path, "group": wanted.group}
    return open_archive(archive, columns | dict(tree), progress)


def _of_folder(folder: Path, wanted: Wanted, progress: Progress | None) -> Dataset | None:
    if holds_idx(folder):
        return without_columns(open_idx(folder), wanted)
    files = _survey(folder)
    if files is None:
        return None
    dataset = _of_files(folder, files, wanted, progress)
    loose = len(files[_IMAGES])
    if dataset is None or dataset.reading is None or not loose:
        return dataset
    warning = f"{loose} image {'file' if loose == 1 else 'files'} next to the {dataset.reading.layout} not used"
    told = replace(dataset.reading, warnings=(*dataset.reading.warnings, warning))
    return replace(dataset, reading=told)


def _of_files(
    folder: Path, files: Mapping[str, list[Path]], wanted: Wanted, progress: Progress | None
) -> Dataset | None:
    if holds_npy(folder):
        return without_columns(open_npy(folder, label=wanted.label), wanted, label=True)
    if tables := [path for path in files[_PARQUET] if holds_images(path)]:
        return open_parquet(tables, folder, folder.resolve().name, wanted, progress)
    if records := [path for path in files[_RECORDS] if is_tfrecord(path)]:
        return without_columns(open_tfrecord(folder, records, wanted.label, progress), wanted, label=True)
    if files[_IMAGES]:
        return None
    tars = [read_archive(path, progress) for path in files[_TARS]]
    if tars and holds_samples(tars[0]):
        return without_columns(open_webdataset(folder, tars, wanted.label, progress), wanted, label=True)
    if foreign := [path for path in files[_FOREIGN_FILES] if path.suffix.lower() in _FOREIGN or is_pickle(path)]:
        _refuse(foreign[0])
    return None


_MANY = 200
"""Image files from which on a folder is one of images, whatever else is in it."""
_IMAGES, _PARQUET, _RECORDS, _TARS, _FOREIGN_FILES = "images", "parquet", "records", "tars", "foreign"


def _survey(folder: Path) -> Mapping[str, list[Path]] | None:
    """The files of a folder that may hold many images each, by kind; None: it has many image files itself."""
    found: dict[str, list[Path]] = defaultdict(list)
    for place, folders, names in os.walk(folder):
        folders[:] = sorted((name for name in folders if junk_reason(name) is None), key=natural_key)
        for name in sorted(names, key=natural_key):
            if junk_reason(name) is None and (kind := _kind(name)):
                found[kind].append(Path(place, name))
        if len(found[_IMAGES]) > _MANY:
            return None
    return found


def _kind(name: str) -> str | None:
    suffix = suffix_of(name)
    if is_image_name(name):
        return _IMAGES
    if suffix in PARQUET_SUFFIXES:
        return _PARQUET
    if is_record_name(name):
        return _RECORDS
    if archive_kind(name) == "tar":
        return _TARS
    return _FOREIGN_FILES if not suffix or suffix in _FOREIGN or suffix in _PICKLES else None


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


_FOREIGN = {
    ".arrow": "load it with the datasets library, and pass what it gives: ks.open(datasets.load_from_disk(folder))",
    ".mat": "load it with scipy.io.loadmat, and pass the arrays: ks.open((images, labels))",
    ".mdb": "it is an LMDB database: write its images to a folder per class",
    ".rec": "it is a RecordIO file of MXNet: write its images to a folder per class",
    ".beton": "it is a file of FFCV: open the dataset that it was made from",
}
"""Files with many images that are recognized and refused, and what to do."""


def _refuse(path: Path) -> NoReturn:
    hint = _FOREIGN.get(path.suffix.lower())
    if hint is not None:
        raise DataError(f"{path.name} is of a format that is not read ({path.suffix.lower()})", hint)
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
