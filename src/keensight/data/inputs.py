"""What a user names for prediction: files, folders and patterns, to image files."""

from __future__ import annotations

import glob
from pathlib import Path

from keensight.data.listing import list_images
from keensight.data.names import is_image_name, natural_key
from keensight.errors import DataError


def find_images(path: str | Path) -> list[Path]:
    """Image files that ``path`` stands for, in natural order.

    A folder is searched through; a pattern (``*``, ``?``, ``[...]``, ``**``) is expanded. A file is taken
    as it is, whatever its name, and so is one that does not exist: its row will say so.

    Raises:
        DataError: a folder or a pattern holds no image.
    """
    given = Path(path)
    if given.is_dir():
        found = [given / (file.stored or file.path) for file in list_images(given).files]
    elif not given.exists() and glob.has_magic(str(path)):
        matches = sorted(glob.glob(str(path), recursive=True), key=natural_key)
        found = [Path(match) for match in matches if Path(match).is_file() and is_image_name(match)]
    else:
        return [given]
    if not found:
        raise DataError(f"{path} holds no image", "give image files, folders or patterns such as photos/*.jpg")
    return found
