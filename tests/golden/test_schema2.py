"""A bundle's texts and class means of schema 2, kept: every later version reads them.

Schema 2 added ``prototypes.npz`` and the rule of enrolled classes to the bundle; runs stayed at schema 1. Bundles
are at schema 5 now: ``test_schema5.py`` holds that to the letter.
"""

import dataclasses
from pathlib import Path

import numpy as np

from keensight.core.prototypes import Prototypes
from keensight.core.records import BundleManifest, ImageSpec, LabelSet
from keensight.core.task import Task
from keensight.store.bundle import read_manifest
from keensight.store.npz import read_prototypes

HERE = Path(__file__).parent / "schema2"
MANIFEST = BundleManifest(
    schema=2, name="pets", task=Task.MULTICLASS, labels=LabelSet(("cat", 'dog "b", c', "Ñandú")),
    image=ImageSpec(48, 64, "crop", decoder=1), model="cnn", normalisation="x / 127.5 - 1", temperature=1.25,
    decision={"rule": "nearest class mean", "trained": 2, "enrolled": ["Ñandú"]},
    provenance={"run": "pets-20260102-030405", "seed": 3, "enrolled_images": {"Ñandú": 5}},
    files={"MODEL_CARD.md": "0" * 64, "exam.npz": "1" * 64, "model.keras": "a" * 64, "prototypes.npz": "b" * 64},
)  # fmt: skip
PROTOTYPES = Prototypes(
    centre=np.array([0.5, 1, -2, 4], np.float32),
    means=np.array([[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, -0.25, 0.75]], np.float32),
    counts=np.array([70, 40, 5], np.int64), threshold=0.625, kept=0.95, temperature=0.125,
)  # fmt: skip


def test_this_version_reads_a_manifest_of_schema_2() -> None:
    assert read_manifest(HERE / "manifest.json") == MANIFEST


def test_this_version_reads_class_means_of_schema_2() -> None:
    found = read_prototypes(HERE / "prototypes.npz", len(MANIFEST.labels))
    for field in dataclasses.fields(Prototypes):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(PROTOTYPES, field.name))
