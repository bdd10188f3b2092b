"""Each file of a bundle, an export and a run's archives, changed in every way that a disk or a person changes files."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keensight.core.drift import NUMBERS, Measured
from keensight.core.fingerprints import LearnedFrom
from keensight.core.ood import fit
from keensight.core.prototypes import Prototypes
from keensight.errors import StoreError
from keensight.store.bundle import add_light, open_bundle, write_bundle
from keensight.store.export import read_export, write_export
from keensight.store.npz import write_reference
from keensight.store.safety import MAX_MEMBERS
from store_builders import exam, manifest, write_model

pytestmark = pytest.mark.slow  # seconds in all


def whole_bundle(folder: Path) -> Path:
    """A bundle with every file that there can be."""
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    means = vectors[:3] / np.linalg.norm(vectors[:3], axis=1, keepdims=True)
    made = write_bundle(
        folder, manifest=manifest(), save_model=write_model, exam=exam(),
        prototypes=Prototypes(np.zeros(8, np.float32), means, np.ones(3, np.int64), 0.5, 0.95, 0.1),
        subspace=fit(vectors, vectors),
        learned=LearnedFrom(
            np.arange(64, dtype=np.uint8).reshape(4, 16), np.arange(64, dtype=np.uint8).reshape(4, 16),
            np.arange(128, dtype=np.uint8).reshape(4, 32), np.zeros(255, np.float32), 24,
        ),
    )  # fmt: skip
    return add_light(made, b"a flatbuffer of some length").path


BUNDLE = ("model.keras", "exam.npz", "MODEL_CARD.md", "prototypes.npz", "subspace.npz", "learned.npz", "model.tflite")
EXPORT = ("model.onnx", "reader.py", "pixels.py", "subspace.npz", "self_test/0.png", "deep/er/file.bin")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_bundle(tmp_path_factory.mktemp("whole") / "bundle")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from golden.test_export1 import RECORD

    def fill(folder: Path):
        (folder / "model.onnx").write_bytes(b"a network" * 50)
        return RECORD

    files = {name: f"content of {name}".encode() * 20 for name in EXPORT[1:]}
    return write_export(tmp_path_factory.mktemp("whole") / "export", fill, lambda _: files).path


def flip_first(path: Path) -> None:
    _flip(path, 0)


def flip_middle(path: Path) -> None:
    _flip(path, path.stat().st_size // 2)


def flip_last(path: Path) -> None:
    _flip(path, path.stat().st_size - 1)


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def zeros(path: Path) -> None:
    """As some file systems leave a file after a power failure."""
    path.write_bytes(bytes(path.stat().st_size))


def missing(path: Path) -> None:
    path.unlink()


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link(path: Path) -> None:
    """The same content, somewhere else."""
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


def copied(path: Path) -> None:
    """A further file."""
    shutil.copy(path, path.with_name(f"copy-{path.name}"))


WAYS = (flip_first, flip_middle, flip_last, cut, empty, longer, zeros, missing, folder_instead, link, copied)


def check(folder: Path, name: str, change: Callable[[Path], None], read: Callable[[Path], object]) -> None:
    if change is link and os.name != "posix":
        pytest.skip("making links needs rights on Windows")
    read(folder)
    change(folder / name)
    with pytest.raises(StoreError) as caught:
        read(folder)
    assert caught.value.hint and "\n" not in caught.value.message
    assert Path(name).name in caught.value.message or change in (folder_instead, missing, copied)


@pytest.mark.parametrize("change", WAYS, ids=lambda change: change.__name__)
@pytest.mark.parametrize("name", [*BUNDLE, "reference.npz"])
def test_a_changed_file_of_a_bundle(name: str, change: Callable[[Path], None], bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    if name == "reference.npz":
        _with_reference(folder)
    check(folder, name, change, open_bundle)


def _with_reference(folder: Path) -> None:
    import json

    from keensight.core.files import sha256_file

    write_reference(folder / "reference.npz", Measured(np.zeros((2, len(NUMBERS)), np.float32), np.zeros(2, np.int64)))
    path = folder / "manifest.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    plain["files"]["reference.npz"] = sha256_file(folder / "reference.npz")
    path.write_text(json.dumps(plain), encoding="utf-8")


def test_every_file_that_a_bundle_can_have_is_tried(bundle: Path) -> None:
    from keensight.store.bundle import _LIMITS
    from keensight.store.manifest import MODEL

    assert {path.name for path in bundle.iterdir()} == {*BUNDLE, "manifest.json"}
    assert {*BUNDLE, "reference.npz"} == {*_LIMITS, MODEL}


@pytest.mark.parametrize("change", WAYS, ids=lambda change: change.__name__)
@pytest.mark.parametrize("name", EXPORT)
def test_a_changed_file_of_an_export(name: str, change: Callable[[Path], None], export: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    shutil.copytree(export, folder)
    check(folder, name, change, read_export)


@pytest.mark.parametrize("name", ["manifest.json", "export.json"])
def test_a_changed_record(name: str, bundle: Path, export: Path, tmp_path: Path) -> None:
    """Any one character: of what a prediction depends on, of digests, of keys."""
    folder, read = (bundle, open_bundle) if name == "manifest.json" else (export, read_export)
    shutil.copytree(folder, tmp_path / "copy")
    path = tmp_path / "copy" / name
    whole = path.read_bytes()
    refused = 0
    for at in range(0, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            read(tmp_path / "copy")
        except StoreError as error:
            assert "\n" not in error.message
            refused += 1
    assert refused > (140 if name == "export.json" else 75)  # provenance in a manifest is under no digest


def test_pictures_of_a_run_have_limits(tmp_path: Path) -> None:
    import zipfile

    from keensight.core.records import Sample
    from keensight.store.pictures import KeptPictures

    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.json", '["a.jpg"]')
        archive.writestr("0", bytes(50 << 20))
    with pytest.raises(StoreError, match="zip bomb"):
        KeptPictures(path).load(Sample("a.jpg", "cat", ""))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.json", str([f"{i}.jpg" for i in range(2 * MAX_MEMBERS)]).replace("'", '"'))
        for i in range(2 * MAX_MEMBERS):
            archive.writestr(str(i), b"a picture")
    assert KeptPictures(path).load(Sample("99.jpg", "cat", "")) == b"a picture"


LARGEST = {
    "exam.npz": 64, "MODEL_CARD.md": 8, "prototypes.npz": 256, "subspace.npz": 256, "learned.npz": 1024,
    "model.tflite": 1024, "model.keras": 4096,
}  # fmt: skip
"""MiB."""


@pytest.mark.parametrize("name", BUNDLE)
def test_a_file_of_a_bundle_that_is_too_large_is_not_even_digested(name: str, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "copy")
    with (tmp_path / "copy" / name).open("r+b") as stream:
        stream.truncate((LARGEST[name] << 20) + 1)  # sparse: no disk is used
    with pytest.raises(StoreError, match=f"more than {LARGEST[name] << 20:,}"):
        open_bundle(tmp_path / "copy")
