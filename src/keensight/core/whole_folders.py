"""Folders that are complete or absent: written next to their place, then moved there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keensight.core.files import storing


@contextmanager
def whole_folder(directory: Path, *, replace: bool = False) -> Iterator[Path]:
    """A new folder next to ``directory``, whose place it takes at the end of the ``with`` block; after an error it is
    removed, and what was there stays.

    Args:
        directory: Its place: nothing, or an empty folder.
        replace: A folder with files may be there, and is replaced.

    Raises:
        StoreError: it cannot be written.
    """
    directory = Path(os.path.abspath(directory))  # noqa: PTH100 - keeps symbolic links, as Path.resolve would not
    folder = directory.with_name(f".{directory.name[:40]}.{secrets.token_hex(4)}")
    with storing(directory):
        try:
            folder.mkdir(parents=True)
            yield folder
            if replace and directory.exists():
                _swap(folder, directory)
            else:
                if directory.exists():
                    directory.rmdir()  # empty: Windows does not rename onto a folder
                folder.rename(directory)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _swap(new: Path, place: Path) -> None:
    """Replace an older folder by ``new``; if that fails, the older one is restored."""
    old = new.with_name(f"{new.name}.old")
    place.rename(old)
    try:
        new.rename(place)
    except BaseException:
        old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)
