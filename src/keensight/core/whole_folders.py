"""Folders that are complete or absent: written next to their place, then moved there."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keensight.core.files import storing
from keensight.errors import StoreError

_HERE, _EXCHANGE = -100, 2
"""``AT_FDCWD`` and ``RENAME_EXCHANGE`` of renameat2(2)."""
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EOPNOTSUPP}


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
    if _exchanged(new, place):
        return
    old = new.with_name(f"{new.name}.old")
    place.rename(old)
    try:
        new.rename(place)
    except BaseException as error:
        try:
            old.rename(place)
        except OSError:
            raise StoreError(
                f"cannot write {place}: {error}; what was there is now in {old}", f"rename {old} to {place.name}"
            ) from error
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchanged(new: Path, place: Path) -> bool:
    """Exchange two folders in one step, so that one of them is always there; False: the system has no such step.

    Raises:
        OSError: the system refuses it.
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    exchange = getattr(libc, "renameat2", None)
    if exchange is None:
        return False
    if exchange(_HERE, os.fsencode(new), _HERE, os.fsencode(place), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(place))
