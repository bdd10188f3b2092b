"""What depends on the task of a finished model: how its run is read and reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.evaluation import Evaluated
from keensight.core.task import Task
from keensight.workflow import anomaly, classification

if TYPE_CHECKING:
    from keensight.store.run import Run


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one task."""

    stored: Callable[[Run], Evaluated | AnomalyEvaluation]
    """The evaluation that a run keeps, with its predictions and pictures."""
    report: Callable[[Run, Any], Path]
    """Writes the report of a run from its evaluation."""


_CLASSES = Steps(classification.stored, classification.report)
STEPS: Mapping[Task, Steps] = {
    Task.MULTICLASS: _CLASSES,
    Task.MULTILABEL: _CLASSES,
    Task.ANOMALY: Steps(anomaly.stored, anomaly.report),
}


def of_run(run: Run) -> Steps:
    """The steps of a finished run's task."""
    # Classifiers' runs of older versions do not say which of the two kinds they are.
    return STEPS[Task(run.record.results.get("task", Task.MULTICLASS))]


def is_detector(model: Any) -> bool:
    """Whether a run, a bundle or a path is that of an anomaly detector."""
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.store.bundle import open_bundle

    if isinstance(model, (Detector, Classifier)):
        return isinstance(model, Detector)
    return open_bundle(getattr(model, "path", model)).manifest.task == Task.ANOMALY
