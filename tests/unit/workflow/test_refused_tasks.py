"""Work that is for classifiers, or for one class per image, is refused at once, with a hint that can be followed."""

import dataclasses

import numpy as np
import pytest

import store_builders as make
from keensight.cli.main import main
from keensight.core.anomaly import PATCH_MEMORY
from keensight.core.pixels import encode_png
from keensight.core.records import LabelSet
from keensight.core.task import Task
from keensight.store.bundle import write_bundle


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with two classes of one image each, and no training."""
    monkeypatch.chdir(tmp_path)
    for kind in ("a", "b"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        (tmp_path / "photos" / kind / "0.png").write_bytes(encode_png(np.full((8, 8, 3), ord(kind), np.uint8)))
    return tmp_path


@pytest.fixture
def detector(place):
    """A finished run of an anomaly detector."""
    limits = {"threshold": 1.0, "patch": 1.0, "rate": 0.05, "images": 40}
    decision = {"rule": PATCH_MEMORY, "limits": limits}
    manifest = make.manifest(LabelSet(("normal", "anomalous")), task=Task.ANOMALY, decision=decision)
    run = make.make_run(place / "run")
    write_bundle(run.path / "bundle", manifest=manifest, save_model=make.write_model, exam=make.exam(1))
    return run.update(state="finished", results={"task": "anomaly", "test": {}})


@pytest.fixture
def several(place):
    """A finished run of several labels, without a label check."""
    data = make.dataset()
    samples = tuple(dataclasses.replace(one, label="", labels=(one.label,)) for one in data.samples)
    run = make.make_run(place / "several")
    run.save_dataset(dataclasses.replace(data, task=Task.MULTILABEL, samples=samples))
    return run.update(state="finished", results={"task": "multilabel", "test": {}})


@pytest.mark.parametrize(
    ("line", "code", "error", "hint"),
    [
        (
            ["drift", "run", "photos"], 2, "run/bundle is an anomaly detector, and drift is found for classifiers only",
            "score the images instead: keensight predict run/bundle IMAGE...",
        ),
        (
            ["drift", "run", "photos", "--reference", "photos"], 2,
            "run/bundle is an anomaly detector, and drift is found for classifiers only",
            "score the images instead: keensight predict run/bundle IMAGE...",
        ),
        (
            ["review", "run"], 1, "run is the run of an anomaly detector: it has no label check and cannot be reviewed",
            "its mistakes are in run/report.html",
        ),
        (
            ["review", "run", "photos"], 1,
            "run is the run of an anomaly detector: it has no label check and cannot be reviewed",
            "its mistakes are in run/report.html",
        ),
        (
            ["evaluate", "run", "photos"], 2, "an anomaly detector is evaluated on the test set of its run only",
            "leave out SOURCE: keensight evaluate run",
        ),
        (
            ["evaluate", "run/bundle", "photos"], 2, "an anomaly detector is evaluated on the test set of its run only",
            "leave out SOURCE: keensight evaluate RUN",
        ),
    ],
)  # fmt: skip
def test_an_anomaly_detector_is_refused_at_once(detector, line, code, error, hint, capsys):
    assert main(line) == code
    assert capsys.readouterr().err == f"error: {error}\nhint: {hint}\n"


def test_the_labels_of_a_multi_label_run_are_not_looked_for_where_no_check_was_made(several, capsys):
    assert main(["review", "several"]) == 1
    message, hint = capsys.readouterr().err.splitlines()
    assert message == "error: several is a multi-label run, but a review assigns one class per image"
    assert hint == "hint: check the mistakes in several/report.html, and correct the table by hand"


def test_the_heatmaps_of_a_classifier_are_those_of_explain(place, capsys):
    make.make_bundle(place / "b")
    assert main(["predict", "b", "photos/a/0.png", "--heatmaps", "my maps"]) == 2
    assert capsys.readouterr().err == (
        "error: b is a classifier, and only anomaly detectors have anomaly heatmaps\n"
        "hint: `keensight explain b IMAGE --out 'my maps'` shows which regions drove a prediction\n"
    )
