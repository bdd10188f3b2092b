"""Build the image sets of ``sources.json`` in a cache: folders of images with a table of labels and splits.

    python benchmarks/wide/sets.py [NAME ...] [--half chosen|shown] [--kind WORD] [--mirror FOLDER] [--out FOLDER]

Each set is taken from one commit of a public repository, which git fetches, and must give the table whose SHA-256 is
in ``sources.json``. NAME/metadata.csv has path, label, split and, where there are any, group and mask; the images lie
in NAME/{train,val,test}/CLASS. Read the license of each set in ``sources.json`` before using it for anything else.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import draws
from draws import GOOD, Picture, Pictures
from image_sources import LabelFile, Rule, Source, fill, pick
from PIL import Image, ImageChops
from repository import Repository, fetched, mirrored

FIELDS = ("path", "label", "split", "group", "mask")
DARK = 20
"""Masks are stored as JPEG by some authors: values up to this are background."""

Row = dict[str, str]


def cache() -> Path:
    """``$KEENSIGHT_WIDE``, else a folder in the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("KEENSIGHT_WIDE") or base / "keensight" / "wide")


def digest(rows: list[Row]) -> str:
    """SHA-256 of path, label, split and group of each image."""
    lines = (",".join(row[field] for field in FIELDS[:4]) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def build(source: Source, repository: Repository, out: Path) -> list[Row]:
    """Write the set to ``out/NAME``, in place of an older one; returns the rows of its table."""
    root = out / source.name
    shutil.rmtree(root, ignore_errors=True)
    pictures = draws.divided(repository, source, _labeled(source, repository))
    files: dict[str, str] = {}
    used: set[str] = set()
    rows = []
    for picture in sorted(pictures, key=lambda picture: picture.path):
        data = repository.read(picture.path)
        size = _size(data)
        if size is None:
            continue
        files[picture.path] = file = _file(picture, used)
        used.add(file.lower())
        _write(root / file, data)
        mask = _mask(picture, repository, size, root) if picture.mask else ""
        rows.append(
            {"path": file, "label": picture.label, "split": picture.split, "group": picture.group, "mask": mask}
        )
    _table(root / "metadata.csv", rows)
    if any(picture.copy for picture in pictures):
        leaky = draws.leaking(source, pictures)
        leaky_rows = [{"path": files[one.path], "label": one.label, "split": one.split} for one in leaky]
        _table(root / "metadata_leaky.csv", leaky_rows)
    return rows


def is_built(source: Source, out: Path) -> bool:
    """Whether the set lies in ``out``, with the table that it should have."""
    try:
        with (out / source.name / "metadata.csv").open(encoding="utf-8", newline="") as stream:
            return digest([{"group": "", **row} for row in csv.DictReader(stream)]) == source.digest
    except FileNotFoundError:
        return False


def ensure(source: Source, out: Path, mirror: Path | None = None) -> Path:
    """The table of a set, built unless it is there.

    Raises:
        SystemExit: the table is another one than ``sources.json`` says.
    """
    if not is_built(source, out):
        if mirror:
            folder = mirrored(source.repository, mirror)
        else:
            folder = fetched(source.repository, source.commit, out / "repositories")
        with Repository(folder, source.commit) as repository:
            found = digest(build(source, repository, out))
        if found != source.digest:
            raise SystemExit(f"{source.name} has the digest {found}, not {source.digest}: a file or Pillow differs")
    return out / source.name / "metadata.csv"


def _labeled(source: Source, repository: Repository) -> Pictures:
    """The pictures that the rules find, with labels and groups, without exact copies, drawn if there are many."""
    pictures = list(_found(source, repository))
    pictures.sort(key=lambda picture: picture.path)
    if source.classes:
        pictures = draws.some_classes(pictures, source.classes, source.name)
    pictures = draws.distinct(repository, pictures)
    if source.most:
        pictures = draws.some(pictures, source.most, source.floor, source.name)
    if source.series:
        draws.group_series(pictures, source.series, source.gap)
    if source.people:
        draws.group_people(pictures)
    return pictures


def _found(source: Source, repository: Repository) -> Iterator[Picture]:
    read: dict[str, dict[str, str]] = {}
    for rule in source.rules:
        for path in _paths(rule, repository):
            match = rule.pattern.match(path.split("!", 1)[-1])
            if not match:
                continue
            fields = dict(match.groupdict())
            if source.label_file:
                fields["label"] = _label_in_file(source.label_file, repository, fields, read)
            if source.label_by_mask:
                mask = Image.open(io.BytesIO(repository.read(fill(rule.mask, fields)))).convert("L")
                fields["label"] = source.label_by_mask if mask.getextrema()[1] else GOOD
            picture = _picture(source, rule, path, fields)
            if picture.label not in source.without:
                yield _named(source, repository, picture)


def _paths(rule: Rule, repository: Repository) -> list[str]:
    if rule.archive:
        archives = (path for path in sorted(repository.hashes) if rule.archive.match(path))
        return [name for archive in archives for name in repository.names(archive)]
    return repository.present(sorted(path for path in repository.hashes if rule.pattern.match(path)))


def _label_in_file(where: LabelFile, repository: Repository, fields: Row, read: dict[str, dict[str, str]]) -> str:
    path = fill(where.path, fields)
    if path not in read:
        matches = re.finditer(where.pattern, repository.read(path).decode("utf-8", "replace"))
        read[path] = {
            match.groupdict().get("key", str(number)).lstrip("0"): where.form.format(match["label"])
            for number, match in enumerate(matches, where.first)
        }
    return read[path][fields["name"].lstrip("0")]


def _picture(source: Source, rule: Rule, path: str, fields: Row) -> Picture:
    label = fill(rule.label, fields)
    fields["label"] = label
    split = rule.split or fields.get(source.division.field, "")
    return Picture(
        path,
        fields,
        label=label,
        group=fill(rule.group, fields) if rule.group else fields.get("group", ""),
        split=(source.division.names or {}).get(split, split),
        mask=fill(rule.mask, fields) if rule.mask else "",
        copy=rule.copies,
    )


def _named(source: Source, repository: Repository, picture: Picture) -> Picture:
    """The picture with the label that the set uses, and with its mask only if it shows a defect that has one."""
    picture.label = (source.labels or {}).get(picture.label, picture.label)
    if picture.label == GOOD or picture.mask not in repository.hashes:
        picture.mask = ""
    return picture


def _size(data: bytes) -> tuple[int, int] | None:
    """Width and height; None: the file is no image, such as a pointer to one that is stored elsewhere."""
    try:
        return Image.open(io.BytesIO(data)).size
    except OSError:
        return None


def _plain(text: str) -> str:
    return re.sub(r"[^\w.()+-]+", "_", text)


def _file(picture: Picture, used: set[str]) -> str:
    """Where the image goes: by its own name, after its folders' names where that is taken."""
    folder = f"{picture.split}/{_plain(picture.label)}"
    name = _plain(picture.path.split("!")[-1].rsplit("/", 1)[-1])
    for above in range(2, 9):
        if f"{folder}/{name}".lower() not in used:
            break
        name = _plain("_".join(picture.path.split("/")[-above:]))
    return f"{folder}/{name}"


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _mask(picture: Picture, repository: Repository, size: tuple[int, int], root: Path) -> str:
    """Write the mask as 0 and 255 in the image's size; returns its path in the set."""
    given = Image.open(io.BytesIO(repository.read(picture.mask)))
    if given.mode == "P":
        given.info.pop("transparency", None)
    red, green, blue = given.convert("RGB").split()
    brightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    mask = brightest.point(lambda value: 255 * (value > DARK))
    name = Path(_plain(picture.path.rsplit("/", 1)[-1])).stem
    path = f"ground_truth/{_plain(picture.label)}/{name}_mask.png"
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (mask if mask.size == size else mask.resize(size, Image.Resampling.NEAREST)).save(root / path)
    return path


def _table(path: Path, rows: list[Row]) -> None:
    """Write the columns that have values."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        fields = [field for field in FIELDS if any(row.get(field) for row in rows)]
        table = csv.DictWriter(stream, fields, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that say which sets, and where they lie."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all sets")
    parser.add_argument("--half", choices=("chosen", "shown"))
    parser.add_argument("--kind", help="only sets whose kind contains this word")
    parser.add_argument("--mirror", type=Path, help="folder of git directories OWNER+NAME; default: fetch with git")
    parser.add_argument("--out", type=Path, default=cache(), help="where the sets lie; default: %(default)s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    arguments = parser.parse_args()
    for source in pick(arguments.names, arguments.half, arguments.kind):
        table = ensure(source, arguments.out, arguments.mirror)
        print(f"{source.name}: {source.images:,} images, {table}", flush=True)


if __name__ == "__main__":
    main()
