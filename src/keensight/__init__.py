"""Keensight: train, test and explain an image classifier from a folder of labeled images.

    import keensight as ks

    data = ks.open("photos/")
    run = ks.train(data)
    model = ks.load(run)
    model.predict("new.jpg").rows()

Names are imported on first use, so that ``import keensight`` stays light. The examples in the documentation of each
name are run as tests; in them ``data`` is an open image set, ``split`` its split, ``pixels`` its decoded images,
``run`` a finished run, ``model`` the classifier of that run and ``study`` a finished search of settings.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "keensight.workflow": (
        "adopt",
        "audit",
        "batches",
        "build",
        "bundle",
        "calibrate",
        "compare",
        "changes_since",
        "check_labels",
        "drift",
        "embed",
        "enrol",
        "evaluate",
        "explain",
        "export",
        "fit",
        "image_spec",
        "label_images",
        "learning_curve",
        "load",
        "load_detector",
        "open",
        "operating_point",
        "predict",
        "predict_to_file",
        "prepare",
        "report",
        "rerun",
        "resume",
        "resume_study",
        "review",
        "similar",
        "slices_of",
        "split",
        "suggest",
        "train",
        "train_seeds",
        "tune",
        "verify",
        "write_embeddings",
        "write_explanations",
        "write_predictions",
        "write_suggestions",
    ),
    "keensight.workflow.estimator": ("ImageClassifier",),
    "keensight.assess.intervals": ("wilson",),
    "keensight.core.config": ("RunConfig",),
    "keensight.core.audit": ("AuditReport",),
    "keensight.core.records": ("Dataset", "History", "ImageSpec", "LabelSet", "Sample", "Split"),
    "keensight.core.predictions": ("Embeddings", "Explanation", "Predictions"),
    "keensight.core.suggestions": ("Suggestions",),
    "keensight.core.drift": ("DriftReport",),
    "keensight.core.anomaly": ("AnomalyScores",),
    "keensight.core.anomaly_evaluation": ("AnomalyEvaluation",),
    "keensight.core.evaluation": ("Evaluated", "Evaluation"),
    "keensight.data.sources.readers": ("from_arrays", "from_frame"),
    "keensight.nets.classifier": ("Classifier",),
    "keensight.nets.runtime": ("framework",),
    "keensight.store.bundle": ("Bundle", "open_bundle"),
    "keensight.store.manage_runs": ("delete_run", "rename_run"),
    "keensight.store.run": ("Run", "list_runs", "open_run"),
    "keensight.store.study": ("Study", "open_study"),
    "keensight.errors": (
        "DataError",
        "GateError",
        "ImageError",
        "InterruptedRun",
        "KeensightError",
        "StoreError",
        "TrainingError",
        "UsageError",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", "errors", "show", *sorted(_HOME)]

if TYPE_CHECKING:
    from keensight import errors as errors
    from keensight import show as show
    from keensight.assess.intervals import wilson as wilson
    from keensight.core.anomaly import AnomalyScores as AnomalyScores
    from keensight.core.anomaly_evaluation import AnomalyEvaluation as AnomalyEvaluation
    from keensight.core.audit import AuditReport as AuditReport
    from keensight.core.config import RunConfig as RunConfig
    from keensight.core.drift import DriftReport as DriftReport
    from keensight.core.evaluation import Evaluated as Evaluated
    from keensight.core.evaluation import Evaluation as Evaluation
    from keensight.core.predictions import Embeddings as Embeddings
    from keensight.core.predictions import Explanation as Explanation
    from keensight.core.predictions import Predictions as Predictions
    from keensight.core.records import Dataset as Dataset
    from keensight.core.records import History as History
    from keensight.core.records import ImageSpec as ImageSpec
    from keensight.core.records import LabelSet as LabelSet
    from keensight.core.records import Sample as Sample
    from keensight.core.records import Split as Split
    from keensight.core.suggestions import Suggestions as Suggestions
    from keensight.data.sources.readers import from_arrays as from_arrays
    from keensight.data.sources.readers import from_frame as from_frame
    from keensight.errors import DataError as DataError
    from keensight.errors import GateError as GateError
    from keensight.errors import ImageError as ImageError
    from keensight.errors import InterruptedRun as InterruptedRun
    from keensight.errors import KeensightError as KeensightError
    from keensight.errors import StoreError as StoreError
    from keensight.errors import TrainingError as TrainingError
    from keensight.errors import UsageError as UsageError
    from keensight.nets.classifier import Classifier as Classifier
    from keensight.nets.runtime import framework as framework
    from keensight.store.bundle import Bundle as Bundle
    from keensight.store.bundle import open_bundle as open_bundle
    from keensight.store.manage_runs import delete_run as delete_run
    from keensight.store.manage_runs import rename_run as rename_run
    from keensight.store.run import Run as Run
    from keensight.store.run import list_runs as list_runs
    from keensight.store.run import open_run as open_run
    from keensight.store.study import Study as Study
    from keensight.store.study import open_study as open_study
    from keensight.workflow import adopt as adopt
    from keensight.workflow import audit as audit
    from keensight.workflow import batches as batches
    from keensight.workflow import build as build
    from keensight.workflow import bundle as bundle
    from keensight.workflow import calibrate as calibrate
    from keensight.workflow import changes_since as changes_since
    from keensight.workflow import check_labels as check_labels
    from keensight.workflow import compare as compare
    from keensight.workflow import drift as drift
    from keensight.workflow import embed as embed
    from keensight.workflow import enrol as enrol
    from keensight.workflow import evaluate as evaluate
    from keensight.workflow import explain as explain
    from keensight.workflow import export as export
    from keensight.workflow import fit as fit
    from keensight.workflow import image_spec as image_spec
    from keensight.workflow import label_images as label_images
    from keensight.workflow import learning_curve as learning_curve
    from keensight.workflow import load as load
    from keensight.workflow import load_detector as load_detector
    from keensight.workflow import open as open
    from keensight.workflow import operating_point as operating_point
    from keensight.workflow import predict as predict
    from keensight.workflow import predict_to_file as predict_to_file
    from keensight.workflow import prepare as prepare
    from keensight.workflow import report as report
    from keensight.workflow import rerun as rerun
    from keensight.workflow import resume as resume
    from keensight.workflow import resume_study as resume_study
    from keensight.workflow import review as review
    from keensight.workflow import similar as similar
    from keensight.workflow import slices_of as slices_of
    from keensight.workflow import split as split
    from keensight.workflow import suggest as suggest
    from keensight.workflow import train as train
    from keensight.workflow import train_seeds as train_seeds
    from keensight.workflow import tune as tune
    from keensight.workflow import verify as verify
    from keensight.workflow import write_embeddings as write_embeddings
    from keensight.workflow import write_explanations as write_explanations
    from keensight.workflow import write_predictions as write_predictions
    from keensight.workflow import write_suggestions as write_suggestions
    from keensight.workflow.estimator import ImageClassifier as ImageClassifier
else:  # unseen by type checkers, which would take any name for one that there is

    def __getattr__(name: str) -> Any:
        if name in ("errors", "show"):
            return import_module(f"keensight.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'keensight' has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _greet_notebook() -> None:
    """Where IPython runs this import, let it show Keensight's records as cards."""
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if ask is None else ask()
    if shell is not None:
        import_module("keensight.show.notebook.display").register(shell)


_greet_notebook()
