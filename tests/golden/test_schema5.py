"""A bundle's manifest of schema 5, kept: every later version reads it, and this one writes it.

Schema 5 added the intensity scale of images of more than 8 bits. If a change of the format is meant: raise the schema
number, keep this folder and its reader, and begin another. ``python tests/golden/test_schema5.py`` wrote the file.
"""

import shutil
from pathlib import Path

from keensight.core.codec import to_plain
from keensight.core.files import canonical_json, write_text
from keensight.core.records import BundleManifest, ImageSpec, LabelSet
from keensight.store.bundle import SCHEMA, read_manifest

HERE = Path(__file__).parent / "schema5"
MANIFEST = BundleManifest(
    schema=5, name="cells", task="single-label", labels=LabelSet(("few", 'many "b", c', "Ñandú")),
    image=ImageSpec(16, 20, "pad", decoder=2, intensity=4095.0, black=-0.5), model="cnn",
    normalisation="x / 127.5 - 1", temperature=1.25, decision={"rule": "most probable class", "mirror": False},
    provenance={"run": "cells-20260102-030405", "seed": 3},
    files={"MODEL_CARD.md": "0" * 64, "exam.npz": "1" * 64, "model.keras": "a" * 64, "learned.npz": "b" * 64},
)  # fmt: skip


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_text(folder / "manifest.json", canonical_json(to_plain(MANIFEST)))


def test_this_version_reads_a_manifest_of_schema_5() -> None:
    assert read_manifest(HERE / "manifest.json") == MANIFEST


def test_this_version_writes_schema_5_to_the_letter(tmp_path: Path) -> None:
    assert MANIFEST.schema == SCHEMA
    write_all(tmp_path / "now")
    assert (tmp_path / "now" / "manifest.json").read_bytes() == (HERE / "manifest.json").read_bytes()


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    write_all(HERE)
