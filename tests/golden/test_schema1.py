"""Files of schema 1, kept as text: every later version reads them, and still writes what stands in them.

Runs and bundles are at schema 3 now: ``test_run3.py`` and ``test_schema3.py`` hold these to the letter.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keensight.core.audit import AuditReport, Finding
from keensight.core.codec import to_plain
from keensight.core.evaluation import ClassScore, Evaluated, Evaluation
from keensight.core.files import canonical_json, write_text
from keensight.core.interval import Interval
from keensight.core.predictions import Predictions
from keensight.core.records import (
    BundleManifest,
    Dataset,
    Epoch,
    History,
    ImageInfo,
    ImageSpec,
    LabelSet,
    RunRecord,
    Sample,
    Skipped,
    Split,
)
from keensight.core.task import Task
from keensight.core.verification import plain_manifest
from keensight.store.bundle import read_manifest
from keensight.store.run import Run, open_run

HERE = Path(__file__).parent / "schema1"
LABELS = LabelSet(("cat", 'dog "b", c', "Ñandú"))
VERSIONS = {"keensight": "0.1.0", "keras": "3.15.1", "python": "3.11.2"}
RECORD = RunRecord(
    schema=1, name="pets-20260102-030405", state="finished", created="2026-01-02T03:04:05Z",
    updated="2026-01-02T03:14:05Z", source="pets", model="cnn", command="keensight train pets --epochs 2", seed=3,
    versions=VERSIONS, message="",
    results={"labels": list(LABELS.names), "test": {"accuracy": 0.5, "accuracy_ci": [0.0945, 0.9055], "n": 2}},
)  # fmt: skip
MANIFEST = BundleManifest(
    schema=1, name="pets", task=Task.MULTICLASS, labels=LABELS, image=ImageSpec(48, 64, "crop", decoder=1), model="cnn",
    normalisation="x / 127.5 - 1", temperature=1.25, decision={"rule": "most probable class"},
    provenance={"run": RECORD.name, "seed": 3, "versions": VERSIONS},
    files={"MODEL_CARD.md": "0" * 64, "exam.npz": "1" * 64, "model.keras": "a" * 64},
)  # fmt: skip
DATA = Dataset(
    "pets", "table", LABELS,
    tuple(
        Sample(f"{i}.jpg", LABELS.names[i % 3], f"{i:064x}", 100 + i, info=ImageInfo("JPEG", "RGB", 64, 48))
        for i in range(6)
    ),
)  # fmt: skip
SPLIT = Split((0, 1), (2,), (3, 5), "stratified by class, seed 3")
HISTORY = History(
    (Epoch(1, "train", 4, 1.5, 0.05, 1.0, 0.4, 1.1, 0.5), Epoch(2, "train", 4, 1.25, 0.01, 0.5, 0.75, 1.2, 0.5)),
    1, "early",
)  # fmt: skip
AUDIT = AuditReport(
    dataset="pets", n=6, counts={"cat": 2, 'dog "b", c': 2, "Ñandú": 2}, parts={"train": 6}, formats={"JPEG": 6},
    modes={"RGB": 6}, sizes={"64x48": 5, "32x32": 1}, width_range=(32, 64, 64), height_range=(32, 48, 48),
    grey_share=0.5, findings=(Finding("duplicate", "warning", "2 images are copies", 2, (("0.jpg", "1.jpg"),)),),
    quarantined=(Skipped("4.jpg", "the file is cut short"),), skipped=(Skipped("Thumbs.db", "no image"),),
)  # fmt: skip
PREDICTIONS = Predictions(
    ("3.jpg", "5.jpg"), LABELS, np.array([[0.1, 0.7, 0.2], [0.25, 0.125, 0.625]], np.float32), truth=np.array([0, 2]),
)  # fmt: skip
EVALUATION = Evaluation(
    part="test", n=2, labels=LABELS, loss=1.25, accuracy=Interval(0.5, 0.0945, 0.9055), top_k={"1": 0.5, "2": 0.5},
    macro_f1=0.3333, weighted_f1=0.5, ece=0.2,
    per_class=(
        ClassScore("cat", 0.0, 0.0, 0.0, 1), ClassScore('dog "b", c', 0.0, 0.0, 0.0, 0),
        ClassScore("Ñandú", 1.0, 1.0, 1.0, 1),
    ),
    confusion=((0, 1, 0), (0, 0, 0), (0, 0, 1)), baseline_accuracy=0.5, seconds=0.75,
)  # fmt: skip


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_text(folder / "run.json", canonical_json(to_plain(RECORD)))
    write_text(folder / "manifest.json", canonical_json(plain_manifest(MANIFEST)))
    run = Run(folder, RECORD)
    run.save_audit(AUDIT)
    run.save_split(SPLIT, DATA)
    for epoch in HISTORY.epochs:
        run.append_epoch(epoch)
    run.save_history(HISTORY)
    run.save_evaluation(Evaluated.of(EVALUATION, PREDICTIONS, DATA))


def files(folder: Path) -> dict[str, str]:
    return {
        item.relative_to(folder).as_posix(): item.read_bytes().decode("utf-8")
        for item in sorted(folder.rglob("*"))
        if item.is_file()
    }


def test_this_version_reads_a_run_of_schema_1() -> None:
    run = open_run(HERE)
    assert run.record == RECORD
    assert run.audit == AUDIT
    assert list(run.audit.sizes) == ["64x48", "32x32"]
    assert run.split == SPLIT
    assert run.learned_digests() == {DATA.samples[i].digest for i in (0, 1, 2)}
    assert run.history == HISTORY
    assert run.evaluation == EVALUATION
    assert run.predictions == PREDICTIONS
    np.testing.assert_array_equal(run.predictions.probabilities, PREDICTIONS.probabilities)
    np.testing.assert_array_equal(run.predictions.truth, PREDICTIONS.truth)


def test_this_version_reads_a_manifest_of_schema_1() -> None:
    assert read_manifest(HERE / "manifest.json") == MANIFEST


def test_this_version_still_writes_all_of_schema_1(tmp_path: Path) -> None:
    """Fields may be added, with a default; whatever stood there before stands there still."""
    write_all(tmp_path / "now")
    now, then = files(tmp_path / "now"), files(HERE)
    assert now.keys() >= then.keys()
    for name, text in then.items():
        if name.endswith(".json"):
            assert_holds(json.loads(now[name]), json.loads(text), name)
        else:
            assert now[name] == text, name


def assert_holds(now: Any, then: Any, where: str) -> None:
    if isinstance(then, dict):
        for key, value in then.items():
            assert key in now, f"{where}: {key}"
            assert_holds(now[key], value, f"{where}: {key}")
    elif isinstance(then, list):
        assert len(now) == len(then), where
        for i, pair in enumerate(zip(now, then, strict=True)):
            assert_holds(*pair, f"{where}[{i}]")
    else:
        assert now == then, where


LATER = {"contract", "process", "resumed"}
"""Fields of schema 4: ``schema4`` and ``run4`` have them."""


@pytest.mark.parametrize("cls", [RunRecord, BundleManifest])
def test_no_field_is_left_at_its_default_by_oversight(cls: type) -> None:
    """A field that is added later must appear in these fixtures or be given a schema of its own."""
    text = (HERE / {RunRecord: "run.json", BundleManifest: "manifest.json"}[cls]).read_text(encoding="utf-8")
    for field in dataclasses.fields(cls):
        assert field.name in LATER or f'"{field.name}"' in text
