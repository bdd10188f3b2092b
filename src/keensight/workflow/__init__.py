"""The workflow: the only layer that combines the others. One function per verb.

``open -> prepare -> audit -> split -> build -> fit -> bundle -> evaluate -> report``: each is a step from record to
record; :func:`train` runs them all and saves every record in a run.
"""

from keensight.workflow.adopt import adopt
from keensight.workflow.audit import audit, refuse_severe
from keensight.workflow.bundle import bundle, versions
from keensight.workflow.calibrate import calibrate
from keensight.workflow.compare import compare
from keensight.workflow.drift import drift
from keensight.workflow.enrol import enrol
from keensight.workflow.evaluate import document, evaluate, report, slices_of
from keensight.workflow.explain import explain, explanations, write_explanations
from keensight.workflow.export import export
from keensight.workflow.fit import batches, fit
from keensight.workflow.label_errors import check_labels
from keensight.workflow.learning_curve import learning_curve
from keensight.workflow.light_form import add_light_form
from keensight.workflow.operating_point import operating_point
from keensight.workflow.predict import (
    check_embeddings_place,
    check_predictions_place,
    embed,
    load,
    load_detector,
    predict,
    predict_and_embed,
    predict_with_heatmaps,
    similar,
    write_embeddings,
    write_predictions,
)
from keensight.workflow.prepare import split
from keensight.workflow.prototypes import prototypes_of
from keensight.workflow.review import review
from keensight.workflow.self_test import run_self_test
from keensight.workflow.steps import build, changes_since, configure, image_spec, models, open, prepare
from keensight.workflow.suggest import check_suggestions_place, label_images, suggest, write_suggestions
from keensight.workflow.tour import SAMPLE, write_tour
from keensight.workflow.train import train, train_seeds
from keensight.workflow.verify import verify

__all__ = [
    "SAMPLE",
    "add_light_form",
    "adopt",
    "audit",
    "batches",
    "build",
    "bundle",
    "calibrate",
    "changes_since",
    "check_embeddings_place",
    "check_labels",
    "check_predictions_place",
    "check_suggestions_place",
    "compare",
    "configure",
    "document",
    "drift",
    "embed",
    "enrol",
    "evaluate",
    "explain",
    "explanations",
    "export",
    "fit",
    "image_spec",
    "label_images",
    "learning_curve",
    "load",
    "load_detector",
    "models",
    "open",
    "operating_point",
    "predict",
    "predict_and_embed",
    "predict_with_heatmaps",
    "prepare",
    "prototypes_of",
    "refuse_severe",
    "report",
    "review",
    "run_self_test",
    "similar",
    "slices_of",
    "split",
    "suggest",
    "train",
    "train_seeds",
    "verify",
    "versions",
    "write_embeddings",
    "write_explanations",
    "write_predictions",
    "write_suggestions",
    "write_tour",
]
