"""Where the work reports to."""

from __future__ import annotations

from keensight.core.progress import Progress


def shown(progress: Progress | None) -> Progress:
    """Where to report: the given progress, or the default for this terminal, notebook or file."""
    if progress is not None:
        return progress
    from keensight.show.progress import best_progress

    return best_progress()
