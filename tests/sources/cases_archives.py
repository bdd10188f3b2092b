"""Archives, arrays, Parquet, TFRecord, WebDataset, and objects of other libraries."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from archive_builders import class_folders, image_examples, web_samples, write_records, write_tar, write_zip
from sources import Case, picture

X = np.random.default_rng(0).integers(0, 256, (8, 9, 8, 3), np.uint8)
Y = np.arange(8) % 2
NAMES = np.array(["cat", "dog"])
TEXTS = NAMES[Y]
FOLDERS = dict(list(class_folders("").items())[:8])
SPLITS = {f"{'train' if i < 6 else 'test'}/{name}": data for i, (name, data) in enumerate(FOLDERS.items())}
WEB = {name: data for name, data in web_samples("json").items() if int(name[:4]) < 8}


def _png(root: Path) -> list[bytes]:
    return [picture(root / f"{i}.png").read_bytes() for i in range(8)]


def _npz(root: Path, **arrays: Any) -> Path:
    np.savez(root / "set.npz", **arrays)
    return root / "set.npz"


def _npy(root: Path, **arrays: Any) -> Path:
    for name, array in arrays.items():
        np.save(root / f"{name}.npy", array)
    return root


def _hdf5(root: Path, **arrays: Any) -> Path:
    import h5py

    with h5py.File(root / "set.h5", "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array.tolist() if array.dtype.kind == "U" else array
    return root / "set.h5"


_COMPRESSED = (("gzip", ".tar.gz", "w:gz"), ("bzip2", ".tar.bz2", "w:bz2"), ("xz", ".tar.xz", "w:xz"))


def _cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:200])
    return path


def _idx(root: Path) -> Path:
    for name, array in {"train-images-idx3-ubyte": X[..., 0], "train-labels-idx1-ubyte": Y.astype(np.uint8)}.items():
        head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (root / f"{name}.gz").write_bytes(gzip.compress(head + array.tobytes()))
    (root / "labels.txt").write_text("cat\ndog\n")
    return root


def _linked(root: Path) -> Path:
    path = write_tar(root / "photos.tar", FOLDERS)
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("cat/link.png")
        info.type, info.linkname = tarfile.SYMTYPE, "../../secret.png"
        archive.addfile(info)
    return path


def _parquet(path: Path, label: list[Any], *, struct_cells: bool = True, names: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = _png(path.parent / "pictures")[: len(label)]
    for file in (path.parent / "pictures").iterdir():
        file.unlink()
    (path.parent / "pictures").rmdir()
    column = pa.array([{"bytes": cell, "path": None} for cell in cells] if struct_cells else cells)
    table = pa.table({"image": column, "label": label})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": NAMES.tolist()}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


def _shards(root: Path) -> Path:
    _parquet(root / "data" / "train-00000-of-00002.parquet", [0, 1, 0], names=True)
    _parquet(root / "data" / "train-00001-of-00002.parquet", [1, 0, 1], names=True)
    _parquet(root / "data" / "test-00000-of-00001.parquet", [0, 1], names=True)
    return root


def _web_shards(root: Path) -> Path:
    for name, rows in {"train-000000": range(6), "test-000000": range(6, 8)}.items():
        write_tar(root / f"{name}.tar", {key: data for key, data in WEB.items() if int(key[:4]) in rows})
    return root


def _records(root: Path) -> Path:
    write_records(root / "pets-train.tfrecord-00000-of-00001", image_examples(0, 6))
    write_records(root / "pets-test.tfrecord-00000-of-00001", image_examples(6, 8))
    return root


def _cifar(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": [1]}))
    return folder


class Pets:
    """A dataset as in torchvision."""

    classes = ("cat", "dog")

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        return self.images[row], row % 2


_SECTION = "Archives and arrays"


def _case(name: str, layout: str, build: Any, outcome: Any, sentence: str, **more: Any) -> Case:
    return Case(_SECTION, name, layout, build, outcome, sentence, **more)


CASES = [
    _case("a zip archive", "photos.zip: cat/1.png, dog/2.png", lambda r: write_zip(r / "photos.zip", FOLDERS),
          "read", "zip archive: folder per class, 2 classes, 8 images"),
    _case("a zip archive with splits", "photos.zip: train/cat/1.png, test/dog/2.png",
          lambda r: write_zip(r / "photos.zip", SPLITS), "read", "zip archive: folder per class, 2 predefined splits"),
    _case("a tar archive", "photos.tar: cat/1.png, dog/2.png", lambda r: write_tar(r / "photos.tar", FOLDERS),
          "read", "tar archive: folder per class, 2 classes, 8 images"),
    *(_case(f"a tar archive compressed with {kind}", f"photos{suffix}: cat/1.png, dog/2.png",
            lambda r, suffix=suffix, mode=mode: write_tar(r / f"photos{suffix}", FOLDERS, mode),
            "read", "tar archive: folder per class, 2 classes, 8 images")
      for kind, suffix, mode in _COMPRESSED),
    _case("an archive with names that lead out of it", "photos.zip: ../../cat/1.png",
          lambda r: write_zip(r / "photos.zip", FOLDERS | {"../x.png": b""}), "refused", "leads out of it"),
    _case("an archive with links", "photos.tar: cat/1.png -> ../../secret.png", _linked,
          "told", "2 classes, 9 images", images=9),
    _case("a 7z or rar archive", "photos.7z", lambda r: (r / "photos.7z").write_bytes(b"7z") and r / "photos.7z",
          "refused", "an archive that cannot be read (.7z)"),
    _case("a truncated archive", "photos.zip",
          lambda r: _cut(write_zip(r / "photos.zip", FOLDERS)),
          "refused", "cannot be read as an archive"),
    _case("Keras' names in an .npz", "set.npz: x_train, y_train, x_test, y_test",
          lambda r: _npz(r, x_train=X[:6], y_train=TEXTS[:6], x_test=X[6:], y_test=TEXTS[6:]),
          "read", ".npz arrays, 2 predefined splits"),
    _case("MedMNIST's names in an .npz", "set.npz: train_images, train_labels, val_images, ...",
          lambda r: _npz(r, train_images=X[:6], train_labels=TEXTS[:6, None], test_images=X[6:],
                         test_labels=TEXTS[6:, None]),
          "read", "train_images with train_labels"),
    _case("an .npz without names", "set.npz: arr_0, arr_1", lambda r: _npz(r, arr_0=X, arr_1=TEXTS),
          "read", "by shape: only arr_0 can be images, only arr_1 labels"),
    _case("class names in an .npz", "set.npz: images, labels, class_names",
          lambda r: _npz(r, images=X, labels=Y, class_names=NAMES), "read", "images with labels"),
    _case("floats from 0 to 1", "set.npz: data, target", lambda r: _npz(r, data=X / 255, target=TEXTS),
          "read", "floats from 0 to 1, times 255"),
    _case("floats from -1 to 1", "set.npz: X, y", lambda r: _npz(r, X=X / 127.5 - 1, y=TEXTS),
          "read", "floats from -1 to 1, scaled to 0 to 255"),
    _case("normalized floats", "set.npz: X, y", lambda r: _npz(r, X=(X - 120.0) / 50, y=TEXTS),
          "refused", "give the pixels before normalization"),
    _case("channels first", "set.npz: images (n, 3, height, width)",
          lambda r: _npz(r, images=X.transpose(0, 3, 1, 2), labels=TEXTS), "read", "channels moved last"),
    _case("channels first or last", "set.npz: images (n, 3, height, 3)",
          lambda r: _npz(r, images=X[:, :3, :, :], labels=TEXTS), "refused", "the channels may come first or last"),
    _case("one-hot labels", "set.npz: images, labels (n, classes), class_names",
          lambda r: _npz(r, images=X, labels=np.eye(2)[Y], class_names=NAMES), "read", "one-hot labels"),
    _case("several labels for each image", "set.npz: images, labels (n, labels) of 0 and 1, class_names",
          lambda r: _npz(r, images=X, labels=np.stack([Y, np.ones(8)], 1), class_names=NAMES),
          "read", "0/1 labels, any number each"),
    _case("missing labels", "set.npz: images, labels with NaN",
          lambda r: _npz(r, images=X, labels=np.where(np.arange(8) < 2, np.nan, Y), class_names=NAMES),
          "told", "2 of 8 images have no label and are not used", images=6),
    _case("several arrays of labels", "set.npz: data, fine_labels, coarse_labels",
          lambda r: _npz(r, data=X, fine_labels=TEXTS, coarse_labels=TEXTS), "refused", "fine_labels, coarse_labels"),
    _case("several arrays of labels, one chosen", "set.npz: data, fine_labels, coarse_labels",
          lambda r: _npz(r, data=X, fine_labels=TEXTS, coarse_labels=np.arange(8)),
          "read", "data with fine_labels", options={"label": "fine_labels"}),
    _case("0 and 1 as black and white", "set.npz: images of 0 and 1, labels",
          lambda r: _npz(r, images=(X[..., 0] > 99).astype(np.uint8), labels=TEXTS), "told", "almost black"),
    _case("pickled objects", "set.npz: images of Python objects",
          lambda r: _npz(r, images=np.array([{}] * 8), labels=TEXTS), "refused", "pickled Python objects"),
    _case("NumPy files", "X_train.npy, y_train.npy, X_test.npy, y_test.npy",
          lambda r: _npy(r, X_train=X[:6], y_train=TEXTS[:6], X_test=X[6:], y_test=TEXTS[6:]),
          "read", ".npy arrays, 2 predefined splits"),
    _case("HDF5", "set.h5: images, labels", lambda r: _hdf5(r, images=X, labels=TEXTS), "read", "HDF5 arrays"),
    _case("HDF5 with groups", "set.h5: train/images, train/labels, test/images, test/labels",
          lambda r: _hdf5(r, train__images=X[:6], train__labels=TEXTS[:6], test__images=X[6:], test__labels=TEXTS[6:]),
          "read", "HDF5 arrays, 2 predefined splits"),
    _case("IDX files", "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, labels.txt", _idx, "read", "IDX files"),
    _case("a Python pickle", "cifar-10-batches-py/data_batch_1", _cifar,
          "refused", "a Python pickle, which can run code when it is opened"),
    _case("Parquet with images", "set.parquet: image {bytes, path}, label",
          lambda r: _parquet(r / "set.parquet", TEXTS.tolist()), "read", "Parquet with images"),
    _case("Parquet with bare bytes", "set.parquet: image, label",
          lambda r: _parquet(r / "set.parquet", TEXTS.tolist(), struct_cells=False), "read", "Parquet with images"),
    _case("a Hugging Face dataset", "data/train-00000-of-00002.parquet, data/test-00000-of-00001.parquet", _shards,
          "read", "3 Parquet files with images, 2 predefined splits"),
    _case("WebDataset", "set.tar: 0000.png, 0000.json", lambda r: write_tar(r / "set.tar", WEB),
          "read", "WebDataset tar"),
    _case("WebDataset shards", "train-000000.tar, test-000000.tar", _web_shards,
          "read", "2 files: WebDataset tar, 2 predefined splits"),
    _case("TFRecord", "set.tfrecord: image/encoded, image/class/text",
          lambda r: write_records(r / "set.tfrecord", image_examples(0, 8)), "read", "TFRecord, 2 classes"),
    _case("TFRecord shards", "pets-train.tfrecord-00000-of-00001, pets-test.tfrecord-...", _records,
          "read", "2 files: TFRecord, 2 predefined splits"),
    _case("TFRecord without labels", "set.tfrecord: image",
          lambda r: write_records(r / "set.tfrecord", [{"image": [b"x"]}]), "refused", "its features are: image"),
    _case("a pair of arrays", "(images, labels)", lambda r: (X, TEXTS), "read", "NumPy arrays"),
    _case("training and test pair, as of keras.datasets", "((x, y), (x, y))",
          lambda r: ((X[:6], TEXTS[:6]), (X[6:], TEXTS[6:])), "read", "NumPy arrays, 2 predefined splits"),
    _case("images of different sizes as one list", "([image, image], labels)",
          lambda r: ([image[: 5 + i % 2] for i, image in enumerate(X)], TEXTS), "refused", "differ in shape"),
    _case("lists of paths and labels", "(paths, labels)",
          lambda r: _png(r) and ([r / f"{i}.png" for i in range(8)], TEXTS), "read", "list of images"),
    _case("a mapping of arrays", '{"images": ..., "labels": ...}', lambda r: {"images": X, "labels": TEXTS},
          "read", "NumPy arrays"),
    _case("a pandas table with images", "image (bytes), label",
          lambda r: pd.DataFrame({"image": _png(r), "label": TEXTS}), "read", "pandas table with images"),
    _case("a dataset as in torchvision", "len(dataset), dataset[0] == (image, label), dataset.classes",
          lambda r: Pets([Image.fromarray(image) for image in X]), "read", "dataset Pets"),
    _case("splits of such datasets", '{"train": ..., "test": ...}',
          lambda r: {"train": Pets(X[:6]), "test": Pets(X[6:])}, "read", "dataset Pets, 2 predefined splits"),
    _case("any other object", "object()", lambda r: object(), "refused", "images cannot be read from a object"),
]  # fmt: skip
