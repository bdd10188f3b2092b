"""Where the files that a table names are: as it spells them, or as they are on this disk."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlparse

from keensight.core.files import MISSING
from keensight.data.sources.file_index import stat_files
from keensight.data.sources.listing import Found
from keensight.data.sources.names import is_image_name, junk_reason, part_of
from keensight.data.sources.notices import Notices, count, listed
from keensight.data.sources.table_files import is_web_address
from keensight.errors import DataError

_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
RELATIVE = "paths are relative to the table's folder; move the table or correct the paths"
_LONGEST_WALK = 2_000_000
"""Files after which a search for names ends."""


@dataclass(frozen=True, slots=True)
class Located:
    """The files of a table's rows, below one folder."""

    base: Path
    files: list[Found]
    notices: Notices = Notices()


@dataclass(frozen=True, slots=True)
class _Match:
    """A file that a path may mean."""

    file: str
    """Relative to the searched folder."""
    folder: str
    """Of ``file``, what the path does not say."""
    length: int
    """Components at the end of both that are the same."""


def locate(root: Path, paths: Sequence[str], name: str, *, hint: str = RELATIVE) -> Located:
    """Find the files.

    Paths are relative to ``root`` or absolute. Where a file is not there, ``root`` is searched: for other capital
    letters, for a missing extension, and, if most files are not where the table says, for a folder that they are in.

    Args:
        root: The folder of the table.
        paths: As the table has them.
        name: The table's name, for messages; where two folders fit, one that is named like it is taken.
        hint: What relative paths start from, said where not one file exists.

    Raises:
        DataError: not one file exists, the paths are web addresses, or there are several files for them.
    """
    _refuse_web_addresses(paths, name)
    spelled = [_local(path) for path in paths]
    found = below_one_folder(root, spelled)
    missing = [i for i, file in enumerate(found.files) if file.error == MISSING]
    if not missing:
        return found
    corrected, notices = _search(_walk(root), spelled, missing, name)
    if not any(corrected) and len(missing) == len(paths):
        corrected, notices = _from_parents(root, spelled)
    if any(corrected):
        spelled = [new or path for new, path in zip(corrected, spelled, strict=True)]
        found = replace(below_one_folder(root, spelled), notices=notices)
    _refuse_all_missing(found, name, hint)
    return found


def _refuse_web_addresses(paths: Sequence[str], name: str) -> None:
    web = [path for path in paths if is_web_address(path)]
    if web:
        raise DataError(
            f"{count(len(web), 'path', 'paths')} of {name} are web addresses, such as {web[0]}",
            "download the images, and write the names of the files into the table",
        )


def _local(path: str) -> str:
    return unquote(urlparse(path).path) if path.lower().startswith("file:") else path


def below_one_folder(root: Path, paths: Sequence[str]) -> Located:
    """The files below the folder that contains them all, ``root`` where it does; one that is missing has its error."""
    base = os.path.abspath(root)  # noqa: PTH100 - keeps symbolic links, as Path.resolve would not
    full = [os.path.normpath(os.path.join(base, _spelling(base, path))) for path in paths]  # noqa: PTH118
    if not all(path.startswith(os.path.join(base, "")) for path in full):  # noqa: PTH118
        try:
            base = os.path.commonpath([base if p == base else os.path.dirname(p) for p in full])  # noqa: PTH120
        except ValueError as error:  # several drives of Windows
            raise DataError("the images are on different drives", "move them into one folder") from error
    skip = len(os.path.join(base, ""))  # noqa: PTH118
    return Located(Path(base), stat_files(Path(base), [path[skip:].replace(os.sep, "/") for path in full]))


def _spelling(base: str, path: str) -> str:
    """The way in which an existing file is spelled: tables made on Windows or macOS may differ from the disk."""
    if path.isascii() and "\\" not in path:
        return path
    spellings = [path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path), path.replace("\\", "/")]
    return next((p for p in spellings if os.path.lexists(os.path.join(base, p))), path)  # noqa: PTH118


def _refuse_all_missing(found: Located, name: str, hint: str) -> None:
    files = found.files
    if not files or not all(file.error == MISSING for file in files):
        return
    if not any(is_image_name(file.path) for file in files):
        hint = "the paths have no image extension such as .jpg, and no image has such a name without it"
    example = found.base / files[0].path
    raise DataError(f"not one of the {len(files)} files listed in {name} exists, such as {example}", hint)


def _from_parents(root: Path, paths: Sequence[str]) -> tuple[list[str | None], Notices]:
    """Paths that are relative to a folder above the table's."""
    for up in ("..", "../.."):
        found = [f"{up}/{path}" if os.path.lexists(root / up / path) else None for path in paths]
        if any(found):
            above = "the folder above" if up == ".." else "two folders above"
            return found, Notices(notes=(f"paths start from {above} that of the table",))
    return [None] * len(paths), Notices()


def match(files: Iterable[str], paths: Sequence[str], name: str) -> tuple[list[str | None], Notices]:
    """For each path of a table the one of ``files`` that it means, None where there is none; as :func:`locate`.

    Raises:
        DataError: there are files of these names in several folders.
    """
    return _search(files, paths, range(len(paths)), name)


def _search(
    files: Iterable[str], paths: Sequence[str], missing: Sequence[int], name: str
) -> tuple[list[str | None], Notices]:
    """For each of the paths that are missing the one of the files that it means, None for others."""
    loose = len(missing) > len(paths) / 2
    parts = [_components(paths[i]) for i in missing]
    foreign = loose and all(_ABSOLUTE.match(path) for path in paths)  # written on another machine
    head = _common_head([_components(path) for path in paths]) if foreign else 0
    index = _index(files)
    matches = [_matches(index, names, len(names) - head) for names in parts]
    if not loose:  # most files are where the table says, so the others are, too
        matches = [[match for match in found if not match.folder] for found in matches]
    folder = _usual_folder(matches, name)
    corrected: list[str | None] = [None] * len(paths)
    chosen: list[_Match] = []
    for i, found in zip(missing, matches, strict=True):
        best = _best(found, folder)
        if best is not None:
            corrected[i] = best.file
            chosen.append(best)
    return corrected, _notices([paths[i] for i in missing if corrected[i]], chosen)


def _components(path: str) -> list[str]:
    names = unicodedata.normalize("NFC", path).replace("\\", "/").casefold().split("/")
    return [part for part in names if part not in ("", ".", "..")]


def _common_head(paths: Sequence[list[str]]) -> int:
    """Folders with which all paths begin."""
    low, high = min(paths), max(paths)
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return max(0, min(shared, min(map(len, paths)) - 1))


def _index(files: Iterable[str]) -> dict[str, list[str]]:
    """The files by their names, with and without extension."""
    index: dict[str, list[str]] = defaultdict(list)
    for file in files:
        name = unicodedata.normalize("NFC", file.rpartition("/")[2]).casefold()
        index[name].append(file)
        index[os.path.splitext(name)[0]].append(file)  # noqa: PTH122 - a name, not a file
    return index


def _walk(root: Path) -> Iterator[str]:
    seen = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if junk_reason(name) is None)
        inside = os.path.relpath(folder, root).replace(os.sep, "/")
        seen += len(files)
        for name in sorted(files):
            if is_image_name(name) and junk_reason(name) is None:
                yield name if inside == "." else f"{inside}/{name}"
        if seen > _LONGEST_WALK:
            return


def _matches(index: Mapping[str, Sequence[str]], names: Sequence[str], least: int) -> list[_Match]:
    """The files whose paths end like this one by ``least`` components and more, and of those the most alike."""
    if not names:
        return []
    found = []
    for file in index.get(names[-1], ()):
        folders = file.split("/")[:-1]
        length = 1
        while length < min(len(names), len(folders) + 1) and _folded(folders[-length]) == names[-length - 1]:
            length += 1
        if length >= least:
            found.append(_Match(file, "/".join(folders[: len(folders) + 1 - length]), length))
    longest = max((match.length for match in found), default=0)
    return [match for match in found if match.length == longest]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _usual_folder(matches: Sequence[Sequence[_Match]], name: str) -> str | None:
    """The folder in which most of the files are; None: each file has its own place.

    Raises:
        DataError: several folders contain files of these names.
    """
    if not any(len({match.folder for match in found}) > 1 for found in matches):
        return None
    counts = Counter(folder for found in matches for folder in sorted({match.folder for match in found}))
    (first, most), (second, next_most) = counts.most_common(2)
    if next_most <= most / 2:
        return first
    part = part_of(name.split(".")[0].replace("-", "_").split("_")[0])
    named = [folder for folder in counts if part and part_of(folder.split("/")[-1]) == part]
    if len(named) == 1:
        return named[0]
    raise DataError(
        f"the files that {name} lists are in several folders: {first or '.'} ({most:,}) and {second or '.'} "
        f"({next_most:,})",
        "write the folder into the paths, or move the table into the folder with its images",
    )


def _best(found: Sequence[_Match], folder: str | None) -> _Match | None:
    inside = [match for match in found if match.folder == folder] if len(found) > 1 else found
    exact = [match for match in inside if not match.folder] or inside
    return exact[0] if len(exact) == 1 else None


def _notices(paths: Sequence[str], chosen: Sequence[_Match]) -> Notices:
    if not chosen:
        return Notices()
    ways: Counter[str] = Counter()
    for path, match in zip(paths, chosen, strict=True):
        last = path.replace("\\", "/").rpartition("/")[2]
        held = match.file.rpartition("/")[2]
        if os.path.splitext(held)[0].casefold() == last.casefold() and held.casefold() != last.casefold():  # noqa: PTH122
            ways["without extension"] += 1
        elif held != last:
            ways["in other capital letters"] += 1
    notes = [f"{count(n, 'path', 'paths')} written {way}" for way, n in ways.items()]
    folders = Counter(match.folder for match in chosen if match.folder)
    if folders:
        notes.append(f"images found in {listed((f'{folder}/' for folder, _ in folders.most_common()), 4)}")
    return Notices(notes=tuple(notes))
