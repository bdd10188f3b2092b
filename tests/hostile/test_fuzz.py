"""Some damaged files for each reader: refused with one sentence or read, never anything else.

``python benchmarks/fuzz.py`` tries as many as there is time for.
"""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz_targets import GOLDEN, TARGETS, Session, mutated
from keensight.core.config import read_config
from keensight.data.sources.idx import open_idx
from keensight.data.sources.readers import open_source
from keensight.data.sources.table_files import read_table
from keensight.errors import DataError, StoreError, UsageError
from keensight.store.npz import read_subspace

pytestmark = pytest.mark.slow  # seconds in all
INPUTS = 12
"""Inputs of each reader, besides its seeds."""


@pytest.fixture(scope="module")
def inputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    if request.param in ("DICOM", "HEIC, JPEG XL"):
        pytest.importorskip("imagecodecs")
    yield Session(TARGETS[request.param], tmp_path_factory.mktemp("fuzz") / "inputs")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("inputs", TARGETS, indirect=True)
class TestReader:
    def test_its_seeds_are_read(self, inputs: Session) -> None:
        assert {inputs.read(-seed) for seed in range(1, len(inputs) + 1)} == {"read"}

    @settings(max_examples=INPUTS)
    @given(number=st.integers(0, 10**9))
    def test_a_damaged_file_is_read_or_refused(self, inputs: Session, number: int) -> None:
        assert inputs.read(number) in ("read", "refused")


def test_an_input_follows_from_its_number() -> None:
    seeds = [b"a seed of some bytes", b'{"a": [1, 2]}']
    made = [mutated(seeds, (b"word",), random.Random(f"reader {number}")) for number in range(50)]
    assert made == [mutated(seeds, (b"word",), random.Random(f"reader {number}")) for number in range(50)]
    assert len(set(made)) > 40
    assert all(len(data) <= 1 << 22 for data in made)


# What was found by fuzzing or by looking for it, and is refused since.


def test_deep_brackets_in_settings(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("[train]\nepochs = " + "[" * 5000)
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path / "deep.toml")


@pytest.mark.parametrize("name", ["deep.json", "deep.jsonl"])
@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_brackets_in_a_table(name: str, depth: int, tmp_path: Path) -> None:
    (tmp_path / name).write_text('[{"path": "a.png", "label": ' + "[" * depth + "]" * depth + "}]")
    with pytest.raises(DataError):
        read_table(tmp_path / name)


def bomb(size: int, head: bytes = b"") -> bytes:
    """Zeros, packed by gzip to a thousandth."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(head)]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


def test_an_idx_file_that_unpacks_to_far_more(tmp_path: Path) -> None:
    images = bomb(600 << 20, struct.pack(">HBB3I", 0, 8, 3, 600 << 10, 32, 32))
    assert len(images) < 1 << 20
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(images)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 0)))
    with pytest.raises(DataError, match="bomb"):
        open_idx(tmp_path)


@pytest.mark.parametrize("name", ["images", "labels"])
def test_an_array_file_that_unpacks_to_far_more(name: str, tmp_path: Path) -> None:
    shapes = {"images": (4, 8, 8, 3), "labels": (4,)} | {
        name: (600 << 10, 32, 32) if name == "images" else (600 << 20,)
    }
    with zipfile.ZipFile(tmp_path / "set.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for key, shape in shapes.items():
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
            with archive.open(f"{key}.npy", "w") as stream:
                stream.write(header.getvalue())
                left = int(np.prod(shape))
                while left:
                    left -= stream.write(bytes(min(left, 1 << 20)))
    assert (tmp_path / "set.npz").stat().st_size < 1 << 20
    with pytest.raises(DataError, match="bomb"):
        open_source(tmp_path / "set.npz")


def test_an_hdf5_file_that_unpacks_to_far_more(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file.create_dataset("images", (600 << 10, 32, 32), np.uint8)  # nothing is stored: all is the fill value
        file.create_dataset("labels", (600 << 10,), np.uint8)
    with pytest.raises(DataError, match="bomb"):
        open_source(tmp_path / "set.h5")


def test_a_packed_excel_table_that_unpacks_to_far_more(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "set.xlsx", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.xml", "w") as stream,
    ):
        for _ in range(300):
            stream.write(b" " * (1 << 20))
    with pytest.raises(DataError, match="bomb"):
        read_table(tmp_path / "set.xlsx")


HEADERS = (
    b"{'descr': '<i8', 'fortran_order': False, 'shape': (4,), }}", b"{'descr': '<i8', 'fortran_order': (", b"\0" * 60,
    b"{'descr': '<i8', 'fortran_order': False, 'shape': (4L,), '''", b"(" * 5000, b"{'descr': '<i8'",
)  # fmt: skip
"""NumPy reads the header of an array as Python: what it raises is whatever Python's parsers raise."""


def array_file(header: bytes) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(32)


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_headers_of_arrays_that_are_no_python(header: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("images.npy", array_file(header))
        archive.writestr("labels.npy", array_file(header))
    with pytest.raises(DataError, match="cannot be read"):
        open_source(tmp_path / "set.npz")
    (tmp_path / "folder").mkdir()
    for name in ("images.npy", "labels.npy"):
        (tmp_path / "folder" / name).write_bytes(array_file(header))
    with pytest.raises(DataError, match="cannot be read"):
        open_source(tmp_path / "folder")
    for content in (array_file(header), header):
        with zipfile.ZipFile(tmp_path / "subspace.npz", "w") as archive:
            for name in ("axes", "scale", "mean", "known", "threshold", "refused"):
                archive.writestr(f"{name}.npy", content)
        with pytest.raises(StoreError, match="cannot be read"):
            read_subspace(tmp_path / "subspace.npz")


def test_a_deflated_dicom_file_is_not_inflated_for_its_patient() -> None:
    pytest.importorskip("pydicom")
    from keensight.core.dicom import patient

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(bytes(64 << 20)) + packer.flush()
    syntax = b"\x02\0\x10\0UI\x16\x001.2.840.10008.1.2.1.99"
    length = b"\x02\0\0\0UL\4\0" + struct.pack("<I", len(syntax))
    assert patient(bytes(128) + b"DICM" + length + syntax + body) is None


def test_a_history_that_is_no_text(tmp_path: Path) -> None:
    import shutil

    from keensight.store.run import open_run

    shutil.copytree(GOLDEN / "run4", tmp_path / "run")
    path = tmp_path / "run" / "history.jsonl"
    path.write_bytes(path.read_bytes()[:40] + b"\xa8" + path.read_bytes()[41:])
    with pytest.raises(StoreError, match=r"history\.jsonl, line 1: this is not UTF-8"):
        _ = open_run(tmp_path / "run").history


def test_half_a_surrogate_pair_in_the_record_of_an_export(tmp_path: Path) -> None:
    import json
    import shutil

    from keensight.store.export import read_export

    shutil.copytree(GOLDEN / "export1", tmp_path / "export")
    path = tmp_path / "export" / "export.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"name": "\ud800"}))
    with pytest.raises(StoreError, match="its digest differs"):
        read_export(tmp_path / "export")


def test_images_whose_names_are_not_unicode_have_a_digest() -> None:
    from keensight.workflow.prediction_tables import _digest

    assert _digest(["caf\udce9.png", "b.png"]) != _digest(["caf\udce8.png", "b.png"])
