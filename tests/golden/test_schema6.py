"""A bundle's manifest and self-test of schema 6, kept: every later version reads them, and this one writes them.

Schema 6 added ``model.tflite``, the light form, which predicts without TensorFlow, and ``reference.npz``, measurements
of test images. If a change of the format is meant:
raise the schema number, keep this folder and its reader, and begin another. ``python tests/golden/test_schema6.py``
wrote the files.
"""

import shutil
from pathlib import Path

import numpy as np

from keensight.core.files import canonical_json, write_text
from keensight.core.records import BundleManifest, ImageSpec, LabelSet
from keensight.core.task import Task
from keensight.core.verification import contract_digest, contract_text, plain_manifest
from keensight.store.bundle import SCHEMA, read_manifest
from keensight.store.npz import SelfTest, read_self_test, write_self_test

HERE = Path(__file__).parent / "schema6"
MANIFEST = BundleManifest(
    schema=6, name="cells", task=Task.MULTICLASS, labels=LabelSet(("few", 'many "b", c', "Ñandú")),
    image=ImageSpec(16, 20, "pad", decoder=2, intensity=4095.0, black=-0.5), model="cnn",
    normalisation="x / 127.5 - 1", temperature=1.25, decision={"rule": "most probable class", "mirror": False},
    provenance={"run": "cells-20260102-030405", "seed": 3},
    files={"MODEL_CARD.md": "0" * 64, "exam.npz": "1" * 64, "model.keras": "a" * 64, "learned.npz": "b" * 64,
           "model.tflite": "c" * 64, "reference.npz": "d" * 64},
    contract="65c7b3b7a0e62926d970cb47c833ef6e0c0f06857ec4b606281b725dff637834",
)  # fmt: skip
EXAM = SelfTest(
    ("cat/1.png", "grey copy"), (b"first image", b"second"),
    np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], np.float32), contract_text(MANIFEST),
)  # fmt: skip


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_text(folder / "manifest.json", canonical_json(plain_manifest(MANIFEST)))
    write_self_test(folder / "exam.npz", EXAM)


def test_this_version_reads_a_manifest_of_schema_6() -> None:
    assert read_manifest(HERE / "manifest.json") == MANIFEST


def test_this_version_writes_schema_6_to_the_letter(tmp_path: Path) -> None:
    assert MANIFEST.schema == SCHEMA
    write_all(tmp_path / "now")
    for name in ("manifest.json", "exam.npz"):
        assert (tmp_path / "now" / name).read_bytes() == (HERE / name).read_bytes(), name


def test_the_contract_is_that_of_schema_6() -> None:
    assert MANIFEST.contract == contract_digest(MANIFEST)


def test_this_version_reads_a_self_test_of_schema_6() -> None:
    found = read_self_test(HERE / "exam.npz", 3)
    assert (found.names, found.images, found.contract) == (EXAM.names, EXAM.images, EXAM.contract)
    assert found.labels == MANIFEST.labels.names
    np.testing.assert_array_equal(found.probabilities, EXAM.probabilities)


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    write_all(HERE)
