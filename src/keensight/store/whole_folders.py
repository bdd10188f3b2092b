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
def beside(directory: Path) -> Iterator[Path]:
    """A new folder next to ``directory``, removed unless it has been moved away.

    Raises:
        StoreError: it cannot be created.
    """
    directory = Path(os.path.abspath(directory))  # noqa: PTH100 - keeps symbolic links, as Path.resolve would not
    folder = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    with storing(directory):
        try:
            folder.mkdir(parents=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def swap(new: Path, place: Path) -> None:
    """Replace an older folder by ``new``; if that fails, the older one is restored."""
    old = new.with_name(f"{new.name}.old")
    place.rename(old)
    try:
        new.rename(place)
    except BaseException:
        old.rename(place)
        raise
    shutil.rmtree(old)
