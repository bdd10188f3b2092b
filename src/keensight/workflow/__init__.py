"""The workflow: the only layer that combines the others. One function per verb.

``open -> prepare -> audit -> split -> build -> fit -> bundle -> evaluate -> report``: each is a step from record to
record; :func:`train` runs them all and saves every record in a run. Names are imported on first use, so that a command
imports only what it needs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

_HOMES: dict[str, tuple[str, ...]] = {
    "adopt": ("adopt",),
    "audit": ("audit", "refuse_severe"),
    "bundle": ("bundle", "versions"),
    "calibrate": ("calibrate",),
    "compare": ("compare",),
    "drift": ("drift",),
    "enrol": ("enrol",),
    "evaluate": ("document", "evaluate", "report", "slices_of"),
    "explain": ("explain", "explanations", "write_explanations"),
    "export": ("export",),
    "fit": ("batches", "fit"),
    "label_errors": ("check_labels",),
    "learning_curve": ("learning_curve",),
    "light_form": ("add_light_form",),
    "operating_point": ("operating_point",),
    "predict": (
        "check_embeddings_place",
        "embed",
        "load",
        "load_detector",
        "predict",
        "predict_and_embed",
        "predict_with_heatmaps",
        "similar",
        "write_embeddings",
    ),
    "prediction_tables": (
        "Layout",
        "Written",
        "as_csv",
        "check_predictions_place",
        "named_model",
        "predict_to_file",
        "write_predictions",
    ),
    "prepare": ("split",),
    "prototypes": ("prototypes_of",),
    "rerun": ("rerun",),
    "resume": ("resume",),
    "review": ("review",),
    "self_test": ("run_self_test",),
    "steps": ("build", "changes_since", "configure", "image_spec", "models", "open", "prepare"),
    "suggest": ("check_suggestions_place", "label_images", "suggest", "write_suggestions"),
    "tour": ("SAMPLE", "write_tour"),
    "train": ("train", "train_seeds"),
    "tune": ("resume_study", "tune"),
    "verify": ("verify",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from keensight.workflow.adopt import adopt as adopt
    from keensight.workflow.audit import audit as audit
    from keensight.workflow.audit import refuse_severe as refuse_severe
    from keensight.workflow.bundle import bundle as bundle
    from keensight.workflow.bundle import versions as versions
    from keensight.workflow.calibrate import calibrate as calibrate
    from keensight.workflow.compare import compare as compare
    from keensight.workflow.drift import drift as drift
    from keensight.workflow.enrol import enrol as enrol
    from keensight.workflow.evaluate import document as document
    from keensight.workflow.evaluate import evaluate as evaluate
    from keensight.workflow.evaluate import report as report
    from keensight.workflow.evaluate import slices_of as slices_of
    from keensight.workflow.explain import explain as explain
    from keensight.workflow.explain import explanations as explanations
    from keensight.workflow.explain import write_explanations as write_explanations
    from keensight.workflow.export import export as export
    from keensight.workflow.fit import batches as batches
    from keensight.workflow.fit import fit as fit
    from keensight.workflow.label_errors import check_labels as check_labels
    from keensight.workflow.learning_curve import learning_curve as learning_curve
    from keensight.workflow.light_form import add_light_form as add_light_form
    from keensight.workflow.operating_point import operating_point as operating_point
    from keensight.workflow.predict import check_embeddings_place as check_embeddings_place
    from keensight.workflow.predict import embed as embed
    from keensight.workflow.predict import load as load
    from keensight.workflow.predict import load_detector as load_detector
    from keensight.workflow.predict import predict as predict
    from keensight.workflow.predict import predict_and_embed as predict_and_embed
    from keensight.workflow.predict import predict_with_heatmaps as predict_with_heatmaps
    from keensight.workflow.predict import similar as similar
    from keensight.workflow.predict import write_embeddings as write_embeddings
    from keensight.workflow.prediction_tables import Layout as Layout
    from keensight.workflow.prediction_tables import Written as Written
    from keensight.workflow.prediction_tables import as_csv as as_csv
    from keensight.workflow.prediction_tables import check_predictions_place as check_predictions_place
    from keensight.workflow.prediction_tables import named_model as named_model
    from keensight.workflow.prediction_tables import predict_to_file as predict_to_file
    from keensight.workflow.prediction_tables import write_predictions as write_predictions
    from keensight.workflow.prepare import split as split
    from keensight.workflow.prototypes import prototypes_of as prototypes_of
    from keensight.workflow.rerun import rerun as rerun
    from keensight.workflow.resume import resume as resume
    from keensight.workflow.review import review as review
    from keensight.workflow.self_test import run_self_test as run_self_test
    from keensight.workflow.steps import build as build
    from keensight.workflow.steps import changes_since as changes_since
    from keensight.workflow.steps import configure as configure
    from keensight.workflow.steps import image_spec as image_spec
    from keensight.workflow.steps import models as models
    from keensight.workflow.steps import open as open
    from keensight.workflow.steps import prepare as prepare
    from keensight.workflow.suggest import check_suggestions_place as check_suggestions_place
    from keensight.workflow.suggest import label_images as label_images
    from keensight.workflow.suggest import suggest as suggest
    from keensight.workflow.suggest import write_suggestions as write_suggestions
    from keensight.workflow.tour import SAMPLE as SAMPLE
    from keensight.workflow.tour import write_tour as write_tour
    from keensight.workflow.train import train as train
    from keensight.workflow.train import train_seeds as train_seeds
    from keensight.workflow.tune import resume_study as resume_study
    from keensight.workflow.tune import tune as tune
    from keensight.workflow.verify import verify as verify


class _Verbs(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{self.__name__}.{_HOME[name]}"), name)
        setattr(self, name, found)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        # Python makes an imported module such as ``train`` an attribute of its package, where the function must stay.
        if name not in _HOME or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Verbs
