"""Figures, progress bars, terminal output and HTML reports.

The public functions are loaded on first use, so that importing this package is fast::

    import keensight as ks
    ks.show.samples(data); ks.show.curves(run); ks.show.confusion(ev); ks.show.mistakes(ev)
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

_HOMES = {
    "keensight.show.calibration": (
        "reliability",
        "risk_coverage",
    ),
    "keensight.show.figures": (
        "confusion",
        "curves",
        "mistakes",
    ),
    "keensight.show.heatmap": ("explanation",),
    "keensight.show.multilabel": (
        "average_precision",
        "co_occurrence",
        "label_counts",
    ),
    "keensight.show.notebook.display": ("live_curves",),
    "keensight.show.notebook.widgets": ("classify",),
    "keensight.show.roc_curve": ("roc",),
    "keensight.show.similar_images": ("similar",),
    "keensight.show.study": (
        "study_history",
        "study_importance",
    ),
    "keensight.workflow.source_pictures": (
        "browse",
        "class_balance",
        "samples",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_MOVED = {"ReportData": "report", "best_progress": "progress", "write_report": "report"}

__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from keensight.show.calibration import reliability as reliability
    from keensight.show.calibration import risk_coverage as risk_coverage
    from keensight.show.figures import confusion as confusion
    from keensight.show.figures import curves as curves
    from keensight.show.figures import mistakes as mistakes
    from keensight.show.heatmap import explanation as explanation
    from keensight.show.multilabel import average_precision as average_precision
    from keensight.show.multilabel import co_occurrence as co_occurrence
    from keensight.show.multilabel import label_counts as label_counts
    from keensight.show.notebook.display import live_curves as live_curves
    from keensight.show.notebook.widgets import classify as classify
    from keensight.show.roc_curve import roc as roc
    from keensight.show.similar_images import similar as similar
    from keensight.show.study import study_history as study_history
    from keensight.show.study import study_importance as study_importance
    from keensight.workflow.source_pictures import browse as browse
    from keensight.workflow.source_pictures import class_balance as class_balance
    from keensight.workflow.source_pictures import samples as samples
else:  # unseen by type checkers, which would take any name for one that there is

    def __getattr__(name: str) -> Any:
        if name in _MOVED:
            place = f"{__name__}.{_MOVED[name]}"
            warnings.warn(f"{__name__}.{name} is now {place}.{name}", DeprecationWarning, stacklevel=2)
            return getattr(importlib.import_module(place), name)
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
