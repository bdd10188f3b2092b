"""Readers of what other people made, for fuzzing: valid files as seeds, their mutations, and what reads each.

``tests/hostile/test_fuzz.py`` tries some inputs of each reader, ``benchmarks/fuzz.py`` as many as there is time for. An
input is made by a target's name and a number alone, so that a fault can be made again.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from archive_builders import class_folders, image_examples, web_samples, write_records, write_tar, write_zip
from keensight.core.config import RunConfig, read_config
from keensight.core.decode_limits import reasons
from keensight.core.labels import read_corrections
from keensight.core.pixels import cutout, decode, levels, probe
from keensight.core.records import ImageSpec, LabelSet, Sample
from keensight.data.sources.containers.tfrecord import _masked
from keensight.data.sources.readers import open_source
from keensight.errors import KeensightError

GOLDEN = Path(__file__).parent / "golden"
SPEC = ImageSpec(24, 32)


@dataclass(frozen=True)
class Target:
    """A reader."""

    name: str
    seeds: Callable[[Path], Sequence[Path]]
    """Writes valid files into an empty folder; returns those that are mutated. Others beside them stay as they are."""
    read: Callable[[Path], object]
    """Reads a file; a KeensightError is a refusal."""
    tokens: tuple[bytes, ...] = ()
    """Words of the format."""


NASTY: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**400,
    1e308,
    -1e-320,
    0.5,
    "",
    " ",
    "\x00",
    "\ud800",
    "../../x",
    "/etc/passwd",
    "=1+1",
    "a" * 5000,
    [],
    [[]],
    {},
    {"": None},
    [0] * 100,
)
WORDS = (
    b"\0" * 8,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\xff\xff\xff\x7f",
    b"%s%n",
    b"../../x",
    b"\\..\\x",
    b"\r\n",
    b'"',
    b"'",
    b"[" * 3000,
    b"{" * 3000,
    b"1e999",
    b"NaN",
    b"-0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"PK\3\4",
    b"\x1f\x8b\x08",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"\x93NUMPY",
)
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 100_000, 0x01000000)


def mutated(seeds: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    """One of some files after one to six random changes."""
    data = bytearray(rng.choice(seeds))
    if rng.random() < 0.5 and (structured := _changed_json(bytes(data), rng)) is not None:
        return structured
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        rng.choice(_CHANGES)(data, rng, seeds, (*tokens, *WORDS))
    return bytes(data[: 1 << 22])


def _changed_json(data: bytes, rng: random.Random) -> bytes | None:
    """A JSON document in which one value is replaced or one key removed; None: the file is none."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    places = list(_places(document))
    if not places:
        return None
    holder, key = rng.choice(places)
    if isinstance(holder, dict) and rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = rng.choice(NASTY) if rng.random() < 0.8 else [holder[key]]
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _member_changed(data: bytes, tokens: Sequence[bytes], rng: random.Random) -> bytes | None:
    """For every other zip file: one with a changed member, and checksums that fit; None: to be changed as a whole."""
    if data[:4] != b"PK\3\4" or rng.random() < 0.5:
        return None
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        chosen = rng.randrange(len(old.infolist()))
        for place, member in enumerate(old.infolist()):
            content = old.read(member)
            new.writestr(member, mutated([content], tokens, rng) if place == chosen else content)
    return stream.getvalue()


def _mended(data: bytes, rng: random.Random) -> bytes:
    """The checksums of every other PNG, tar and TFRecord set right: a reader that checks them sees nothing else."""
    if rng.random() < 0.5:
        return data
    if data[:4] == b"\x89PNG":
        return _mended_png(data)
    return _mended_tar(data) if data[257:262] == b"ustar" else _mended_records(data)


def _mended_png(data: bytes) -> bytes:
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        parts.append(data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join([*parts, data[at:]])


def _mended_tar(data: bytes) -> bytes:
    blocks = bytearray(data)
    for at in range(0, len(blocks) - 511, 512):
        if blocks[at + 257 : at + 262] == b"ustar":
            blocks[at + 148 : at + 156] = b" " * 8
            blocks[at + 148 : at + 156] = b"%06o\0 " % sum(blocks[at : at + 512])
    return bytes(blocks)


def _mended_records(data: bytes) -> bytes:
    parts, at = [], 0
    while at + 16 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        if length > len(data) - at - 16:
            break
        head, body = data[at : at + 8], data[at + 12 : at + 12 + length]
        parts.append(head + struct.pack("<I", _masked(head)) + body + struct.pack("<I", _masked(body)))
        at += 16 + length
    return b"".join([*parts, data[at:]])


Change = Callable[[bytearray, random.Random, Sequence[bytes], Sequence[bytes]], None]


def _place(data: bytearray, rng: random.Random) -> int:
    """A position; headers, where most rules are, twice as often."""
    return rng.randrange(min(len(data), 128) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytearray, rng: random.Random, *_: Any) -> None:
    for _ in range(rng.choice((1, 1, 4, 16)) if data else 0):
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _cut(data: bytearray, rng: random.Random, *_: Any) -> None:
    del data[_place(data, rng) :]


def _remove(data: bytearray, rng: random.Random, *_: Any) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 2, 4, 100))]


def _repeat(data: bytearray, rng: random.Random, *_: Any) -> None:
    at = _place(data, rng)
    data[at:at] = data[at : at + rng.choice((1, 8, 512))] * rng.choice((1, 2, 50))


def _splice(data: bytearray, rng: random.Random, seeds: Sequence[bytes], *_: Any) -> None:
    other = rng.choice(seeds)
    at = rng.randrange(len(other)) if other else 0
    data[_place(data, rng) :] = other[at:]


def _insert(data: bytearray, rng: random.Random, _: Any, tokens: Sequence[bytes]) -> None:
    at = _place(data, rng)
    token = rng.choice(tokens)
    data[at : at + (len(token) if rng.random() < 0.5 else 0)] = token


def _number(data: bytearray, rng: random.Random, *_: Any) -> None:
    at, (letter, size) = _place(data, rng), rng.choice((("B", 1), ("H", 2), ("I", 4), ("Q", 8)))
    value = rng.choice(NUMBERS) & (256**size - 1)
    data[at : at + size] = struct.pack(rng.choice("<>") + letter, value)


_CHANGES: tuple[Change, ...] = (_flip, _flip, _cut, _remove, _repeat, _splice, _insert, _insert, _number, _number)


class Session:
    """The inputs of one target, in a folder of its own."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target = target
        self._folder = folder / "seeds"
        self._folder.mkdir(parents=True)
        self._work = folder / "work"
        self._files = [path.relative_to(self._folder) for path in target.seeds(self._folder)]
        self._content = {path: (self._folder / path).read_bytes() for path in self._files}

    def __len__(self) -> int:
        return len(self._files)

    def contents(self) -> list[bytes]:
        """The seeds."""
        return [self._content[path] for path in self._files]

    def read_content(self, place: int, content: bytes) -> None:
        """Read one of the files (its number counts modulo theirs) with another content."""
        path = self._files[place % len(self._files)]
        if not self._work.exists():
            shutil.copytree(self._folder, self._work)
        (self._work / path).write_bytes(content)
        try:
            self.target.read(self._work / path)
        finally:
            (self._work / path).write_bytes(self._content[path])

    def read(self, number: int) -> str:
        """Make and read one input; number -1, -2 and so on are the seeds.

        Returns:
            ``read`` or ``refused``.
        """
        rng = random.Random(f"{self.target.name} {number}")
        path = self._files[-number - 1] if number < 0 else rng.choice(self._files)
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._folder, self._work)
        if number >= 0:
            alike = [data for other, data in self._content.items() if other.suffix == path.suffix]
            data = _member_changed(self._content[path], self.target.tokens, rng)
            if data is None:
                data = _mended(mutated([self._content[path], *alike], self.target.tokens, rng), rng)
            (self._work / path).write_bytes(data)
        try:
            self.target.read(self._work / path)
        except KeensightError as error:
            if not error.message.strip():
                raise AssertionError("a refusal without a reason") from error
            return "refused"
        return "read"


# Images


def _pillow(format: str, mode: str = "RGB", size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8)
    image = Image.fromarray(pixels, "RGBA") if mode == "RGBA" else Image.fromarray(pixels[..., :3]).convert(mode)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200)
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def _files(root: Path, files: dict[str, bytes]) -> list[Path]:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return [root / name for name in files]


def jpeg(root: Path) -> list[Path]:
    exif = Image.Exif()
    exif[274] = 6
    return _files(
        root,
        {
            "plain.jpg": _pillow("JPEG"),
            "progressive.jpg": _pillow("JPEG", progressive=True, exif=exif),
            "gray.jpg": _pillow("JPEG", "L", comment=b"a comment"),
            "cmyk.jpg": _pillow("JPEG", "CMYK"),
        },
    )


def png(root: Path) -> list[Path]:
    return _files(
        root,
        {
            "plain.png": _pillow("PNG"),
            "palette.png": _pillow("PNG", "P"),
            "alpha.png": _pillow("PNG", "RGBA"),
            "deep.png": _pillow("PNG", "I;16"),
            "bits.png": _pillow("PNG", "1"),
        },
    )


def tiff(root: Path) -> list[Path]:
    return _files(
        root,
        {
            "plain.tif": _pillow("TIFF"),
            "lzw.tif": _pillow("TIFF", compression="tiff_lzw"),
            "deflate.tif": _pillow("TIFF", "L", compression="tiff_deflate"),
            "deep.tif": _pillow("TIFF", "I;16"),
            "float.tif": _pillow("TIFF", "F"),
            "jpeg.tif": _pillow("TIFF", compression="jpeg"),
            "bits.tif": _pillow("TIFF", "1", compression="group4"),
            "packed.tif": _pillow("TIFF", compression="packbits"),
        },
    )


def other_images(root: Path) -> list[Path]:
    frames = [Image.new("P", (20, 20), i) for i in range(3)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    found = {
        "plain.bmp": _pillow("BMP"),
        "palette.bmp": _pillow("BMP", "P"),
        "a.gif": stream.getvalue(),
        "lossy.webp": _pillow("WEBP"),
        "lossless.webp": _pillow("WEBP", "RGBA", lossless=True),
        "a.ppm": _pillow("PPM"),
        "a.pgm": _pillow("PPM", "L"),
        "a.ico": _pillow("ICO", "RGBA", (32, 32)),
        "a.tga": _pillow("TGA"),
        "a.jp2": _pillow("JPEG2000"),
        "a.avif": _pillow("AVIF"),
    }
    return _files(root, found)


def images_of_extras(root: Path) -> list[Path]:
    import imagecodecs

    from sources.cases_formats import HEIC

    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    return _files(root, {"a.heic": HEIC, "a.jxl": imagecodecs.jpegxl_encode(pixels)})


def dicom(root: Path) -> list[Path]:
    import imagecodecs

    from dicom_builders import written

    deep = np.random.default_rng(0).integers(0, 4096, (30, 40)).astype(np.uint16)
    color = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    return _files(
        root,
        {
            "deep.dcm": written(deep, BitsStored=12, WindowCenter=2000, WindowWidth=1500, PatientID="7"),
            "color.dcm": written(color),
            "big.dcm": written(deep, "1.2.840.10008.1.2.2"),
            "implicit.dcm": written(deep, "1.2.840.10008.1.2"),
            "jpeg.dcm": written(color, "1.2.840.10008.1.2.4.50", imagecodecs.jpeg8_encode(color)),
            "jp2.dcm": written(deep, "1.2.840.10008.1.2.4.90", imagecodecs.jpeg2k_encode(deep)),
        },
    )


def read_image(path: Path) -> None:
    data = path.read_bytes()
    probe(data)
    decode(data, SPEC)
    levels(data)
    cutout(data, 8)


def read_patient(path: Path) -> None:
    from keensight.core.dicom import patient

    with reasons("DICOM"):
        patient(path.read_bytes())
    read_image(path)


# Sources of images


def _classes(root: Path) -> None:
    for name, data in class_folders("").items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def tables(root: Path) -> list[Path]:
    import openpyxl
    import pandas as pd

    _classes(root)
    paths = list(class_folders(""))
    frame = pd.DataFrame({"path": paths, "label": [path.split("/")[0] for path in paths], "age": range(len(paths))})
    frame.to_csv(root / "a.csv", index=False)
    frame.to_csv(root / "b.tsv", sep="\t", index=False)
    frame.to_csv(root / "c.csv", sep=";", index=False, encoding="utf-16")
    frame.to_json(root / "d.jsonl", orient="records", lines=True)
    frame.to_json(root / "e.json", orient="records")
    frame.to_parquet(root / "f.parquet")
    (root / "g.csv.gz").write_bytes(gzip.compress((root / "a.csv").read_bytes(), mtime=0))
    (root / "h.txt").write_text("".join(f"{path} {path.split('/')[0]}\n" for path in paths))
    book = openpyxl.Workbook()
    for row in [list(frame), *frame.itertuples(index=False)]:
        book.active.append(list(row))
    book.save(root / "i.xlsx")
    frame.assign(label=[f"['{label}', 'x']" for label in frame["label"]]).to_csv(root / "j.csv", index=False)
    return [path for path in sorted(root.iterdir()) if path.is_file()]


def annotations(root: Path) -> list[Path]:
    """Boxes of YOLO, COCO and Pascal VOC beside images."""
    _classes(root / "coco")
    names = list(class_folders(""))
    document = {
        "images": [{"id": i, "file_name": name, "width": 5, "height": 6} for i, name in enumerate(names)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [0, 0, 1, 1]} for i in range(12)],
    }
    made = _files(root, {"coco/instances.json": json.dumps(document).encode()})
    voc = {
        f"voc/{i}.xml": f"<annotation><object><name>{name[:3]}</name></object></annotation>".encode()
        for i, name in enumerate(names)
    }
    _files(root, {f"voc/{i}.png": data for i, data in enumerate(class_folders("").values())})
    _files(root, {f"yolo/images/{i}.png": data for i, data in enumerate(class_folders("").values())})
    yolo = {f"yolo/labels/{i}.txt": f"{i % 2} 0.5 0.5 0.1 0.1\n".encode() for i in range(12)}
    return [*made, *_files(root, {**voc, **yolo, "yolo/data.yaml": b"names: [cat, dog]\n"})]


def read_annotations(path: Path) -> None:
    work = next(parent for parent in path.parents if parent.name == "work")
    open_source(work / path.relative_to(work).parts[0])


def archives(root: Path) -> list[Path]:
    files = {**class_folders(), "photos/labels.csv": b"path,label\ncat/0.png,cat\n"}
    write_zip(root / "a.zip", files)
    write_zip(root / "b.zip", class_folders(""), method=0)
    write_tar(root / "c.tar", files)
    write_tar(root / "d.tar.gz", files, "w:gz")
    write_tar(root / "e.tar.xz", class_folders(), "w:xz")
    write_tar(root / "f.tar.bz2", class_folders(), "w:bz2")
    return sorted(root.iterdir())


def records(root: Path) -> list[Path]:
    write_records(root / "a.tfrecord", image_examples())
    write_tar(root / "b.tar", web_samples())
    write_tar(root / "c.tar", web_samples("json"))
    return sorted(root.iterdir())


def embedded(root: Path) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": data, "path": name} for name, data in class_folders("").items()]
    pq.write_table(pa.table({"image": images, "label": [i % 2 for i in range(12)]}), root / "a.parquet")
    return [root / "a.parquet"]


def idx(root: Path) -> list[Path]:
    images = np.random.default_rng(0).integers(0, 256, (12, 6, 5), np.uint8)
    head = struct.pack(">HBB3I", 0, 8, 3, *images.shape)
    labels = struct.pack(">HBBI", 0, 8, 1, 12) + bytes(i % 2 for i in range(12))
    return _files(
        root,
        {
            "train-images-idx3-ubyte": head + images.tobytes(),
            "train-labels-idx1-ubyte": labels,
            "t10k-images-idx3-ubyte.gz": gzip.compress(head + images[::-1].tobytes(), mtime=0),
            "t10k-labels-idx1-ubyte.gz": gzip.compress(labels, mtime=0),
        },
    )


def arrays(root: Path) -> list[Path]:
    images = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), np.uint8)
    labels = np.arange(12) % 2
    np.savez(root / "a.npz", x_train=images, y_train=labels)
    np.savez_compressed(root / "b.npz", images=images, labels=labels, class_names=np.array(["cat", "dog"]))
    return [root / "a.npz", root / "b.npz"]


def npy(root: Path) -> list[Path]:
    images = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), np.uint8)
    np.save(root / "images.npy", images)
    np.save(root / "labels.npy", np.arange(12) % 2)
    return sorted(root.iterdir())


def hdf5(root: Path) -> list[Path]:
    import h5py

    images = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), np.uint8)
    with h5py.File(root / "a.h5", "w") as file:
        file["images"], file["labels"] = images, np.arange(12) % 2
    with h5py.File(root / "b.h5", "w") as file:
        file.create_dataset("x", data=images, compression="gzip")
        file["y"] = [b"cat", b"dog"] * 6
    return sorted(root.iterdir())


def read_folder(path: Path) -> None:
    open_source(path.parent)


# What Keensight wrote


def manifests(root: Path) -> list[Path]:
    return _files(root, {f"{n}/manifest.json": (GOLDEN / f"schema{n}/manifest.json").read_bytes() for n in range(1, 7)})


def read_manifest(path: Path) -> None:
    from keensight.core.verification import contract_digest
    from keensight.store.manifest import read_manifest as read
    from keensight.store.model_card import model_card

    found = read(path)
    contract_digest(found)
    model_card(found)


def runs(root: Path) -> list[Path]:
    for name in ("schema1", "run2", "run3", "run4"):
        shutil.copytree(GOLDEN / name, root / name)
    (root / "schema1" / "manifest.json").unlink()
    shutil.copy(GOLDEN / "dataset1" / "whole.parquet", root / "run4" / "dataset.parquet")
    return sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".txt")


def read_run(path: Path) -> None:
    from keensight.store.run import open_run

    work = next(parent for parent in path.parents if parent.name == "work")
    run = open_run(work / path.relative_to(work).parts[0])
    repr(run)
    for name in ("audit", "split", "history", "evaluation", "predictions", "label_suspects", "slices"):
        getattr(run, name)
    run.learned_digests()
    if (run.path / "dataset.parquet").is_file():
        _ = run.dataset


def exports(root: Path) -> list[Path]:
    shutil.copytree(GOLDEN / "export1", root / "export1")
    return [root / "export1" / "export.json"]


def read_export(path: Path) -> None:
    from keensight.core.exports import digest_of
    from keensight.store.export import read_export as read

    try:
        plain = json.loads(path.read_bytes())
        path.write_text(json.dumps({**plain, "digest": digest_of(plain)}))  # as a forger would
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    read(path.parent)


def configs(root: Path) -> list[Path]:
    whole = RunConfig().to_toml()
    some = '[train]\nepochs = 5\nfrozen = 3\nlearning_rate = 1e-3\n[data]\ncorrections = "a.csv"\nlabels = ["a", "b"]\n'
    return _files(root, {"whole.toml": whole.encode(), "some.toml": some.encode()})


def read_settings(path: Path) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        RunConfig().with_values(read_config(path))


def bundle_arrays(root: Path) -> list[Path]:
    names = {
        "schema6/exam.npz": "exam.npz",
        "schema2/prototypes.npz": "prototypes.npz",
        "schema3/subspace.npz": "subspace.npz",
        "schema4/learned.npz": "learned.npz",
        "schema6/reference.npz": "reference.npz",
    }
    return _files(root, {name: (GOLDEN / place).read_bytes() for place, name in names.items()})


def read_bundle_array(path: Path) -> None:
    from keensight.store import npz

    readers: dict[str, Callable[[Path], object]] = {
        "exam": lambda path: npz.read_self_test(path, 3),
        "prototypes": lambda path: npz.read_prototypes(path, 3),
        "subspace": npz.read_subspace,
        "learned": npz.read_learned,
        "reference": lambda path: npz.read_reference(path, 3),
    }
    readers[path.stem](path)


def models(root: Path) -> list[Path]:
    from store_builders import CONFIG, write_model

    write_model(root / "a.keras")
    return [*_files(root, {"config.json": json.dumps(CONFIG).encode()}), root / "a.keras"]


def read_model(path: Path) -> None:
    from keensight.store.safety import check_model

    if path.name == "config.json":
        config, path = path.read_bytes(), path.with_name("b.keras")
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in (("metadata.json", b"{}"), ("config.json", config), ("model.weights.h5", b"x" * 1000)):
                archive.writestr(name, data)
    check_model(path)


def weights(root: Path) -> list[Path]:
    import pickle
    from collections import OrderedDict

    class Stored(pickle.Pickler):
        """Writes tensors as PyTorch does, without PyTorch."""

        def persistent_id(self, value: Any) -> Any:
            return ("storage", _FLOAT, "0", "cpu", 6) if value is _STORAGE else None

    stream = io.BytesIO()
    Stored(stream, 2).dump(OrderedDict(weight=_Tensor()))
    text = stream.getvalue()
    for ours, theirs in (
        (b"cfuzz_targets\n_rebuild\n", b"ctorch._utils\n_rebuild_tensor_v2\n"),
        (b"cfuzz_targets\n_Float\n", b"ctorch\nFloatStorage\n"),
    ):
        text = text.replace(ours, theirs)
    with zipfile.ZipFile(root / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", text)
        archive.writestr("a/data/0", np.arange(6, dtype="<f4").tobytes())
    return [root / "a.pth"]


class _Float:
    """Stands for ``torch.FloatStorage``."""


_FLOAT, _STORAGE = _Float, object()


def _rebuild(*arguments: Any) -> Any:
    """Stands for ``torch._utils._rebuild_tensor_v2``."""
    return arguments


class _Tensor:
    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (_STORAGE, 0, (2, 3), (3, 1), False, {})


def read_weights(path: Path) -> None:
    from keensight.nets.models.torch_weights import read_state

    for array in read_state(path).values():
        array.sum()


def corrections(root: Path) -> list[Path]:
    text = (
        "path,digest,given,action,label\na.jpg," + "a" * 64 + ",cat,relabel,dog\n'=b.jpg,,dog,drop,\nc.jpg,,cat,keep,\n"
    )
    return _files(root, {"a.csv": text.encode(), "b.csv": text.replace(",", ";").encode("utf-16")})


def pictures(root: Path) -> list[Path]:
    from keensight.store.pictures import save_pictures

    save_pictures(root / "pictures.zip", {"a.jpg": b"first", "b.jpg": b"second"})
    return [root / "pictures.zip"]


def read_pictures(path: Path) -> None:
    from keensight.store.pictures import KeptPictures

    kept = KeptPictures(path)
    for name in ("a.jpg", "b.jpg"):
        kept.load(Sample(name, "cat", "0" * 64))


def predictions(root: Path) -> list[Path]:
    return _files(root, {"predictions.csv": (GOLDEN / "run4/evaluation/predictions.csv").read_bytes()})


def read_predictions(path: Path) -> None:
    from keensight.store.run_tables import read_predictions as read

    read(path, LabelSet(("cat", 'dog "b", c')))


_TIFF = tuple(
    struct.pack("<HHII", tag, kind, 1, 0xFFFF) for tag in (256, 257, 258, 259, 277, 278, 322) for kind in (3, 4)
)
TARGETS = {
    target.name: target
    for target in (
        Target("JPEG", jpeg, read_image, (b"\xff\xc0", b"\xff\xda", b"\xff\xe1", b"Exif\0\0", b"\xff\xd9")),
        Target("PNG", png, read_image, (b"IHDR", b"IDAT", b"iCCP", b"zTXt", b"tRNS", b"PLTE", b"eXIf", b"acTL")),
        Target("TIFF", tiff, read_image, _TIFF),
        Target(
            "GIF, BMP, WebP, PPM, ICO, TGA, JPEG 2000, AVIF",
            other_images,
            read_image,
            (b"VP8X", b"ALPH", b"ANIM", b"P5 "),
        ),
        Target("HEIC, JPEG XL", images_of_extras, read_image, (b"ftypheic", b"mdat", b"ispe", b"\xff\x0a")),
        Target(
            "DICOM",
            dicom,
            read_patient,
            (b"DICM", b"\x28\0\x10\0US\2\0\xff\xff", b"\xfe\xff\0\xe0\xff\xff\xff\xff", b"SQ\0\0"),
        ),
        Target("tables", tables, open_source, (b"path", b"label", b",", b";", b"\t", b"NA", b"nan", b"['a']", b"PAR1")),
        Target("annotations", annotations, read_annotations, (b"<object>", b"<name>", b"<!ENTITY a 'b'>", b"names:")),
        Target("archives", archives, open_source, (b"PK\1\2", b"PK\5\6", b"ustar", b"../", b"C:\\", b"\0" * 512)),
        Target("records", records, open_source, (b"ustar", b".cls", b".json", b"\x0a\xff\xff\xff\xff\x0f")),
        Target("Parquet with images", embedded, open_source, (b"PAR1",)),
        Target("IDX", idx, read_folder, (struct.pack(">HBB", 0, 8, 3), b"\xff\xff\xff\xff")),
        Target(".npz", arrays, open_source, (b"'|O'", b"'descr'", b"'shape': (99999999999,)", b"(0,)", b"True")),
        Target(".npy", npy, read_folder, (b"'|O'", b"'<U99'", b"(99999999999,)", b"(0,)", b"(12, 6, 5, 3, 1)")),
        Target("HDF5", hdf5, open_source, (b"TREE", b"HEAP", b"SNOD", b"OHDR")),
        Target("manifest", manifests, read_manifest, (b'"schema"', b"multilabel", b"anomaly", b"true", b"null")),
        Target("files of a run", runs, read_run, (b'"schema"', b"null", b",", b"train", b"cat", b"inf")),
        Target("export record", exports, read_export, (b'"schema"', b"null", b"..")),
        Target(
            "settings", configs, read_settings, (b"[train]", b"= [", b"'''", b"epochs", b"= {a=", b"inf", b"1979-05-27")
        ),
        Target("arrays of a bundle", bundle_arrays, read_bundle_array, (b"'|O'", b"(99999999999,)", b"PK\1\2")),
        Target(".keras", models, read_model, (b"Lambda", b'"class_name"', b"null", b"keras.layers")),
        Target(".pth", weights, read_weights, (b"cos\nsystem\n", b"ctorch\nFloatStorage\n", b"R", b"(", b"Q", b"\x85")),
        Target("corrections", corrections, read_corrections, (b"relabel", b"drop", b"keep", b"'=")),
        Target("pictures of a run", pictures, read_pictures, (b"PK\1\2", b"index.json")),
        Target("predictions of a run", predictions, read_predictions, (b"nan", b"inf", b"1e999", b",,")),
    )
}


def session(name: str) -> tuple[Session, tempfile.TemporaryDirectory[str]]:
    """A target's inputs and the folder that they are in."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    return Session(TARGETS[name], Path(folder.name)), folder
