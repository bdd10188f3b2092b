"""Atomic writes, canonical JSON, SHA-256 and plain TOML."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from keensight.errors import ImageError, StoreError

MISSING = "the file is missing"
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a full disk, and of a full quota."""
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # neither is known everywhere


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn an operating system's error in writing ``path`` into a clear StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StoreError(
                f"the disk is full: {path} was not written",
                "free some space, or point --run, KEENSIGHT_CACHE or TMPDIR at another disk",
            ) from error
        reason = error.strerror or str(error)
        raise StoreError(f"cannot write {path}: {reason}", "check the folder and its permissions") from error


def check_writable(path: Path, folder: bool = False) -> None:
    """Check that a path can be written to, before the work whose result goes there.

    Args:
        path: A file to be written or replaced; missing folders will be created.
        folder: The path is a folder to write into.

    Raises:
        StoreError: a file is where a folder should be or vice versa, or permission is missing.
    """
    if not folder and path.is_dir():
        raise StoreError(f"cannot write {path}: it is a folder", "name a file in it")
    above = path if folder else path.parent
    while not os.path.lexists(above) and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise StoreError(f"cannot write {path}: {above} is not a folder", "choose another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise StoreError(f"cannot write {path}: Permission denied", "check the folder and its permissions")


class Draft:
    """A file written under a hidden name next to its place, which it takes when it is complete: readers see the old
    file or the new one, never half a file.

    Every method but :meth:`discard` raises StoreError if the disk is full or the folder cannot be written.

    Args:
        path: The place of the file; missing folders are created.
        buffering: Bytes to gather before they are written; -1: the system's block size.
    """

    def __init__(self, path: Path, buffering: int = -1) -> None:
        self._place = path
        self._hidden = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}")
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.stream = self._hidden.open("xb", buffering)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        with storing(self._place):
            self.stream.write(data)

    def commit(self) -> None:
        """Move the complete file to its place, once the disk has all of it."""
        try:
            with storing(self._place):
                self.stream.flush()
                os.fsync(self.stream.fileno())
                self.stream.close()
                self._hidden.replace(self._place)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what was written, unless it is in its place already."""
        with suppress(OSError):  # closing flushes, which fails again on a full disk
            self.stream.close()
        with suppress(OSError):
            self._hidden.unlink(missing_ok=True)


@contextmanager
def drafted(path: Path) -> Iterator[Draft]:
    """A :class:`Draft` that takes its place at the end of the ``with`` block, or is removed after an error."""
    draft = Draft(path)
    try:
        yield draft
    except BaseException:
        draft.discard()
        raise
    draft.commit()


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that readers see the old file or the new one, never half a file.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    with drafted(path) as draft:
        draft.write(data)


def append_line(path: Path, line: str) -> None:
    """Append a line to a text file (UTF-8), immediately readable by others; an error may leave half of it.

    Raises:
        StoreError: the disk is full or the file cannot be written.
    """
    with storing(path), path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
        stream.write(line + "\n")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder where the system keeps temporary files, removed at the end of the ``with`` block.

    Raises:
        StoreError: it cannot be created.
    """
    with storing(Path("the temporary folder")):
        place = Path(tempfile.gettempdir())
    with storing(place):
        folder = tempfile.mkdtemp(prefix="keensight-", dir=place)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically (see :func:`write_bytes`).

    What UTF-8 cannot encode (half a surrogate pair, from a file name in another encoding) is written as
    ``\\udcff``, which JSON reads back as it was.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no NaN, so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write canonical JSON atomically."""
    write_text(path, canonical_json(value))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StoreError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", "is this a Keensight run or bundle?") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} cannot be read: {error}", "restore the file or repeat the run") from error


def read_bounded(path: str | Path, limit: int, check: Callable[[bytes], object] = bytes) -> bytes:
    """Read a regular file of at most ``limit`` bytes; never blocks, and uses no more memory than the file's size.

    Args:
        path: The file; links are followed.
        limit: Maximum number of bytes.
        check: Called with the first bytes (a thousand, or the whole file) before the rest is read; may raise.

    Raises:
        ImageError: it is missing, empty, too large, unreadable, or no regular file (a pipe would block, a device never
            ends).
    """
    try:
        _check_regular(Path(path).stat(), limit)  # before it is opened, as opening alone does something to some devices
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_WAIT), "rb") as stream:
            status = os.fstat(stream.fileno())
            _check_regular(status, limit)
            check(stream.peek(1)[:1024])
            return stream.read(status.st_size)
    except FileNotFoundError as error:
        raise ImageError(MISSING) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in a table's path
        raise ImageError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _check_regular(status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "a special file")
        raise ImageError(f"not a regular file ({kind})")
    if not status.st_size:
        raise ImageError("the file is empty (0 bytes)")
    if status.st_size > limit:
        raise ImageError(f"the file is too large ({status.st_size / 2**20:,.0f} MiB; the limit is {limit // 2**20})")


def sha256(data: bytes | memoryview) -> str:
    """SHA-256 of bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_text(text: str) -> str:
    """SHA-256 of text as :func:`write_text` writes it: names of files may hold what UTF-8 cannot encode."""
    return sha256(text.encode("utf-8", "backslashreplace"))


OWNER_DIGITS = 16
"""First digits of an image's digest, which tell the images of a computer apart."""


def derived_digest(digest: str, what: str) -> str:
    """The digest of what is computed from an image; it begins like the image's, so that a cache shows whose it is.

    Args:
        digest: That of the image.
        what: All else that the result depends on.
    """
    return digest[:OWNER_DIGITS] + sha256(f"{digest} {what}".encode())[OWNER_DIGITS:]


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, read in chunks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def to_toml(sections: Mapping[str, Mapping[str, Any]], comments: Mapping[str, str] | None = None) -> str:
    """Write sections of plain settings as TOML text (None is omitted, because TOML has no null)."""
    lines: list[str] = []
    for section, settings in sections.items():
        lines.append(f"[{section}]")
        for key, value in settings.items():
            if value is not None:
                note = (comments or {}).get(f"{section}.{key}")
                lines.append(f"{key} = {_toml_value(value)}" + (f"  # {note}" if note else ""))
        lines.append("")
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    # A JSON string, number, boolean or list of those is also TOML, but for the character DEL and halves of surrogates.
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return text.encode("utf-8", "replace").decode("utf-8")
