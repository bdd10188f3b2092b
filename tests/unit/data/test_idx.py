"""IDX files."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from keensight.data.sources.readers import open_source
from keensight.errors import DataError

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([2, 0, 2], np.uint8)


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def _write(folder: Path, *, gz: bool = False, **parts: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for part, array in parts.items():
        kind = "labels-idx1" if array.ndim == 1 else f"images-idx{array.ndim}"
        path = folder / f"{part.removesuffix('_labels').replace('_', '-')}-{kind}-ubyte{'.gz' if gz else ''}"
        path.write_bytes(gzip.compress(_idx(array)) if gz else _idx(array))
    return folder


@pytest.mark.parametrize("gz", [False, True])
def test_the_two_parts_of_mnist(tmp_path: Path, gz: bool) -> None:
    _write(tmp_path / "set", gz=gz, train=IMAGES, train_labels=LABELS, t10k=IMAGES[:2] + 9, t10k_labels=LABELS[:2])
    data = open_source(tmp_path / "set")
    assert (data.name, data.kind, data.labels.names) == ("set", "idx", ("0", "2"))
    assert [(s.path, s.label, s.split) for s in data.samples] == [
        ("train/00000", "2", "train"), ("train/00001", "0", "train"), ("train/00002", "2", "train"),
        ("test/00000", "2", "test"), ("test/00001", "0", "test"),
    ]  # fmt: skip
    assert np.array_equal(np.asarray(data.load(4)), IMAGES[1] + 9)


def test_one_pair_alone_has_no_parts_and_may_have_class_names(tmp_path: Path) -> None:
    folder = _write(tmp_path / "set", train=IMAGES, train_labels=LABELS)
    (folder / "labels.txt").write_text("shirt\nbag\nboot\n\n")
    data = open_source(folder)
    assert data.labels.names == ("shirt", "bag", "boot")
    assert [(s.label, s.split) for s in data.samples] == [("boot", None), ("shirt", None), ("boot", None)]


def test_colour_and_dotted_names(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    colour = np.repeat(IMAGES[..., None], 3, axis=3)
    (folder / "train-images.idx4-ubyte").write_bytes(_idx(colour))
    (folder / "train-labels.idx1-ubyte").write_bytes(_idx(LABELS))
    assert np.array_equal(np.asarray(open_source(folder).load(1)), colour[1])


def _damage(folder: Path, name: str, content: bytes) -> Path:
    _write(folder, train=IMAGES, train_labels=LABELS)
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"\0\0\x08", "cannot be read"),
        (b"this is no idx file", "not an IDX file of images"),
        (_idx(LABELS), "not an IDX file of images"),
        (b"\0\0\x0d" + _idx(IMAGES)[3:], "magic number 0x00000d03"),
        (_idx(IMAGES)[:-1], "shorter than its header says"),
        (_idx(IMAGES) + b"\0", "longer than its header says"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**16, 2**16), "shorter than its header says"),
        (_idx(IMAGES[:2]), "2 images but 3 labels"),
        (_idx(IMAGES[:0]), "0 images but 3 labels"),
    ],
)
def test_damaged_images(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_source(_damage(tmp_path / "set", "train-images-idx3-ubyte", content))


def test_damaged_gzip(tmp_path: Path) -> None:
    folder = _write(tmp_path / "set", gz=True, train=IMAGES, train_labels=LABELS)
    path = folder / "train-images-idx3-ubyte.gz"
    for content in (
        path.read_bytes()[:-9],
        b"no gzip at all",
        path.read_bytes()[:20] + b"????" + path.read_bytes()[24:],
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read|shorter|as bombs do"):
            open_source(folder)


def test_labels_that_are_missing_or_no_labels(tmp_path: Path) -> None:
    folder = _write(tmp_path / "set", train=IMAGES)
    with pytest.raises(DataError, match="no matching labels file"):
        open_source(folder)
    (folder / "train-labels-idx1-ubyte").write_bytes(_idx(IMAGES))
    with pytest.raises(DataError, match="not an IDX file of labels"):
        open_source(folder)


def test_class_names_must_cover_the_labels(tmp_path: Path) -> None:
    folder = _write(tmp_path / "set", train=IMAGES, train_labels=LABELS)
    (folder / "classes.txt").write_text("one\ntwo\n")
    with pytest.raises(DataError, match="2 class names"):
        open_source(folder)


def test_several_sets_in_one_folder(tmp_path: Path) -> None:
    folder = _write(
        tmp_path / "set",
        letters_train=IMAGES,
        letters_train_labels=LABELS,
        digits_train=IMAGES,
        digits_train_labels=LABELS,
    )
    with pytest.raises(DataError, match="several sets"):
        open_source(folder)
