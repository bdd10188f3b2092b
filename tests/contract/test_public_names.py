"""The front door: a name that appears or goes is a decision, made here."""

import subprocess
import sys
from importlib import import_module

import pytest

import keensight

PUBLIC = [
    "AnomalyEvaluation",
    "AnomalyScores",
    "AuditReport",
    "Bundle",
    "Classifier",
    "DataError",
    "Dataset",
    "DriftReport",
    "Embeddings",
    "Evaluated",
    "Evaluation",
    "Explanation",
    "GateError",
    "History",
    "ImageClassifier",
    "ImageError",
    "ImageSpec",
    "InterruptedRun",
    "KeensightError",
    "LabelSet",
    "Predictions",
    "Run",
    "RunConfig",
    "Sample",
    "Split",
    "Study",
    "StoreError",
    "Suggestions",
    "TrainingError",
    "UsageError",
    "__version__",
    "adopt",
    "audit",
    "batches",
    "build",
    "bundle",
    "calibrate",
    "changes_since",
    "check_labels",
    "compare",
    "delete_run",
    "drift",
    "embed",
    "enrol",
    "errors",
    "evaluate",
    "explain",
    "export",
    "fit",
    "framework",
    "from_arrays",
    "from_frame",
    "image_spec",
    "label_images",
    "list_runs",
    "learning_curve",
    "load",
    "load_detector",
    "open",
    "open_bundle",
    "open_run",
    "open_study",
    "operating_point",
    "predict",
    "predict_to_file",
    "prepare",
    "rename_run",
    "report",
    "rerun",
    "resume",
    "resume_study",
    "review",
    "show",
    "similar",
    "slices_of",
    "split",
    "suggest",
    "train",
    "train_seeds",
    "tune",
    "verify",
    "wilson",
    "write_embeddings",
    "write_explanations",
    "write_predictions",
    "write_suggestions",
]


def test_public_names_are_these():
    assert sorted(keensight.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_described(name):
    thing = getattr(keensight, name)
    assert isinstance(thing, str) or thing.__doc__


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'trian'"):
        _ = keensight.trian


def test_the_front_door_imports_no_framework():
    # ImageClassifier derives from a class of scikit-learn's, so that asking for it imports that.
    script = (
        "import sys, keensight\n"
        "[getattr(keensight, name) for name in keensight.__all__ if name != 'ImageClassifier']\n"
        "assert not {'keras', 'tensorflow', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("keensight.show.picks", "keensight.show.misclassified", "find_mistakes"),
        ("keensight.assess.uncertainty", "keensight.assess.intervals", "wilson"),
    ],
)
def test_what_earlier_notebooks_import_is_still_there(old, new, name):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        module = import_module(old)
    assert getattr(module, name) is getattr(import_module(new), name)
