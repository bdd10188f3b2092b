"""Files behind an address such as ``s3://bucket/photos/1.jpg``, on the file systems of pyarrow and fsspec."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from keensight.core.decode_limits import MAX_BYTES
from keensight.core.files import FULL, MISSING, storing
from keensight.core.image_files import recognize
from keensight.data.sources.names import junk_reason, natural_key
from keensight.errors import DataError, ImageError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/?]*)/*([^?]*)(\?.*)?", re.DOTALL)
_FIRST = 1 << 20
"""Bytes that are read before it is clear that a file is an image; each reading is a request."""
_FAILS = (OSError, ValueError, RuntimeError, ImportError)
"""What the libraries of file systems raise; an ArrowException is a ValueError or one of the system's."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file or folder of a file system that is not this computer's."""

    root: str
    """Scheme and bucket (or host), with options: ``s3://KEY:SECRET@bucket/?endpoint_override=...``."""
    key: str
    """Where it is in there; empty: the whole bucket."""

    @property
    def name(self) -> str:
        """The address without options and passwords."""
        return re.sub(r"(?<=://)[^/]*@", "", self.root.partition("?")[0]) + self.key

    @property
    def folder(self) -> Remote:
        """What it is in."""
        return Remote(self.root, self.key.rpartition("/")[0])

    def inside(self, path: str) -> Remote:
        """A file of this folder by its relative path."""
        return Remote(self.root, f"{self.key}/{path}".lstrip("/"))


def address_of(text: str) -> Remote | None:
    """An address as a user writes it; None: a path on this computer."""
    found = _ADDRESS.fullmatch(text)
    if found is None or found[1].lower() == "file":
        return None
    scheme, bucket, key, options = found.groups()
    return Remote(f"{scheme.lower()}://{bucket}/{options or ''}", key.rstrip("/"))


@lru_cache(maxsize=64)
def _filesystem(root: str) -> tuple[Any, str]:
    """The file system of a bucket, and its path there."""
    from pyarrow import ArrowInvalid, fs

    try:
        return fs.FileSystem.from_uri(root)  # type: ignore[no-any-return]
    except ArrowInvalid as error:
        if "nrecognized" not in str(error):
            raise
        return fs.FileSystem.from_uri(f"fsspec+{root}")  # type: ignore[no-any-return]


def opened(place: Remote) -> tuple[Any, str]:
    """The file system of pyarrow that has a file, and its path there.

    Raises:
        DataError: there is no such file system, or a package is missing.
    """
    try:
        filesystem, base = _filesystem(place.root)
    except _FAILS as error:
        raise DataError(
            f"{place.name} cannot be opened: {_reason(error)}",
            "known are s3://, gs://, abfs:// and hdfs://, and what an installed package of fsspec adds",
        ) from error
    return filesystem, f"{base.rstrip('/')}/{place.key}" if place.key else base


def read(image: Remote) -> bytes:
    """The encoded bytes of an image; of a file that is none, only the first are read.

    Raises:
        ImageError: it cannot be read, or is too large.
    """
    try:
        filesystem, path = opened(image)
        with filesystem.open_input_file(path) as stream:
            size = stream.size()
            if not size:
                raise ImageError("the file is empty (0 bytes)")
            if size > MAX_BYTES:
                raise ImageError(f"the file is too large ({size / 2**20:,.0f} MiB; the limit is {MAX_BYTES >> 20})")
            first = bytes(stream.read(min(size, _FIRST)))
            recognize(first[:1024])
            return first + bytes(stream.read(size - len(first)))
    except FileNotFoundError as error:
        raise ImageError(MISSING) from error
    except DataError as error:
        raise ImageError(error.message) from error
    except _FAILS as error:
        raise ImageError(f"cannot be read: {_reason(error)}") from error


def stream_of(file: Remote) -> Any:
    """A file of pyarrow to read from, anywhere in it.

    Raises:
        DataError: it cannot be opened.
    """
    try:
        filesystem, path = opened(file)
        return filesystem.open_input_file(path)
    except FileNotFoundError as error:
        raise DataError(f"{file.name} does not exist", "check the address") from error
    except _FAILS as error:
        raise DataError(f"{file.name} cannot be read: {_reason(error)}", "check the permissions") from error


def fetch(file: Remote, folder: Path) -> Path:
    """Copy a file, such as a table, into a folder of this computer.

    Raises:
        DataError: it cannot be read.
        StoreError: the disk is full.
    """
    place = folder / PurePosixPath(file.key).name
    with stream_of(file) as source, storing(place), place.open("wb") as sink:
        try:
            shutil.copyfileobj(source, sink, 1 << 20)
        except _FAILS as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            raise DataError(f"{file.name} cannot be read: {_reason(error)}", "try again") from error
    return place


def files_below(folder: Remote) -> list[Remote] | None:
    """All files in a folder and its folders, in natural order, hidden ones aside; None: it is a file, or missing.

    Raises:
        DataError: it cannot be listed.
    """
    from pyarrow import fs

    filesystem, path = opened(folder)
    try:
        if filesystem.get_file_info(path).type != fs.FileType.Directory:
            return None
        found = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    except _FAILS as error:
        raise DataError(
            f"{folder.name} cannot be listed: {_reason(error)}", "check the address and the permissions"
        ) from error
    files = [one.path[len(path) :].strip("/") for one in found if one.type == fs.FileType.File]
    shown = [file for file in files if not any(junk_reason(part) for part in PurePosixPath(file).parts)]
    return [folder.inside(file) for file in sorted(shown, key=natural_key)]


def _reason(error: BaseException) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
