"""The image set between two trainings: labels that a person corrected, and what has changed since a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from keensight.core.changes import DatasetChanges, compare
from keensight.core.corrections import Correction, read_corrections
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.errors import DataError

if TYPE_CHECKING:
    from keensight.store.run import Run


def changes_since(run: str | Path | Run, data: Dataset) -> DatasetChanges:
    """What was added, removed, changed, moved, relabelled, regrouped or given to another part since a run was made.

    Corrections that the run was trained with are applied first, so that only the rest counts as a change.

    Args:
        run: The run; its ``dataset.parquet`` is the lock.
        data: The image set as it is now.

    Raises:
        StoreError: it is no run, or broke off before it knew its images.
    """
    from keensight.data.corrections import apply_corrections
    from keensight.store.run import Run, open_run

    handle = run if isinstance(run, Run) else open_run(Path(run))
    with suppress(DataError):  # they no longer fit: then that is the change
        data, _ = apply_corrections(data, handle.applied_corrections)
    return compare(handle.dataset, data)


def corrected(data: Dataset, table: str | Path | None, progress: Progress) -> tuple[Dataset, Sequence[Correction]]:
    """The dataset with a table of corrections applied, and what the table says.

    Args:
        data: The image set; its files are not touched.
        table: A file that ``keensight review`` writes; None: nothing is changed.
        progress: Told how many labels were changed.

    Raises:
        DataError: the table cannot be read or does not belong to these images (see ``data.corrections``).
    """
    from keensight.data.corrections import apply_corrections

    if table is None:
        return data, ()
    decisions = read_corrections(Path(table))
    changed, applied = apply_corrections(data, decisions)
    progress.say(applied.sentence())
    return changed, decisions
