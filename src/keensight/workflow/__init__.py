"""The hallway: the only room that knows the order of the others. One function per verb.

``open -> prepare -> audit -> split -> build -> fit -> bundle -> evaluate -> report``: each is a step from
record to record; :func:`train` walks them all and keeps every record in a run.
"""

from keensight.workflow.adopting import adopt
from keensight.workflow.auditing import audit, refuse_severe
from keensight.workflow.bundling import bundle
from keensight.workflow.comparing import compare
from keensight.workflow.correcting import changes_since
from keensight.workflow.deciding import calibrate
from keensight.workflow.enrolling import enrol
from keensight.workflow.explaining import explain, explanations, write_explanations
from keensight.workflow.growing import learning_curve
from keensight.workflow.measuring import document, evaluate, report
from keensight.workflow.operating import operating_point
from keensight.workflow.preparing import split
from keensight.workflow.prototypes import prototypes_of
from keensight.workflow.reviewing import review
from keensight.workflow.seeding import train_seeds
from keensight.workflow.selftest import sit_exam
from keensight.workflow.slicing import slices_of
from keensight.workflow.steps import batches, build, configure, fit, image_spec, models, open, prepare
from keensight.workflow.suspects import check_labels
from keensight.workflow.touring import SAMPLE, write_tour
from keensight.workflow.training import train
from keensight.workflow.using import (
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
from keensight.workflow.verifying import verify
from keensight.workflow.versions import versions

__all__ = [
    "SAMPLE",
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
    "compare",
    "configure",
    "document",
    "embed",
    "enrol",
    "evaluate",
    "explain",
    "explanations",
    "fit",
    "image_spec",
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
    "similar",
    "sit_exam",
    "slices_of",
    "split",
    "train",
    "train_seeds",
    "verify",
    "versions",
    "write_embeddings",
    "write_explanations",
    "write_predictions",
    "write_tour",
]
