"""Links in folders that came from somewhere else: they would have files read that nobody meant to give."""

from __future__ import annotations

from pathlib import Path

from keensight.errors import StoreError


def inside(folder: Path, name: str) -> Path:
    """``folder / name``, which need not exist, once it is sure that no link leads out of the folder.

    Raises:
        StoreError: a link leads out of it, or goes round in circles.
    """
    path = folder / name
    try:
        led = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{path} cannot be read: {error}", "restore the folder from where it was made") from error
    if not led:
        raise StoreError(f"{path} is a link that leads out of {folder}", "put the file itself there")
    return path
