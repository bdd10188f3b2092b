"""Text tables as people have them: encoding, delimiter and cells, found from the file itself."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig", "UTF-8"),
    (b"\xff\xfe\0\0", "utf-32", "UTF-32"),
    (b"\0\0\xfe\xff", "utf-32", "UTF-32"),
    (b"\xff\xfe", "utf-16", "UTF-16"),
    (b"\xfe\xff", "utf-16", "UTF-16"),
)
"""Byte order marks, with the codec and its name for people."""
_BINARY = re.compile("[\x00-\x08\x0e-\x1f]")
_DELIMITERS = (",", "\t", ";", "|")
_EXAMINED = 200_000
"""Characters in which the delimiter is looked for."""
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar", " ": "spaces"}
"""The delimiters, in words."""

PathLike = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class TextTable:
    """The cells of a text table, without blank lines; spaces around a cell are removed."""

    rows: list[list[str]]
    lines: list[int]
    """The line of the file on which each row ends, counted from 1."""
    encoding: str
    delimiter: str


def read_cells(data: bytes, looks_like_path: PathLike | None = None, delimiter: str | None = None) -> TextTable:
    """Decode a text table and split it into cells.

    Args:
        data: The file's bytes.
        looks_like_path: Whether a cell is the path of an image; tells delimiters apart, and paths with spaces.
        delimiter: The delimiter, where it is known.

    Raises:
        ValueError: it is not text, or a quotation mark is not closed.
    """
    text, encoding = decode(data)
    named = re.match(r"sep=([,;|\t])\r?\n", text, re.IGNORECASE)  # as Excel writes it
    if named:
        text, delimiter = text[named.end() :], named[1]
    chosen = delimiter or _delimiter(_beginning(text), looks_like_path)
    if chosen == " " and looks_like_path:
        listed = _listed(text, looks_like_path)
        if listed is not None:
            return TextTable(*listed, encoding, chosen)
    rows, lines = _parse(text, chosen)
    shift = 1 if named else 0
    return TextTable(rows, [line + shift for line in lines], encoding, chosen)


def decode(data: bytes) -> tuple[str, str]:
    """Text and the name of its encoding: UTF-8, UTF-16, UTF-32, or Windows-1252 where it cannot be one of these.

    Raises:
        ValueError: it is not text.
    """
    text, name = _decoded(data)
    if _BINARY.search(text):
        raise ValueError("it is not a text file")
    return text, name


def _decoded(data: bytes) -> tuple[str, str]:
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            return data.decode(codec), name
    head = data[:4096]
    for codec, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if zeros and zeros.count(0) > 0.4 * len(zeros):
            return data.decode(codec), "UTF-16"
    try:
        return data.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        lenient = data.decode("utf-8", "replace")
    damaged = lenient.count("\ufffd")
    if sum(not character.isascii() for character in lenient) > 2 * damaged:
        return lenient, f"UTF-8 with damaged characters ({damaged:,})"
    try:
        return data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:  # it leaves five bytes undefined
        return data.decode("latin-1"), "Latin-1"


def _beginning(text: str) -> str:
    if len(text) <= _EXAMINED:
        return text
    head = text[:_EXAMINED]
    return head[: max(head.rfind("\n"), head.rfind("\r")) + 1] or text


def _delimiter(text: str, looks_like_path: PathLike | None) -> str:
    """The delimiter that gives the most regular cells, the header and paths first."""
    found = [(score, delimiter) for delimiter in _DELIMITERS if (score := _score(text, delimiter, looks_like_path))]
    listed = _listed(text, looks_like_path) if looks_like_path else None
    if listed is not None:
        found.append(((1.0, True, 1.0, max(map(len, listed[0]))), " "))
    if not found and (score := _score(text, " ", looks_like_path)) and score[2] == 1:
        return " "
    return max(found, key=lambda one: one[0])[1] if found else ","


def _score(text: str, delimiter: str, looks_like_path: PathLike | None) -> tuple[float, bool, float, int] | None:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        rows = [row for row in map(_trimmed, reader) if row]
    except csv.Error:  # a cell without end
        return None
    sizes = Counter(map(len, rows))
    if not rows or max(sizes) < 2:
        return None
    usual = sizes.most_common(1)[0][0]
    if len(rows[0]) < 2 and usual < 2:
        return None
    paths = sum(any(map(looks_like_path, row)) for row in rows) / len(rows) if looks_like_path else 0.0
    return round(paths, 1), len(rows[0]) in (usual, usual - 1) and len(rows[0]) > 1, sizes[usual] / len(rows), usual


def _trimmed(row: Sequence[str]) -> list[str]:
    """A row without empty cells at its end: some programs end each line with a delimiter."""
    cells = [cell.strip() for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _parse(text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    try:
        return _numbered(text, delimiter, strict=True)
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise ValueError("a quotation mark is not closed") from error
    try:
        return _numbered(text, delimiter, strict=False)
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _numbered(text: str, delimiter: str, *, strict: bool) -> tuple[list[list[str]], list[int]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=strict)
    rows: list[list[str]] = []
    lines: list[int] = []
    for row in reader:
        cells = _trimmed(row)
        if cells:
            rows.append(cells)
            lines.append(reader.line_num)
    return rows, lines


def _listed(text: str, looks_like_path: PathLike) -> tuple[list[list[str]], list[int]] | None:
    """Lines of a path, which may contain spaces, and what belongs to it; None: some line is not such."""
    rows: list[list[str]] = []
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        cells = _path_and_rest(line.split(), looks_like_path)
        if cells is None:
            return None
        rows.append(cells)
        lines.append(number)
    if len({len(row) for row in rows}) > 1:  # class names with spaces
        rows = [[row[0], " ".join(row[1:])] for row in rows]
    return (rows, lines) if rows else None


def _path_and_rest(words: Sequence[str], looks_like_path: PathLike) -> list[str] | None:
    end = next((i for i, word in enumerate(words) if looks_like_path(word)), None)
    if end is None or end + 1 == len(words):
        return None
    return [" ".join(words[: end + 1]), *words[end + 1 :]]
