"""Weights & Biases: settings, metrics by epoch, results and files of a run; a study's trials share its group."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keensight.core.config import RunConfig
from keensight.core.records import Epoch
from keensight.core.trackers import TrackedRun, epoch_metrics, result_metrics
from keensight.workflow.trackers import require


class WandbTracker:
    """One run of a W&B project.

    W&B's own environment variables apply (``WANDB_MODE=offline``, ``WANDB_API_KEY``, ``WANDB_ENTITY``).

    Args:
        place: The project, such as ``leaves`` or ``team/leaves``; empty: ``WANDB_PROJECT``, else ``keensight``.
        group: Name of the study that this is a trial of; empty: none.

    Raises:
        UsageError: W&B is not installed.
    """

    def __init__(self, place: str = "", group: str = "") -> None:
        require("wandb", "wandb")
        self._place, self._group, self._name = place, group, ""
        self._run: Any = None

    def started(self, run: TrackedRun, config: RunConfig) -> None:
        """Create the run, with every setting in its config; its files are written next to those of Keensight."""
        import wandb

        entity, _, project = self._place.rpartition("/")
        self._name = run.name
        self._run = wandb.init(
            entity=entity or None, project=project or os.environ.get("WANDB_PROJECT") or "keensight", name=run.name,
            group=self._group or None, dir=str(run.folder), reinit="create_new", notes=run.command,
            config={**config.by_name(), "source": run.source, "model": run.model, **run.versions},
        )  # fmt: skip

    def epoch(self, epoch: Epoch) -> None:
        """Log the metrics of an epoch; the step is its number."""
        self._run.log(epoch_metrics(epoch), step=epoch.epoch)

    def finished(self, results: Mapping[str, Any], artifacts: Mapping[str, Path]) -> None:
        """Log results and files, and end the run."""
        import wandb

        self._run.summary.update(result_metrics(results))
        if artifacts:
            kept = wandb.Artifact(f"run-{self._run.id}", type="keensight-run")
            for name, path in artifacts.items():
                kept.add_dir(str(path), name=name) if path.is_dir() else kept.add_file(str(path), name=name)
            self._run.log_artifact(kept)
        self._run.finish()

    def failed(self, message: str) -> None:
        """End the run as failed, with the reason in its summary."""
        if self._run is not None:
            self._run.summary["message"] = message
            self._run.finish(exit_code=1)

    def child(self) -> WandbTracker:
        """A run in the group of this study."""
        return WandbTracker(self._place, self._name)
