"""The hallway: the only room that knows the order of the others. One function per verb.

``open -> prepare -> audit -> split -> build -> fit -> bundle -> evaluate -> report``: each is a step from
record to record; :func:`train` walks them all and keeps every record in a run.
"""

from keensight.workflow.bundling import bundle, sit_exam
from keensight.workflow.measuring import document, evaluate, report
from keensight.workflow.steps import audit, batches, build, configure, fit, image_spec, models, open, prepare, split
from keensight.workflow.training import train
from keensight.workflow.using import load, predict, write_predictions
from keensight.workflow.versions import versions

__all__ = [
    "audit",
    "batches",
    "build",
    "bundle",
    "configure",
    "document",
    "evaluate",
    "fit",
    "image_spec",
    "load",
    "models",
    "open",
    "predict",
    "prepare",
    "report",
    "sit_exam",
    "split",
    "train",
    "versions",
    "write_predictions",
]
