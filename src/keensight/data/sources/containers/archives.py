"""Zip and tar archives: what they contain, and their files' bytes, read where they lie.

Nothing is unpacked, so no name in an archive can write outside of it. Only a compressed tar, whose files cannot be
reached one by one, is decompressed once, to a plain tar in the cache.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from keensight.core.decode_limits import MAX_BYTES
from keensight.core.files import Draft, drafted, sha256
from keensight.core.progress import Progress, Silent
from keensight.core.records import Sample, Skipped
from keensight.data.cache import cache_directory
from keensight.data.cache_entries import Claim
from keensight.data.cache_limit import make_room
from keensight.data.sources.listing import UNKNOWN_TYPE, Found, Listing
from keensight.data.sources.names import is_encodable, is_image_name, junk_reason, natural_key, printable, suffix_of
from keensight.errors import DataError, ImageError, StoreError

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
FOREIGN_SUFFIXES = (".7z", ".rar", ".tar.zst", ".zst", ".tar.z", ".iso", ".dmg")
"""Archives that are recognized and refused."""

_MOST_TIMES = 100
_MOST_FREE = 256 << 20
"""A packed file may expand to so many times its size, and to so many bytes in any case."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_STORED, _DEFLATED = 0, 8
_IS_UTF8 = 0x800
_LINK = "a link, which is not followed in an archive"


@dataclass(frozen=True, slots=True)
class Member:
    """Where the bytes of a file are."""

    offset: int
    """In the archive: of the bytes in a tar, of the file's own header in a zip."""
    packed: int
    size: int
    method: int = _STORED
    crc: int | None = None
    error: str | None = None
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An index of an archive; also the reader of its images."""

    path: Path
    """The file as given."""
    plain: Path
    """Where the bytes are: the file itself, or a decompressed copy."""
    members: Mapping[str, Member]
    folders: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    claim: Claim | None = field(default=None, compare=False, repr=False)
    """Of a decompressed copy, so that it is not removed."""

    def load(self, sample: Sample) -> bytes:
        """The bytes of an image.

        Raises:
            ImageError: it is not in the archive, damaged or too large.
        """
        return self.read(sample.path)

    def read(self, name: str) -> bytes:
        """The bytes of a file by its path in the archive.

        Raises:
            ImageError: as :meth:`load`.
        """
        member = self.members.get(name)
        if member is None:
            raise ImageError("it is not in the archive")
        if member.error is not None:
            raise ImageError(member.error)
        if max(member.size, member.packed) > MAX_BYTES:
            raise ImageError(f"the file is larger than {MAX_BYTES >> 20} MiB", "remove it")
        try:
            with self.plain.open("rb") as stream:
                return _content(stream, member)
        except (OSError, zlib.error, struct.error) as error:
            raise ImageError(f"it cannot be read from the archive: {error}", "copy or download it again") from error

    def listing(self) -> Listing:
        """Its image files and everything else, as :func:`.listing.list_images` lists a folder."""
        changed = self.path.stat().st_mtime_ns
        files: list[Found] = []
        skipped: dict[str, str] = {item.path: item.reason for item in self.skipped}
        others: list[Skipped] = []
        for name, member in self.members.items():
            if junk := _junk(name):
                skipped.setdefault(*junk)
            elif is_image_name(name):
                files.append(Found(name, member.size, changed, member.error))
            else:
                others.append(Skipped(name, f"{UNKNOWN_TYPE} ({suffix_of(name) or 'no extension'})"))
        folders = {
            "/".join(parts[:i]) for parts in (found.path.split("/") for found in files) for i in range(1, len(parts))
        }
        folders |= {folder for folder in self.folders if not _junk(f"{folder}/")}
        left = [Skipped(path, reason) for path, reason in skipped.items()]
        return Listing(
            tuple(sorted(files, key=lambda found: natural_key(found.path))),
            tuple(sorted(folders, key=natural_key)),
            tuple(sorted((*left, *others), key=lambda item: natural_key(item.path))),
            tuple(sorted(others, key=lambda item: natural_key(item.path))),
        )


def _junk(name: str) -> tuple[str, str] | None:
    """The first folder or file in a path that does not belong to an image set, and why."""
    parts = name.split("/")
    for i, part in enumerate(parts):
        if part and (reason := junk_reason(part)):
            return "/".join(parts[: i + 1]), reason
    return None


def _content(stream: IO[bytes], member: Member) -> bytes:
    stream.seek(member.offset)
    if member.crc is not None:
        head = stream.read(_LOCAL_HEADER.size)
        signature, name, extra = _LOCAL_HEADER.unpack(head)
        if signature != b"PK\x03\x04":
            raise ImageError("the archive is damaged: there is no file where its index says", "download it again")
        stream.seek(name + extra, os.SEEK_CUR)
    data = stream.read(member.packed)
    if member.method == _DEFLATED:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
    if len(data) != member.size or (member.crc is not None and zlib.crc32(data) != member.crc):
        raise ImageError("it is damaged in the archive: size or checksum differ", "copy or download the archive again")
    return data


def most_expanded(size: int) -> int:
    """How many bytes a packed file of ``size`` bytes may expand to; more is taken for a bomb."""
    return _MOST_FREE + _MOST_TIMES * size


def refuse_bomb(path: Path, expanded: int) -> None:
    """Refuse a file that says it expands to implausibly much, before it is unpacked.

    Raises:
        DataError: it does.
    """
    size = path.stat().st_size
    if expanded > most_expanded(size):
        raise DataError(
            f"{path.name} says that its {size / 2**20:,.1f} MiB expand to {expanded / 2**20:,.0f} MiB, as bombs do",
            "if it is none, unpack it and give the folder, or save it with less compression",
        )


def archive_kind(name: str) -> str | None:
    """``zip``, ``tar``, or the extension of an archive that cannot be read; None: it is no archive."""
    lower = name.lower()
    if lower.endswith(ZIP_SUFFIXES):
        return "zip"
    if lower.endswith(TAR_SUFFIXES):
        return "tar"
    return next((suffix for suffix in FOREIGN_SUFFIXES if lower.endswith(suffix)), None)


def is_archive(path: Path) -> bool:
    """Whether a path is an archive, by its name."""
    return archive_kind(path.name) is not None and path.is_file()


def read_archive(path: Path, progress: Progress | None = None) -> Archive:
    """Read the index of a zip or tar archive.

    Raises:
        DataError: it is damaged, encrypted, expands to implausibly much, contains absolute names or names that lead out
            of it, or is of a kind that cannot be read.
    """
    kind = archive_kind(path.name)
    if kind == "zip":
        with _reading(path):
            return _zip(path)
    if kind == "tar":
        with _reading(path):
            return _tar(path, progress or Silent())
    raise DataError(f"{path.name} is an archive that cannot be read ({kind})", "unpack it and give the folder")


def _zip(path: Path) -> Archive:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    index = _Index(path)
    if any(info.flag_bits & 1 for info in infos):
        raise DataError(f"{path.name} is encrypted", "unpack it with its password and give the folder")
    refuse_bomb(path, sum(info.file_size for info in infos))
    if sum(info.compress_size for info in infos) > path.stat().st_size:
        raise DataError(f"{path.name} contains files that overlap, as bombs do", "do not open it")
    for info in infos:
        mode = info.external_attr >> 16
        error = None
        if stat.S_ISLNK(mode):
            error = _LINK
        elif info.compress_type not in (_STORED, _DEFLATED):
            error = f"compressed with a rare method of zip (number {info.compress_type})"
        method, crc = info.compress_type, info.CRC
        index.add(_zip_name(info), info.is_dir(), Member(
            info.header_offset, info.compress_size, info.file_size, method, crc, error))  # fmt: skip
    return index.archive(path)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name of a file: macOS writes UTF-8 without saying so, which zipfile reads as code page 437."""
    if not info.flag_bits & _IS_UTF8 and not info.filename.isascii():
        with suppress(UnicodeError):
            return info.filename.encode("cp437").decode("utf-8")
    return info.filename


def _tar(path: Path, progress: Progress) -> Archive:
    plain, claim = decompressed(path, progress) if is_compressed(path) else (path, None)
    index = _Index(path)
    with tarfile.open(plain, "r:") as archive:
        for info in archive:
            error = None
            if info.issym() or info.islnk():
                error = _LINK
            elif info.issparse():
                error = "stored as a sparse file"
            elif not info.isfile() and not info.isdir():
                index.skipped.append(Skipped(info.name, "not a regular file"))
                continue
            index.add(info.name, info.isdir(), Member(info.offset_data, info.size, info.size, error=error))
        end = archive.offset
    with plain.open("rb") as stream:
        stream.seek(end)
        if stream.read(512) != bytes(512):  # tarfile takes a damaged header, and the end of the file, for the end
            raise DataError(
                f"{path.name} is damaged or incomplete: it cannot be read beyond {len(index.members):,} files",
                "copy or download it again, or unpack it and give the folder",
            )
    return index.archive(plain, claim)


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed as a whole, with gzip, bzip2 or xz."""
    with path.open("rb") as stream:
        return stream.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"))


def decompressed(path: Path, progress: Progress | None = None) -> tuple[Path, Claim]:
    """A decompressed copy of a file, in the cache; made once as long as the file does not change. It is not removed as
    long as the claim is referenced.

    Raises:
        DataError: it expands to implausibly much.
        StoreError: the cache cannot be written.
    """
    status = path.stat()
    key = sha256(f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns}".encode("utf-8", "surrogateescape"))
    name, claim = f"archives/{key[:32]}", Claim()
    claim.add([name])
    target = cache_directory() / f"{name}.plain"
    if target.exists():
        return target, claim
    with suppress(StoreError):  # what the cache may have; a copy is needed in any case
        make_room(status.st_size)
    limit = most_expanded(status.st_size)
    (progress or Silent()).say(f"decompressing {path.name} into the cache (once)")
    with drafted(target) as draft:
        limit = min(limit, shutil.disk_usage(target.parent).free)
        with _decompressor(path) as stream:
            _copy(stream, draft, limit, path)
    return target, claim


def _decompressor(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        magic = stream.read(2)
    opened: Any = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}.get(magic, lzma.open)
    return cast(IO[bytes], opened(path, "rb"))


def _copy(stream: IO[bytes], out: Draft, limit: int, path: Path) -> None:
    done = 0
    while piece := stream.read(1 << 20):
        done += len(piece)
        if done > limit:
            raise DataError(
                f"{path.name} expands to more than {limit / 2**20:,.0f} MiB: it is a bomb, or the disk is too small",
                "unpack it and give the folder",
            )
        out.write(piece)


@dataclass(slots=True)
class _Index:
    path: Path
    members: dict[str, Member] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, name: str, folder: bool, member: Member) -> None:
        name = self._checked(name)
        if folder:
            self.folders.append(name)
            return
        if name in self.members:
            self.skipped.append(Skipped(name, "twice in the archive: the later one is read"))
        self.members[name] = member

    def archive(self, plain: Path, claim: Claim | None = None) -> Archive:
        if not self.members:
            raise DataError(f"{self.path.name} is empty", "expected images in it")
        return Archive(self.path, plain, self.members, tuple(self.folders), tuple(self.skipped), claim)

    def _checked(self, name: str) -> str:
        """A path with ``/`` and without ``./``; as an extracting program would write it, but within the archive."""
        path = name.replace("\\", "/")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/") or ".." in parts or (parts and parts[0][1:2] == ":"):
            raise DataError(
                f"{self.path.name} contains a file whose name leads out of it: {printable(name)[:80]}",
                "an archive of images has relative names; make it again with them",
            )
        return "/".join(part if is_encodable(part) else os.fsencode(part).decode("latin-1") for part in parts)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what zipfile, tarfile and the decompressors raise for a damaged file into a DataError."""
    try:
        yield
    except (
        OSError, EOFError, ValueError, OverflowError, NotImplementedError, struct.error, zlib.error, lzma.LZMAError,
        zipfile.BadZipFile, tarfile.TarError,
    ) as error:  # fmt: skip
        raise DataError(
            f"{path.name} cannot be read as an archive: {error}",
            "it is damaged or incomplete: copy or download it again",
        ) from error
