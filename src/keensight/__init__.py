"""Keensight: train, test and explain an image classifier from a folder of labeled images.

    import keensight as ks

    data = ks.open("photos/")
    run = ks.train(data)
    model = ks.load(run)
    model.predict("new.jpg").rows()

Names are imported on first use, so that ``import keensight`` stays light.
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
        "embed",
        "enrol",
        "evaluate",
        "explain",
        "fit",
        "image_spec",
        "learning_curve",
        "load",
        "load_detector",
        "open",
        "operating_point",
        "predict",
        "prepare",
        "report",
        "review",
        "similar",
        "slices_of",
        "split",
        "train",
        "train_seeds",
        "verify",
        "write_embeddings",
        "write_explanations",
        "write_predictions",
    ),
    "keensight.workflow.estimator": ("ImageClassifier",),
    "keensight.assess.intervals": ("wilson",),
    "keensight.core.config": ("RunConfig",),
    "keensight.core.audit": ("AuditReport",),
    "keensight.core.records": ("Dataset", "History", "ImageSpec", "LabelSet", "Sample", "Split"),
    "keensight.core.predictions": ("Embeddings", "Explanation", "Predictions"),
    "keensight.core.evaluation": ("Evaluated", "Evaluation"),
    "keensight.data.sources.readers": ("from_arrays", "from_frame"),
    "keensight.nets.classifier": ("Classifier",),
    "keensight.nets.runtime": ("framework",),
    "keensight.store.bundle": ("Bundle", "open_bundle"),
    "keensight.store.run": ("Run", "list_runs", "open_run"),
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
    from keensight.core.config import RunConfig as RunConfig
    from keensight.workflow import *  # noqa: F403


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
