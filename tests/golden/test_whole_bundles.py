"""A bundle of each schema, as a whole: this version opens it and reads every file in it.

The files are those that the other fixtures keep; the model, which is never built here, and the files that a schema had
taken over from an earlier one are made in the test.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from keensight.core.drift import NUMBERS, Measured
from keensight.core.files import sha256_file
from keensight.core.verification import digest_of
from keensight.store.bundle import SCHEMA, Bundle, open_bundle
from keensight.store.npz import read_reference, read_self_test, write_reference
from store_builders import write_model

GOLDEN = Path(__file__).parent
REFERENCE = Measured(
    np.where(np.arange(24).reshape(3, 8) % 7 == 3, np.nan, np.arange(24).reshape(3, 8) / 32).astype(np.float32),
    np.array([0, 2, -1]),
)
FILES = {
    "prototypes.npz": "schema2", "subspace.npz": "schema3", "learned.npz": "schema4", "reference.npz": "schema6",
}  # fmt: skip


def write_old_exam(path: Path, classes: int) -> None:
    """As before schema 5, without a contract."""
    np.savez(
        path, names=np.array(["a.png"]), lengths=np.array([3]), images=np.frombuffer(b"png", np.uint8),
        probabilities=np.full((1, classes), 1 / classes, np.float32),
    )  # fmt: skip


@pytest.fixture(params=[*range(1, SCHEMA + 1), "4 with a contract"], ids="schema {}".format)
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    """Some bundles of schema 4 have a contract, from before it got a number of its own."""
    contracted = request.param == "4 with a contract"
    schema = 4 if contracted else request.param
    kept, folder = GOLDEN / f"schema{schema}", tmp_path / "bundle"
    plain = json.loads((kept / "manifest.json").read_text(encoding="utf-8"))
    folder.mkdir()
    write_model(folder / "model.keras")
    (folder / "MODEL_CARD.md").write_text("# A card\n", encoding="utf-8")
    if schema >= 5 or contracted:
        shutil.copy(kept / "exam.npz", folder)
        plain["contract"] = digest_of(read_self_test(folder / "exam.npz", len(plain["labels"]["names"])).contract)
    else:
        write_old_exam(folder / "exam.npz", len(plain["labels"]["names"]))
    for name in plain["files"].keys() & FILES.keys():
        shutil.copy(GOLDEN / FILES[name] / name, folder)
    if "model.tflite" in plain["files"]:
        (folder / "model.tflite").write_bytes(b"a flatbuffer")
    plain["files"] = {name: sha256_file(folder / name) for name in plain["files"]}
    (folder / "manifest.json").write_text(json.dumps(plain), encoding="utf-8")
    return open_bundle(folder)


def test_it_opens_and_every_file_is_read(bundle: Bundle) -> None:
    schema, files = bundle.manifest.schema, bundle.manifest.files
    assert len(bundle.exam()) >= 1
    assert (bundle.exam().contract != "") == (bundle.manifest.contract != "")
    assert bundle.manifest.contract or schema < 5
    read = {"prototypes.npz": bundle.prototypes(), "subspace.npz": bundle.subspace(), "learned.npz": bundle.learned(),
            "reference.npz": bundle.reference()}  # fmt: skip
    assert {name for name, found in read.items() if found is not None} == files.keys() & read.keys()
    assert bundle.has_light == (schema >= 6)
    assert (bundle.light() is not None) == bundle.has_light


def test_measurements_of_schema_6_are_read() -> None:
    found = read_reference(GOLDEN / "schema6" / "reference.npz", 3)
    np.testing.assert_array_equal(found.values, REFERENCE.values)
    np.testing.assert_array_equal(found.classes, REFERENCE.classes)


def test_this_version_writes_measurements_to_the_letter(tmp_path: Path) -> None:
    assert len(NUMBERS) == 8
    write_reference(tmp_path / "reference.npz", REFERENCE)
    assert (tmp_path / "reference.npz").read_bytes() == (GOLDEN / "schema6" / "reference.npz").read_bytes()


if __name__ == "__main__":
    write_reference(GOLDEN / "schema6" / "reference.npz", REFERENCE)
