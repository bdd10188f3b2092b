"""Figures, progress bars, terminal output and HTML reports.

The public functions are loaded on first use, so that importing this package is fast::

    import keensight as ks
    ks.show.samples(data); ks.show.curves(run); ks.show.confusion(ev); ks.show.mistakes(ev)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keensight.show.calibration import reliability, risk_coverage
    from keensight.show.figures import class_balance, confusion, curves, mistakes, samples
    from keensight.show.heatmap import explanation
    from keensight.show.multilabel import average_precision, co_occurrence, label_counts
    from keensight.show.notebook.display import live_curves
    from keensight.show.notebook.widgets import browse, classify
    from keensight.show.progress import best_progress
    from keensight.show.report import ReportData, write_report
    from keensight.show.roc_curve import roc
    from keensight.show.similar_images import similar

_HOMES = {
    "ReportData": "report",
    "average_precision": "multilabel",
    "best_progress": "progress",
    "browse": "notebook.widgets",
    "class_balance": "figures",
    "classify": "notebook.widgets",
    "co_occurrence": "multilabel",
    "confusion": "figures",
    "curves": "figures",
    "explanation": "heatmap",
    "label_counts": "multilabel",
    "live_curves": "notebook.display",
    "mistakes": "figures",
    "reliability": "calibration",
    "risk_coverage": "calibration",
    "roc": "roc_curve",
    "samples": "figures",
    "similar": "similar_images",
    "write_report": "report",
}

__all__ = [
    "ReportData",
    "average_precision",
    "best_progress",
    "browse",
    "class_balance",
    "classify",
    "co_occurrence",
    "confusion",
    "curves",
    "explanation",
    "label_counts",
    "live_curves",
    "mistakes",
    "reliability",
    "risk_coverage",
    "roc",
    "samples",
    "similar",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
