"""A bundle's texts and subspace of schema 3, kept: every later version reads them."""

import dataclasses
from pathlib import Path

import numpy as np

from keensight.core.ood import Subspace
from keensight.core.predictions import Decision
from keensight.core.records import BundleManifest, ImageSpec, LabelSet
from keensight.core.task import Task
from keensight.store.bundle import read_manifest
from keensight.store.npz import read_subspace

HERE = Path(__file__).parent / "schema3"
RULE = Decision(0.625, "coverage", 0.75, 0.5, 0.875, 0.25, 40)
MANIFEST = BundleManifest(
    schema=3, name="pets", task=Task.MULTICLASS, labels=LabelSet(("cat", 'dog "b", c', "Ñandú")),
    image=ImageSpec(48, 64, "crop", decoder=1), model="cnn", normalisation="x / 127.5 - 1", temperature=1.25,
    decision={"rule": "most probable class", "mirror": False, **RULE.to_manifest()},
    provenance={"run": "pets-20260102-030405", "seed": 3},
    files={"MODEL_CARD.md": "0" * 64, "exam.npz": "1" * 64, "model.keras": "a" * 64, "subspace.npz": "b" * 64},
)  # fmt: skip
SUBSPACE = Subspace(
    scale=np.array([0.5, 1, 2, 4], np.float32), mean=np.array([0.5, -0.25, 0, 1], np.float32),
    axes=np.array([[1, 0, 0, 0], [0, 0, 1, 0]], np.float32), known=np.array([0.125, 0.25, 0.5], np.float32),
    threshold=0.5, refused=0.25,
)  # fmt: skip


def test_this_version_reads_a_manifest_of_schema_3() -> None:
    assert read_manifest(HERE / "manifest.json") == MANIFEST


def test_this_version_reads_a_rule_and_a_subspace_of_schema_3() -> None:
    assert Decision.from_manifest(MANIFEST.decision) == RULE
    found = read_subspace(HERE / "subspace.npz")
    for field in dataclasses.fields(Subspace):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(SUBSPACE, field.name))
