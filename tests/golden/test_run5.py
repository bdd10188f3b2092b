"""A run's files of schema 5, kept as text: every later version reads them, and this one writes them to the letter.

Schema 5 of runs added start time, boot and container of the process that works on a run, and when it was resumed.
If a change of the format is meant: raise the schema number, keep this folder and its readers, and begin another.
``python tests/golden/test_run5.py`` wrote the files from the records below.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from keensight.core.audit import AuditReport, Column, Finding, Histogram, Probe
from keensight.core.codec import to_plain
from keensight.core.evaluation import Caveat, ClassScore, Evaluated, Evaluation, Slices, SliceScore, SmallSlices
from keensight.core.files import canonical_json, write_text
from keensight.core.interval import Interval
from keensight.core.labels import AccuracyRange, ClassNoise, LabelSuspects, Suspect
from keensight.core.predictions import UNLIKE, Abstention, Calibration, Decision, Predictions, ReliabilityBin
from keensight.core.records import (
    Dataset,
    Epoch,
    History,
    ImageInfo,
    LabelSet,
    Process,
    RunRecord,
    Sample,
    Skipped,
    Split,
)
from keensight.store.run import SCHEMA, Run, open_run

HERE = Path(__file__).parent / "run5"
LABELS = LabelSet(("cat", 'dog "b", c'))
HALF = Interval(0.5, 0.25, 0.75, 0.9, "bootstrap")
RECORD = RunRecord(
    schema=5, name="pets-20260102-030405", state="finished", created="2026-01-02T03:04:05Z",
    updated="2026-01-02T03:14:05Z", source="pets", model="cnn", command="keensight train pets --epochs 2", seed=3,
    versions={"keensight": "0.1.0", "keras": "3.15.1"}, message="done",
    process=Process(4321, "machine", "8765", "boot", "pid:[1]"), resumed=("2026-01-02T03:08:05Z",),
    results={"dataset_digest": "d" * 64, "test": {"accuracy": 0.5, "cleaned_n": 1, "map": 0.5, "n": 2}},
)  # fmt: skip
DATA = Dataset(
    "pets", "table", LABELS,
    tuple(
        Sample(f"{i}.jpg", LABELS.names[i % 2], f"{i:064x}", 100 + i, info=ImageInfo("JPEG", "RGB", 64, 48))
        for i in range(4)
    ),
)  # fmt: skip
SPLIT = Split((0,), (1,), (2, 3), "iterative stratification, seed 3")
HISTORY = History((Epoch(1, "head", 4, 1.5, 0.05, 1.0, 0.5, 1.125, 0.25, val_map=0.75),), 1, "early")
AUDIT = AuditReport(
    dataset="pets", n=4, counts={"cat": 2, 'dog "b", c': 2}, parts={}, formats={"JPEG": 4}, modes={"RGB": 4},
    sizes={"64x48": 4}, width_range=(64, 64, 64), height_range=(48, 48, 48), grey_share=0.25,
    findings=(
        Finding(
            "near-duplicate", "warning", "1 picture stands there twice.", 1, (("0.jpg", "1.jpg"),), (0.9375,), 0.9,
            "correlation of the details", Histogram((0.0, 0.5, 1.0), (3, 1)), "--group patient", ((0, 1),),
        ),
    ),
    quarantined=(Skipped("2.jpg", "the file is cut short"),), quarantined_rows=(2,),
    probes=(Probe("corners", HALF, 0.5, 0.625, 4, "alarm", "The corners alone tell the class."),),
    columns=(
        Column("site", "category", 1, 2, {"cat": {"A": 1, "B": 1}}),
        Column("age", "number", 0, 4, quantiles={"cat": (1.0, 2.0, 3.0, 4.0, 5.0)}),
    ),
)  # fmt: skip
PREDICTIONS = Predictions(
    ("2.jpg", "3.jpg"), LABELS, np.array([[0.75, 0.25], [0.875, 0.125]], np.float32),
    ood_scores=np.array([0.25, 1.5], np.float32), odd=np.array([False, True]), indices=np.array([2, 3]),
    truth=np.array([0, 1]), clusters=np.array([0, 0]),
)  # fmt: skip
RULE = Decision(0.625, "precision", 0.75, 0.5, 0.875, 0.25, 40)
BINS = (ReliabilityBin(0.0, 0.5, 2, 0.25, 0.5), ReliabilityBin(0.5, 1.0, 0, 0.0, 0.0))
EVALUATION = Evaluation(
    part="test", n=2, labels=LABELS, loss=1.25, accuracy=HALF, top_k={"1": 0.5}, macro_f1=0.25, weighted_f1=0.375,
    ece=0.125,
    per_class=(
        ClassScore("cat", 0.5, 1.0, 0.625, 1, 0.75, {"auroc": HALF, "recall": Interval(1.0, 0.25, 1.0)}),
        ClassScore('dog "b", c', 0.0, 0.0, 0.0, 1),
    ),
    confusion=((1, 0), (1, 0)), baseline_accuracy=0.5, seconds=0.75, seen=1, cleaned=Interval(1.0, 0.5, 1.0),
    brier=0.5, auroc=0.75, intervals={"auroc": HALF, "brier": HALF, "loss": Interval(1.25, 1.0, 1.5, 0.95, "t")},
    calibration=Calibration(1.5, 1.375, 0.625, 0.25, BINS, BINS[:1]),
    caveats=(Caveat("few-images", "The accuracy is of only 2 test images.", "Add test images."),),
    abstention=Abstention(RULE, HALF, None, HALF, 0.125, ((0.5, 1.0), (1.0, 0.5)), HALF, 1.5, 0.25),
)  # fmt: skip
SUSPECTS = LabelSuspects(
    4, "by hand", 0.75, 0.125, (Suspect("0.jpg", "0" * 64, "train", "cat", 'dog "b", c', 0.0625, 0.5),),
    (ClassNoise("cat", 2, 1, 0.25, 'dog "b", c'),), AccuracyRange(2, 1, 0.5, 0.25, 0.75, 0.625),
    (Suspect("1.jpg", "1" * 64, "test", 'dog "b", c', "cat", 0.25, 0.75),), 0.875, 0.625,
)  # fmt: skip
SLICES = Slices(
    "test", 2, 0.5, (SliceScore("site", "A", 1, HALF, 0.75, 0.5, 0.25, 0.5, True),),
    (SmallSlices("age", 3, 4, ("1", "2")),), 1, 0.05, 2, "by hand",
)  # fmt: skip
RECORDS = (
    RECORD,
    RECORD.process,
    AUDIT,
    AUDIT.findings[0],
    AUDIT.probes[0],
    EVALUATION,
    SUSPECTS,
    SLICES,
    SLICES.scores[0],
    RULE,
    BINS[0],
    EVALUATION.calibration,
    EVALUATION.abstention,
    EVALUATION.per_class[0],
    EVALUATION.caveats[0],
)


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_text(folder / "run.json", canonical_json(to_plain(RECORD)))
    run = Run(folder, RECORD)
    run.save_audit(AUDIT)
    run.save_split(SPLIT, DATA)
    for epoch in HISTORY.epochs:
        run.append_epoch(epoch)
    run.save_history(HISTORY)
    run.save_evaluation(Evaluated.of(EVALUATION, PREDICTIONS, DATA))
    run.save_label_suspects(SUSPECTS)
    run.save_slices(SLICES)


def files(folder: Path) -> dict[str, str]:
    found = (item for item in folder.rglob("*") if item.is_file())
    return {item.relative_to(folder).as_posix(): item.read_bytes().decode("utf-8") for item in found}


def test_this_version_reads_a_run_of_schema_5() -> None:
    run = open_run(HERE)
    assert run.record == RECORD
    assert run.audit == AUDIT
    assert run.split == SPLIT
    assert run.history == HISTORY
    assert run.evaluation == EVALUATION
    for name in ("probabilities", "indices", "truth", "clusters"):
        np.testing.assert_array_equal(getattr(run.predictions, name), getattr(PREDICTIONS, name))
    assert run.predictions.decision == RULE
    assert [run.predictions.reason(row) for row in (0, 1)] == [None, UNLIKE]
    assert run.label_suspects == SUSPECTS
    assert run.slices == SLICES


def test_this_version_writes_schema_5_to_the_letter(tmp_path: Path) -> None:
    assert RECORD.schema == SCHEMA
    write_all(tmp_path / "now")
    assert files(tmp_path / "now") == files(HERE)


def test_no_field_is_left_out_by_oversight() -> None:
    """A field that is added later must appear in this fixture or be given a schema of its own."""
    text = "".join(files(HERE).values())
    for record in RECORDS:
        for field in dataclasses.fields(record):
            if field.compare:
                assert f'"{field.name}"' in text, field.name


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    write_all(HERE)
