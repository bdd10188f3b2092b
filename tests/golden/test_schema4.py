"""A bundle's manifest and ``learned.npz`` of schema 4, kept: every later version reads them.

Bundles are at schema 6 now: ``test_schema6.py`` holds that to the letter, and this one ``learned.npz``, which schema 4
added: digests and fingerprints of what the model learned from. If a change of the format is meant: raise the schema
number, keep this folder and its readers, and begin another.
``python tests/golden/test_schema4.py`` wrote the files from the records below.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from keensight.core.codec import to_plain
from keensight.core.files import canonical_json, write_text
from keensight.core.fingerprints import LearnedFrom, file_digests, fingerprints, frequencies, medians_of, pixel_digests
from keensight.core.records import BundleManifest, ImageSpec, LabelSet
from keensight.core.task import Task
from keensight.store.bundle import read_manifest
from keensight.store.npz import read_learned, write_learned

HERE = Path(__file__).parent / "schema4"
MANIFEST = BundleManifest(
    schema=4, name="pets", task=Task.MULTICLASS, labels=LabelSet(("cat", 'dog "b", c', "Ñandú")),
    image=ImageSpec(16, 20, "pad", decoder=1), model="cnn", normalisation="x / 127.5 - 1", temperature=1.25,
    decision={"rule": "most probable class", "mirror": False}, provenance={"run": "pets-20260102-030405", "seed": 3},
    files={"MODEL_CARD.md": "0" * 64, "exam.npz": "1" * 64, "model.keras": "a" * 64, "learned.npz": "b" * 64},
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
    write_text(folder / PRINTS, prints())


def test_this_version_reads_a_manifest_of_schema_4() -> None:
    assert read_manifest(HERE / "manifest.json") == MANIFEST


def test_this_version_reads_what_a_bundle_of_schema_4_learned_from() -> None:
    found = read_learned(HERE / "learned.npz")
    for field in dataclasses.fields(LearnedFrom):
        wanted = np.asarray(getattr(LEARNED, field.name))
        wanted = np.unique(wanted, axis=0) if wanted.ndim == 2 else wanted
        np.testing.assert_array_equal(getattr(found, field.name), wanted)


def test_fingerprints_are_those_of_schema_4() -> None:
    kept = [bytes.fromhex(line) for line in (HERE / PRINTS).read_text().split()]
    now = [bytes.fromhex(line) for line in prints().split()]
    bits = [(int.from_bytes(a) ^ int.from_bytes(b)).bit_count() for a, b in zip(kept, now, strict=True)]
    assert max(bits) <= 4  # another processor may round a frequency that lies on its median to the other side


def test_this_version_writes_what_was_learned_to_the_letter(tmp_path: Path) -> None:
    write_all(tmp_path / "now")
    assert (tmp_path / "now" / "learned.npz").read_bytes() == (HERE / "learned.npz").read_bytes()


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    write_all(HERE)
