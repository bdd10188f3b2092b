"""What file, folder and class names mean."""

from __future__ import annotations

import os
import re
import unicodedata
from functools import lru_cache

from keensight.core.records import Part

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm",
        ".pbm", ".pnm", ".avif", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jxl", ".ico",
        ".tga", ".dcm", ".dicom", ".nii",
    }
)  # fmt: skip
"""File extensions taken for images, in lower case; some need an extra, and a volume (NIfTI) is refused."""

_JUNK = frozenset(
    {
        "thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "recycler", "recycled", "recycle bin", "#recycle",
        "@recycle", "system volume information", "@eadir", "@tmp", "lost+found", "lost.dir", "found.000",
    }
)  # fmt: skip
_PARTS: dict[str, Part] = {
    "train": "train", "training": "train", "trainset": "train", "trainval": "train", "train_val": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "eval": "val", "evaluation": "val",
    "holdout": "val", "hold_out": "val", "valset": "val",
    "test": "test", "testing": "test", "testset": "test",
}  # fmt: skip
_DIGITS = re.compile(r"([0-9]+)")

_PieceKey = tuple[int, int, str]
NaturalKey = tuple[tuple[_PieceKey, ...], ...]


def junk_reason(name: str) -> str | None:
    """Why a file or folder with this name does not belong to an image set, or None."""
    if name.lower() in _JUNK:
        return "put there by the operating system"
    return "hidden" if name.startswith(".") else None


def suffix_of(path: str) -> str:
    """The extension in lower case with its dot, or ""."""
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - a Path costs ten times as much, once an image


def is_image_name(path: str) -> bool:
    """Whether the extension is one of an image's."""
    suffix = suffix_of(path)
    return suffix in IMAGE_SUFFIXES or (suffix == ".gz" and path.lower().endswith(".nii.gz"))


def part_of(name: str) -> Part | None:
    """The split that a folder's name or a table's value means (``valid`` is ``val``), or None."""
    return _PARTS.get(name.strip().lower())


def natural_key(path: str) -> NaturalKey:
    """Sort key by which ``2`` comes before ``10``, folder by folder.

    Digits are compared by length and text, not as integers: Python refuses to parse very long ones.
    """
    folder, _, name = path.rpartition("/")
    return (*_folder_key(folder), _component_key(name))


@lru_cache(maxsize=1024)
def _folder_key(folder: str) -> NaturalKey:
    return tuple(_component_key(component) for component in folder.split("/")) if folder else ()


def _component_key(component: str) -> tuple[_PieceKey, ...]:
    key: list[_PieceKey] = []
    for i, piece in enumerate(_DIGITS.split(component)):
        if i % 2:  # the pattern's own group: digits
            digits = piece.lstrip("0")
            key.append((0, len(digits), digits))
        else:
            key.append((1, 0, piece))
    key.append((2, 0, component))  # so that 1 and 01 differ
    return tuple(key)


def clean_label(text: str) -> str:
    """A class name in the composed Unicode form (NFC), without leading and trailing spaces.

    macOS decomposes accents in file names: without this, one class copied from two machines were two.
    """
    return unicodedata.normalize("NFC", text).strip()


def is_encodable(text: str) -> bool:
    """Whether ``text`` can be written as UTF-8; file names of another encoding cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def readable_path(path: str) -> str:
    """A relative path as people read it: folders and names that are not UTF-8 are taken for Latin-1."""
    return "/".join(name if is_encodable(name) else _decoded(os.fsencode(name)) for name in path.split("/"))


def _decoded(name: bytes) -> str:
    try:
        return name.decode("utf-8")  # in the C locale, Python may take file names for ASCII
    except UnicodeDecodeError:
        return name.decode("latin-1")


def printable(text: str) -> str:
    """``text`` with whatever cannot be written as UTF-8 replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")
