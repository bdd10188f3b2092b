"""Continue a run that was killed, interrupted or failed, to the results that it would have had."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

from keensight.core.changes import compare
from keensight.core.config import RunConfig
from keensight.core.decisions import Decisions
from keensight.core.labels import Correction
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.core.trackers import Track
from keensight.errors import DataError, StoreError
from keensight.workflow.decide import identity, settings_of, source_of
from keensight.workflow.distributed import Workers, refuse_other_workers
from keensight.workflow.environment import START_WEIGHTS, differences, in_words
from keensight.workflow.evaluate import report
from keensight.workflow.prepare import open_source
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source
from keensight.workflow.trackers import tracking
from keensight.workflow.train import go_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keensight.store.run import Run

_AGAIN = "train again with --replace"


def resume(
    run: str | Path | Run,
    source: Source | None = None,
    *,
    take_over: bool = False,
    track: Track = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> Run:
    """Continue a run whose training was killed, interrupted or failed.

    The run's own settings, and what was decided in it (model, CPU threads, precision, engine), are used again, and
    training continues from the last checkpoint. On the same machine with the same versions, the result has the same
    weights and metrics as a run that was never stopped. A finished run is returned as it is.

    Args:
        run: The run or its folder.
        source: The image set that it was trained on; None: where the run found it.
        take_over: Also a run that another computer started and does not work on any more: from here, that cannot be
            seen.
        track: Experiment trackers, as for :func:`train`; there it is a new run, with the epochs from here on.
        workers: As many worker processes as it was started with; None: it was started without.
        progress: Where to report.

    Returns:
        The finished run.

    Raises:
        StoreError: it is not a run, a process is working on it, or it was not started by ``ks.train``.
        DataError: the images, or the weights that it starts from, have changed since the run was started.
        UsageError: an engine is not installed, the number of workers is another one, or TensorFlow has already started
            with another number of threads in this process.
        InterruptedRun: Ctrl-C, or a notebook's stop button; it can be resumed again.

    Examples:
        >>> ks.resume(run).state
        'finished'
    """
    from keensight.nets import engines, runtime
    from keensight.store import run_lock
    from keensight.store.run import Run, open_run

    started, progress = time.perf_counter(), shown(progress)
    tracker = tracking(track, progress.say)
    handle = open_run(run.path if isinstance(run, Run) else run)
    if handle.record.state == "finished":
        return _complete(handle, progress)
    with run_lock.locked_run(handle.path):
        run_lock.refuse_busy(handle, unseen=take_over)
    known = decisions_of(handle)
    refuse_other_workers(handle, known, workers)
    config = settings_of(handle, known, source)
    runtime.start_in_background()
    dataset, corrections = reopen(handle, known, config, source, progress)
    unlike = differences(known, config)
    if any(one.what == START_WEIGHTS for one in unlike):
        raise DataError(
            f"the weights that the run {handle.path} starts from have changed: {config.model.weights}",
            "restore them, or train again with --replace",
        )
    for line in in_words(unlike):
        progress.say(f"not as before, so that the results may differ in their last digits: {line}")
    with engines.using(known.engine):  # else refused, before anything of the run is touched
        pass
    handle = run_lock.take_over(handle, unseen=take_over)
    handle.clear_results()
    handle.log("resumed")
    return go_on(handle, dataset, config, corrections, progress, started, tracker=tracker, workers=workers)


def _complete(run: Run, progress: Progress) -> Run:
    """A finished run; its report, which is written last, may be missing, and without a test there is none."""
    from keensight.store.checkpoint import CheckpointFolder
    from keensight.store.run_lock import locked_run

    with locked_run(run.path):
        CheckpointFolder(run.checkpoints_path, minutes=0).clear()
        run.clear_half_written()
        if run.report_path.is_file() or "test" not in run.record.results:
            progress.say(f"the run {run.path} is finished already")
        else:
            report(run)
    return run


def decisions_of(run: Run) -> Decisions:
    """What a run is repeated by.

    Raises:
        StoreError: it has no such record.
    """
    known = run.decisions
    if known is None:
        raise StoreError(
            f"the run {run.path} does not record its settings as they were given: it was adopted, or made by an "
            "earlier version",
            _AGAIN,
        )
    return known


def reopen(
    run: Run, known: Decisions, config: RunConfig, source: Source | None, progress: Progress
) -> tuple[Dataset, Sequence[Correction]]:
    """The image set of a run, and the corrections that are applied to it.

    Raises:
        DataError: it is not the one that the run was started with.
        StoreError: it is not known where it is.
    """
    applied = run.path / "applied_corrections.csv"
    reading = config
    if config.data.corrections and applied.is_file():  # the user's file may have grown since
        reading = dataclasses.replace(config, data=dataclasses.replace(config.data, corrections=str(applied)))
    dataset, corrections = open_source(source_of(run, known) if source is None else source, reading, progress)
    if identity(dataset) != known.dataset:
        raise DataError(
            f"the images are not those that the run {run.path} was started with: {_changes(run, dataset)}",
            f"restore them, give the right SOURCE, or {_AGAIN}",
        )
    return dataset, corrections


def _changes(run: Run, dataset: Dataset) -> str:
    if not (run.path / "dataset.parquet").is_file():
        return f"{dataset.name} has {len(dataset):,} images with other contents, names or labels"
    found = compare(run.dataset, dataset)
    counts = {"added": len(found.added), "removed": len(found.removed), "changed": len(found.changed),
              "relabeled": len(found.relabelled)}  # fmt: skip
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return told or "their order, names, groups or predefined splits differ"
