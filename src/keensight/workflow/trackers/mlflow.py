"""MLflow: parameters, metrics by epoch, results and files of a run, and a study with its trials as nested runs.

With ``mlflow-skinny`` it speaks to a server; the full package, or SQLAlchemy beside it, writes to a local database too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keensight.core.config import RunConfig
from keensight.core.records import Epoch
from keensight.core.trackers import TrackedRun, epoch_metrics, result_metrics
from keensight.workflow.trackers import require

EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"
"""MLflow's own environment variable for the experiment; default: the name of the image set."""
_DEFAULTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
             "MLFLOW_DISABLE_TELEMETRY": "true"}  # fmt: skip
"""Unless the user set them: a server that is away is noticed in seconds, and MLflow reports nothing to its makers."""
_LONGEST = 6000
"""Characters of a parameter."""


class MlflowTracker:
    """One run on an MLflow server.

    Args:
        place: The tracking URI, such as ``http://localhost:5000``; empty: MLflow's own (``MLFLOW_TRACKING_URI``).
        parent: The tracker of the study that this is a trial of.

    Raises:
        UsageError: MLflow is not installed.
    """

    def __init__(self, place: str = "", parent: MlflowTracker | None = None) -> None:
        require("mlflow", "'keensight[mlflow]'")
        self._place, self._parent = place, parent
        self._client: Any = None
        self._experiment, self.run_id = "", ""

    def started(self, run: TrackedRun, config: RunConfig) -> None:
        """Create the run, with every setting as a parameter."""
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        tags = {"keensight.folder": run.folder.name, "keensight.source": run.source, "keensight.command": run.command}
        tags |= {f"keensight.version.{name}": value for name, value in run.versions.items()}
        if self._parent is None:
            self._client = MlflowClient(self._place or None)
            self._experiment = self._experiment_of(os.environ.get(EXPERIMENT) or run.source)
        else:
            self._client, self._experiment = self._parent._client, self._parent._experiment
            tags["mlflow.parentRunId"] = self._parent.run_id
        made = self._client.create_run(self._experiment, run_name=run.name, tags=tags)
        self.run_id = made.info.run_id
        values = {"model": run.model, **config.by_name()}
        self._client.log_batch(
            self.run_id, params=[Param(name, str(value)[:_LONGEST]) for name, value in values.items()]
        )

    def epoch(self, epoch: Epoch) -> None:
        """Log the metrics of an epoch; the step is its number."""
        self._log(epoch_metrics(epoch), epoch.epoch)

    def finished(self, results: Mapping[str, Any], artifacts: Mapping[str, Path]) -> None:
        """Log results and files, and end the run."""
        self._log(result_metrics(results), 0)
        for name, path in artifacts.items():
            if path.is_dir():
                self._client.log_artifacts(self.run_id, str(path), artifact_path=name)
            else:
                self._client.log_artifact(self.run_id, str(path))
        self._client.set_terminated(self.run_id, "FINISHED")

    def failed(self, message: str) -> None:
        """End the run as failed, with the reason in a tag."""
        if self.run_id:
            self._client.set_tag(self.run_id, "keensight.message", message)
            self._client.set_terminated(self.run_id, "FAILED")

    def child(self) -> MlflowTracker:
        """A nested run."""
        return MlflowTracker(self._place, self)

    def _experiment_of(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException:  # another run has just created it
            known = self._client.get_experiment_by_name(name)
            if known is None:
                raise
            return str(known.experiment_id)

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        logged = [Metric(name, value, now, step) for name, value in metrics.items()]
        self._client.log_batch(self.run_id, metrics=logged)
