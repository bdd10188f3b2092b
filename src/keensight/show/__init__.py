"""Room of the pictures: figures, progress, the terminal and the report.

The public functions are loaded when first used, so that importing the room costs nothing::

    import keensight as ks
    ks.show.samples(data); ks.show.curves(run); ks.show.confusion(ev); ks.show.mistakes(ev)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keensight.show.certainty import reliability, risk_coverage
    from keensight.show.explaining import explanation
    from keensight.show.figures import class_balance, confusion, curves, mistakes, samples
    from keensight.show.multilabel import average_precision, co_occurrence, label_counts
    from keensight.show.neighbours import similar
    from keensight.show.notebook import live_curves
    from keensight.show.operating import roc
    from keensight.show.progress import best_progress
    from keensight.show.report import ReportData, write_report
    from keensight.show.widgets import browse, classify

_HOMES = {
    "ReportData": "report",
    "average_precision": "multilabel",
    "best_progress": "progress",
    "browse": "widgets",
    "class_balance": "figures",
    "classify": "widgets",
    "co_occurrence": "multilabel",
    "confusion": "figures",
    "curves": "figures",
    "explanation": "explaining",
    "label_counts": "multilabel",
    "live_curves": "notebook",
    "mistakes": "figures",
    "reliability": "certainty",
    "risk_coverage": "certainty",
    "roc": "operating",
    "samples": "figures",
    "similar": "neighbours",
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
    return sorted({*globals(), *__all__})
