"""TensorBoard: metrics by epoch and, in its HParams tab, the settings of each trial with its result.

Unlike ``train.tensorboard``, which turns on Keras' own callback for a network from scratch, it has every phase of every
kind of training, and needs no TensorFlow.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from keensight.core.config import RunConfig
from keensight.core.records import Epoch
from keensight.core.trackers import TrackedRun, epoch_metrics, result_metrics
from keensight.workflow.trackers import require


class TensorboardTracker:
    """One folder of events.

    Args:
        place: Folder that gets a folder for each run; empty: ``tensorboard`` in the run's own folder.
        above: The folder of the study that this is a trial of.

    Raises:
        UsageError: TensorBoard is not installed.
    """

    def __init__(self, place: str = "", above: Path | None = None) -> None:
        require("tensorboard", "'keensight[tensorboard]'")
        self._place, self._above = place, above
        self._folder = Path()
        self._file: BinaryIO | None = None

    def started(self, run: TrackedRun, config: RunConfig) -> None:
        """Create the file of events, with the settings as hyperparameters."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        own = Path(self._place) / run.name if self._place else run.folder / "tensorboard"
        self._folder = own if self._above is None else self._above / run.name
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}.keensight"
        self._file = (self._folder / name).open("ab")
        self._event(file_version="brain.Event:2")
        known = {"model": run.model, **config.by_name()}
        values = {name: value if isinstance(value, (bool, int, float)) else str(value) for name, value in known.items()}
        self._event(summary=hparams_pb(values, trial_id=run.name).SerializeToString())

    def epoch(self, epoch: Epoch) -> None:
        """Write the metrics of an epoch; the step is its number."""
        self._scalars(epoch_metrics(epoch), epoch.epoch)

    def finished(self, results: Mapping[str, Any], artifacts: Mapping[str, Path]) -> None:
        """Write the results, and close the file; TensorBoard keeps no other files."""
        self._scalars(result_metrics(results), 0)
        self._close()

    def failed(self, message: str) -> None:
        """Close the file."""
        self._close()

    def child(self) -> TensorboardTracker:
        """A folder inside that of the study."""
        return TensorboardTracker(self._place, self._folder)

    def _scalars(self, metrics: Mapping[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._event(step=step, summary=Summary(value=values).SerializeToString())

    def _event(self, **fields: Any) -> None:
        """Append one event; a summary is given as bytes, because TensorBoard's modules do not share their messages."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        assert self._file is not None, "the run was not started"
        if "summary" in fields:
            fields["summary"] = Summary.FromString(fields["summary"])
        RecordWriter(self._file).write(Event(wall_time=time.time(), **fields).SerializeToString())
        self._file.flush()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
