"""Repeat a run from its own settings, decisions and images, and compare the results."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.codec import to_plain
from keensight.core.decisions import Check, Decisions, Rerun
from keensight.core.progress import Progress
from keensight.errors import StoreError
from keensight.workflow.bundle import versions
from keensight.workflow.decide import begun, settings_of
from keensight.workflow.distributed import Workers, refuse_other_workers
from keensight.workflow.environment import differences, in_words
from keensight.workflow.evaluate import finished
from keensight.workflow.progress import shown
from keensight.workflow.resume import decisions_of, reopen
from keensight.workflow.steps import Source
from keensight.workflow.train import go_on

if TYPE_CHECKING:
    from keensight.core.config import RunConfig
    from keensight.core.records import Dataset
    from keensight.store.run import Run


def rerun(
    run: str | Path | Run,
    source: Source | None = None,
    *,
    into: str | Path | None = None,
    command: str = "",
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> Rerun:
    """Repeat a finished run, and compare splits, weights, history, temperature and test metrics.

    Everything is computed again from the run's settings as they were given and its images; only what timing decided in
    it (model, CPU threads, precision, engine) is taken from it.

    Args:
        run: The run or its folder.
        source: The image set that it was trained on; None: where the run found it.
        into: Folder of the repetition; None: a new one under ``runs/``.
        command: The command line, for the record.
        workers: As many worker processes as it was trained by; None: it was trained without.
        progress: Where to report.

    Returns:
        The comparisons, and what was not the same as in the first run.

    Raises:
        StoreError: it is not a finished run, or was not started by ``ks.train``.
        DataError: the images have changed since.
        UsageError: an engine is not installed, the number of workers is another one, or TensorFlow has already started
            with another number of threads in this process.

    Examples:
        >>> again = ks.rerun(run, "photos/", into="runs/repeated")
        >>> again.same, [check.what for check in again.checks]
        (True, ['split', 'weights', 'test metrics', 'history', 'decision'])
    """
    from keensight.store.create_run import create_run

    started, progress = time.perf_counter(), shown(progress)
    first = finished(run)
    known = decisions_of(first)
    if "weights_digest" not in first.record.results:
        raise StoreError(f"the run {first.path} does not record a digest of its weights", "train again")
    refuse_other_workers(first, known, workers)
    config = settings_of(first, known, source)
    dataset, corrections = reopen(first, known, config, source, progress)
    unlike = differences(known, config)
    for line in in_words(unlike):
        progress.say(f"not as in the first run: {line}")
    again = create_run(
        None if into is None else Path(into), name=f"{first.record.name}-rerun", source=dataset.name,
        model=config.model.name, command=command, seed=config.train.seed, versions=versions(),
        config_toml=config.to_toml(),
        decisions=lambda place: _pinned(known, dataset, config, source, first, place),
    )  # fmt: skip
    second = go_on(again, dataset, config, corrections, progress, started, workers=workers)
    return Rerun(str(first.path), str(second.path), _checks(first, second), unlike)


def _pinned(
    known: Decisions, dataset: Dataset, config: RunConfig, source: Source | None, first: Run, place: Path
) -> Decisions:
    """The decisions of the first run, for the second one: its split is made again and compared."""
    from keensight.workflow.decide import source_of

    fresh = begun(dataset, config, source_of(first, known) if source is None else source, place)
    kept = ("threads", "engine", "model", "model_reason", "precision", "workers")
    return dataclasses.replace(fresh, **{name: getattr(known, name) for name in kept})


def _checks(first: Run, second: Run) -> tuple[Check, ...]:
    measured = ("test metrics", "test") if "test" in first.record.results else ("validation metrics", "validation")
    found = [("split", "split_digest"), ("weights", "weights_digest"), measured]
    results = {what: (first.record.results.get(key), second.record.results.get(key)) for what, key in found}
    results["history"] = (_epochs(first), _epochs(second))
    results["decision"] = (_decision(first), _decision(second))
    return tuple(Check(what, *pair) for what, pair in results.items())


def _epochs(run: Run) -> Any:
    """The history without the time that it took; None: nothing was trained in epochs."""
    if not (run.path / "history.jsonl").is_file():
        return None
    history = run.history
    timeless = tuple(dataclasses.replace(epoch, seconds=0.0) for epoch in history.epochs)
    return to_plain(dataclasses.replace(history, epochs=timeless))


def _decision(run: Run) -> Any:
    """Temperature and decision rule of the bundle."""
    from keensight.store.bundle import open_bundle

    manifest = open_bundle(run.path).manifest
    return {"temperature": manifest.temperature, **to_plain(manifest.decision)}
