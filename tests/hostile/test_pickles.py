"""Files that run code when they are unpickled, at every door: each is refused, and the code does not run."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keensight as ks
from keensight.core.exports import SIDECAR
from keensight.core.files import sha256_file, write_json
from keensight.errors import KeensightError
from keensight.nets.models.torch_weights import read_state
from keensight.store.npz import read_learned, read_prototypes, read_reference, read_self_test, read_subspace
from keensight.store.pictures import KeptPictures


class Payload:
    """Unpickling it creates a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "the code has run"


def test_the_payload_is_live(trace: Path) -> None:
    """A test that cannot fail would prove nothing."""
    pickle.loads(pickle.dumps(Payload(trace)))
    assert trace.exists()
    trace.unlink()
    sink = io.BytesIO()
    np.save(sink, np.array([Payload(trace)], dtype=object), allow_pickle=True)
    np.load(io.BytesIO(sink.getvalue()), allow_pickle=True)
    assert trace.exists()


def objects(trace: Path) -> Any:
    return np.array([Payload(trace), Payload(trace)], dtype=object)


PIXELS = np.zeros((2, 8, 8, 3), np.uint8)


def npz(path: Path, trace: Path) -> Path:
    np.savez(path / "set.npz", images=PIXELS, labels=objects(trace), allow_pickle=np.array(1))
    return path / "set.npz"


def npz_images(path: Path, trace: Path) -> Path:
    np.savez(path / "set.npz", images=objects(trace), labels=np.array([0, 1]))
    return path / "set.npz"


def npy(path: Path, trace: Path) -> Path:
    (path / "set").mkdir()
    np.save(path / "set" / "images.npy", PIXELS)
    np.save(path / "set" / "labels.npy", objects(trace))
    return path / "set"


def raw(name: str) -> Callable[[Path, Path], Path]:
    def make(path: Path, trace: Path) -> Path:
        (path / name).write_bytes(pickle.dumps(Payload(trace)))
        return path / name

    return make


@pytest.mark.parametrize(
    "make",
    [npz, npz_images, npy, *map(raw, ("set.pkl", "set.joblib", "set.pt", "set.npz", "set.csv", "data_batch_1"))],
)  # fmt: skip
def test_a_source_with_a_pickle_is_refused(make: Callable[[Path, Path], Path], tmp_path: Path, trace: Path) -> None:
    with pytest.raises(KeensightError) as caught:
        ks.open(make(tmp_path, trace))
    assert "\n" not in caught.value.message
    assert not trace.exists()


READERS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "exam": (lambda path: read_self_test(path, 2), ("names", "lengths", "images", "probabilities")),
    "prototypes": (
        lambda path: read_prototypes(path, 2), ("means", "centre", "counts", "threshold", "kept", "temperature"),
    ),
    "subspace": (read_subspace, ("axes", "scale", "mean", "known", "threshold", "refused")),
    "learned": (read_learned, ("files", "pixels", "prints", "medians", "radius")),
    "reference": (lambda path: read_reference(path, 2), ("properties", "values", "classes")),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_an_array_file_of_a_bundle_with_a_pickle_is_refused(name: str, tmp_path: Path, trace: Path) -> None:
    read, arrays = READERS[name]
    np.savez(tmp_path / "file.npz", **{array: objects(trace) for array in arrays})
    with pytest.raises(KeensightError, match="cannot be read"):
        read(tmp_path / "file.npz")
    assert not trace.exists()


@pytest.mark.parametrize("zipped", [False, True])
def test_pytorch_weights_with_a_pickle_that_does_more_are_refused(zipped: bool, tmp_path: Path, trace: Path) -> None:
    path = tmp_path / "weights.pth"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"weight": Payload(trace)}))
    else:
        path.write_bytes(pickle.dumps(Payload(trace)))
    with pytest.raises(KeensightError, match="requests"):
        read_state(path)
    assert not trace.exists()


def test_encrypted_pytorch_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 8] |= 1
    data[6] |= 1
    path.write_bytes(data)
    with pytest.raises(KeensightError, match="not a readable PyTorch state dict"):
        read_state(path)


def test_pictures_of_a_run_are_data(tmp_path: Path, trace: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("index.json", pickle.dumps(Payload(trace)))
    with pytest.raises(KeensightError, match="cannot be read"):
        KeptPictures(tmp_path / "pictures.zip").load(_sample())
    assert not trace.exists()


def _sample() -> Any:
    from keensight.core.records import Sample

    return Sample("a.jpg", "cat", "0" * 64)


def test_a_pickle_in_place_of_a_record_is_refused(tmp_path: Path, trace: Path) -> None:
    for name in ("run.json", "manifest.json", SIDECAR):
        folder = tmp_path / name.removesuffix(".json")
        folder.mkdir()
        (folder / name).write_bytes(pickle.dumps(Payload(trace)))
        opened: Callable[[], Any] = {
            "run.json": lambda: ks.open_run(folder),  # noqa: B023 - called in this turn
            "manifest.json": lambda: ks.open_bundle(folder),  # noqa: B023
        }.get(name, lambda: _export(folder))  # noqa: B023
        with pytest.raises(KeensightError, match="not valid JSON"):
            opened()
    assert not trace.exists()


def _export(folder: Path) -> Any:
    from keensight.store.export import read_export

    return read_export(folder)


def test_a_listed_pickle_is_refused_whatever_its_digest_says(tmp_path: Path, trace: Path) -> None:
    from store_builders import make_bundle

    bundle = make_bundle(tmp_path / "bundle")
    extra = bundle.path / "more.pkl"
    extra.write_bytes(pickle.dumps(Payload(trace)))
    import json

    path = bundle.path / "manifest.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    plain["files"]["more.pkl"] = sha256_file(extra)
    write_json(path, plain)
    with pytest.raises(KeensightError, match="pickle"):
        ks.open_bundle(bundle.path)
    assert not trace.exists()
