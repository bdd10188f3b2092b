"""The same training from several seeds: how much of a figure is luck."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keensight.core.comparison import Spread
from keensight.errors import UsageError
from keensight.workflow.steps import Source, configure
from keensight.workflow.training import train

if TYPE_CHECKING:
    from keensight.store.run import Run


def train_seeds(
    source: Source, count: int, *, run: str | Path | None = None, **options: Any
) -> tuple[list[Run], tuple[Spread, ...]]:
    """Train ``count`` times, with the seeds ``train.seed``, ``train.seed`` + 1 and so on.

    Each seed has a training of its own, and a split of its own unless the source gives the parts; the spread is then
    that of both.

    Args:
        source: What ``train`` takes.
        count: How often, 2 or more.
        run: Folder that gets ``seed-0``, ``seed-1`` and so on; None: each a new one under ``runs/``.
        **options: As for ``train``.

    Returns:
        The runs, and mean and standard deviation of their test figures.

    Raises:
        UsageError: fewer than two seeds, or the task is to find anomalies.
    """
    settings = options.pop("settings", None) or {}
    first = configure(options.get("config"), settings, **{k: options[k] for k in ("seed", "task") if k in options})
    if count < 2 or first.data.task != "classify":
        raise UsageError("a spread needs two or more seeds of a classifier", "add --seeds 5, say")
    options.pop("seed", None)
    runs = []
    for seed in range(first.train.seed, first.train.seed + count):
        folder = None if run is None else Path(run) / f"seed-{seed}"
        runs.append(train(source, run=folder, settings={**settings, "train.seed": seed}, **options))
    return runs, spread_of(runs)


def spread_of(runs: list[Run]) -> tuple[Spread, ...]:
    """Mean and standard deviation of the test figures of finished runs."""
    found = []
    for name in ("accuracy", "macro_f1", "loss"):
        values = np.array([run.record.results["test"][name] for run in runs], dtype=np.float64)
        found.append(Spread(name, tuple(values.tolist()), float(values.mean()), float(values.std(ddof=1))))
    return tuple(found)
