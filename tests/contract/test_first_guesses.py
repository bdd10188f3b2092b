"""Where would somebody who knows Keras or scikit-learn look first? There it must be.

Each question has the word that a newcomer would search for among file names; the one module that bears it defines what
answers the question.
"""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "keensight"

GUESSES = [
    ("Where are images decoded?", "core/pixels.py", "decode"),
    ("Where are the settings?", "core/config.py", "RunConfig"),
    ("Where is the record of predictions?", "core/predictions.py", "Predictions"),
    ("Where is out-of-distribution detection?", "core/ood.py", "score"),
    ("Where are folders per class read?", "data/sources/folders.py", "open_folder"),
    ("Where are CSV tables read?", "data/sources/tables.py", "from_frame"),
    ("Where is a tf.data.Dataset read?", "data/sources/tfdata.py", "from_streams"),
    ("Where are the audit's checks?", "data/audit/checks.py", "imbalance"),
    ("Where are near-duplicates found?", "data/audit/near_duplicates.py", "find_near_duplicates"),
    ("Where is data leakage between splits found?", "data/audit/leakage.py", "leaks"),
    ("Where are train, validation and test set made?", "data/splits.py", "make_split"),
    ("Where is the cache of decoded images?", "data/cache.py", "prepare"),
    ("Where is a CNN built?", "nets/models/build.py", "build"),
    ("Where are the backbones listed?", "nets/models/backbones.py", "Architecture"),
    ("Where is data augmentation?", "nets/training/augment.py", "resolve"),
    ("Where are the losses?", "nets/training/losses.py", "Sigmoid"),
    ("Where are the Keras callbacks?", "nets/training/callbacks.py", "Watcher"),
    ("Where is transfer learning?", "nets/training/transfer.py", "transfer"),
    ("Where is Grad-CAM?", "nets/gradcam.py", "Explainer"),
    ("Where is the classifier that predicts?", "nets/classifier.py", "Classifier"),
    ("Where are the metrics?", "assess/metrics.py", "evaluate"),
    ("Where are confidence intervals?", "assess/intervals.py", "wilson"),
    ("Where is the probability calibration?", "assess/calibration.py", "fit_temperature"),
    ("Where are label errors found?", "assess/confident_learning.py", "judge"),
    ("Where is the model card?", "store/model_card.py", "model_card"),
    ("Where are misclassified images chosen?", "show/misclassified.py", "find_mistakes"),
    ("Where is the HTML report?", "show/report.py", "write_report"),
    ("Where is the whole training?", "workflow/train.py", "train"),
    ("Where is the command `keensight evaluate`?", "cli/evaluate.py", "evaluate"),
    ("Where is the scikit-learn estimator?", "workflow/estimator.py", "ImageClassifier"),
]


def defined(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


@pytest.mark.parametrize(("question", "file", "name"), GUESSES, ids=[file for _, file, _ in GUESSES])
def test_a_first_guess_hits(question, file, name):
    path = SOURCE / file
    assert path.is_file(), question
    assert name in defined(path), f"{question} {file} does not define {name}"


def test_a_name_stands_in_one_layer_unless_it_is_the_same_subject():
    """``cli`` and ``scale`` aside, where each file is named like its command, or the work that it spreads."""
    shared = {
        "adopt", "anomaly", "audit", "bundle", "calibration", "comparison", "drift", "engines", "export", "features",
        "fit", "intensity", "background", "learning_curve", "multilabel", "operating_point", "parity", "pixels",
        "progress", "prototypes", "review", "slices", "study", "tour", "training_overlap",
    }  # fmt: skip
    layers = {}
    for path in SOURCE.rglob("*.py"):
        layer = path.relative_to(SOURCE).parts[0]
        if path.stem not in ("__init__", "__main__") and layer not in ("cli", "scale"):
            layers.setdefault(path.stem, set()).add(layer)
    assert {name for name, where in layers.items() if len(where) > 1} == shared
