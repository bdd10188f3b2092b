"""A bundle's manifest and ``learned.npz`` of schema 4, kept: every later version reads them, and this one writes them.

Schema 4 added ``learned.npz``: digests and fingerprints of what the model learned from; and a contract over labels,
preprocessing and decision rule, in the manifest and in the self-test. If a change of the format is
meant: raise the schema number, keep this folder and its readers, and begin another.
``python tests/golden/test_schema4.py`` wrote the files from the records below.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from keensight.core.codec import to_plain
from keensight.core.contract import contract_digest, contract_text
from keensight.core.files import canonical_json, write_text
from keensight.core.learned import LearnedFrom, file_digests, fingerprints, frequencies, medians_of, pixel_digests
from keensight.core.records import BundleManifest, ImageSpec, LabelSet
from keensight.store.bundle import SCHEMA, read_manifest
from keensight.store.exam import Exam, read_exam, write_exam
from keensight.store.learned import read_learned, write_learned

HERE = Path(__file__).parent / "schema4"
MANIFEST = BundleManifest(
    schema=4, name="pets", task="single-label", labels=LabelSet(("cat", 'dog "b", c', "Ñandú")),
    image=ImageSpec(16, 20, "pad"), model="cnn", normalisation="x / 127.5 - 1", temperature=1.25,
    decision={"rule": "most probable class", "mirror": False}, provenance={"run": "pets-20260102-030405", "seed": 3},
    files={"MODEL_CARD.md": "0" * 64, "exam.npz": "1" * 64, "model.keras": "a" * 64, "learned.npz": "b" * 64},
    contract="a3f1fdb0f5193e025ea8b9338963f8286ae8fd8ec883c1d4878052f65f2df468",
)  # fmt: skip
EXAM = Exam(
    ("cat/1.png", "grey copy"), (b"first image", b"second"),
    np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], np.float32), contract_text(MANIFEST),
)  # fmt: skip
IMAGES = (np.arange(3 * 16 * 20 * 3).reshape(3, 16, 20, 3) * [[[[7]]], [[[11]]], [[[23]]]] % 251).astype(np.uint8)
LEARNED = LearnedFrom(
    file_digests(["00" * 32, "0f" * 32, "ff" * 32]), pixel_digests(IMAGES),
    np.arange(96, dtype=np.uint8).reshape(3, 32), np.linspace(-0.5, 0.5, 255, dtype=np.float32), 24,
)  # fmt: skip
PRINTS = Path("prints.txt")


def prints() -> str:
    """Fingerprints of the images, as text: a later version that took others would no longer know copies."""
    found = frequencies(IMAGES)
    return "".join(f"{row.tobytes().hex()}\n" for row in fingerprints(found, medians_of(found)))


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_text(folder / "manifest.json", canonical_json(to_plain(MANIFEST)))
    write_learned(folder / "learned.npz", LEARNED)
    write_exam(folder / "exam.npz", EXAM)
    write_text(folder / PRINTS, prints())


def test_this_version_reads_a_manifest_of_schema_4() -> None:
    assert read_manifest(HERE / "manifest.json") == MANIFEST


def test_this_version_reads_what_a_bundle_of_schema_4_learned_from() -> None:
    found = read_learned(HERE / "learned.npz")
    for field in dataclasses.fields(LearnedFrom):
        wanted = np.asarray(getattr(LEARNED, field.name))
        wanted = np.unique(wanted, axis=0) if wanted.ndim == 2 else wanted
        np.testing.assert_array_equal(getattr(found, field.name), wanted)


def test_the_contract_is_that_of_schema_4() -> None:
    assert MANIFEST.contract == contract_digest(MANIFEST)


def test_this_version_reads_a_self_test_of_schema_4() -> None:
    found = read_exam(HERE / "exam.npz", 3)
    assert (found.names, found.images, found.contract) == (EXAM.names, EXAM.images, EXAM.contract)
    assert found.labels == MANIFEST.labels.names
    np.testing.assert_array_equal(found.probabilities, EXAM.probabilities)


def test_fingerprints_are_those_of_schema_4() -> None:
    kept = [bytes.fromhex(line) for line in (HERE / PRINTS).read_text().split()]
    now = [bytes.fromhex(line) for line in prints().split()]
    bits = [(int.from_bytes(a) ^ int.from_bytes(b)).bit_count() for a, b in zip(kept, now, strict=True)]
    assert max(bits) <= 4  # another processor may round a frequency that lies on its median to the other side


def test_this_version_writes_schema_4_to_the_letter(tmp_path: Path) -> None:
    assert MANIFEST.schema == SCHEMA
    write_all(tmp_path / "now")
    for name in ("manifest.json", "learned.npz", "exam.npz"):
        assert (tmp_path / "now" / name).read_bytes() == (HERE / name).read_bytes(), name


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    write_all(HERE)
