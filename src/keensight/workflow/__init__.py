"""The hallway: the only room that knows the order of the others. One function per verb.

``open -> prepare -> audit -> split -> build -> fit -> bundle -> evaluate -> report``: each is a step from
record to record; :func:`train` walks them all and keeps every record in a run.
"""

from keensight.workflow.auditing import audit, refuse_severe
from keensight.workflow.bundling import bundle, sit_exam
from keensight.workflow.correcting import changes_since
from keensight.workflow.enrolling import enrol
from keensight.workflow.explaining import explain, explanations, write_explanations
from keensight.workflow.measuring import document, evaluate, report
from keensight.workflow.prototypes import prototypes_of
from keensight.workflow.reviewing import review
from keensight.workflow.steps import batches, build, configure, fit, image_spec, models, open, prepare, split
from keensight.workflow.suspects import check_labels
from keensight.workflow.training import train
from keensight.workflow.using import (
    check_embeddings_name,
    embed,
    load,
    predict,
    predict_and_embed,
    write_embeddings,
    write_predictions,
)
from keensight.workflow.versions import versions

__all__ = [
    "audit",
    "batches",
    "build",
    "bundle",
    "changes_since",
    "check_embeddings_name",
    "check_labels",
    "configure",
    "document",
    "embed",
    "enrol",
    "evaluate",
    "explain",
    "explanations",
    "fit",
    "image_spec",
    "load",
    "models",
    "open",
    "predict",
    "predict_and_embed",
    "prepare",
    "prototypes_of",
    "refuse_severe",
    "report",
    "review",
    "sit_exam",
    "split",
    "train",
    "versions",
    "write_embeddings",
    "write_explanations",
    "write_predictions",
]
