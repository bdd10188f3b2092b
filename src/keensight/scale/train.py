"""Training on several worker processes: Ray starts them, again if one is lost, and JAX joins them (:mod:`.worker`)."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight import errors
from keensight.core.codec import from_plain
from keensight.core.files import read_json
from keensight.core.parallel import processors
from keensight.core.progress import Phase, Progress, Silent
from keensight.core.records import Dataset, Epoch, ImageSpec
from keensight.errors import KeensightError, TrainingError, UsageError
from keensight.scale.cluster import (
    INSTALL,
    SHARE_RUN,
    check_cpus,
    check_shared,
    connected,
    installed,
    meeting_folder,
)
from keensight.scale.fill_cache import decode, extract
from keensight.scale.worker import FAULT, PROGRESS, work

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.training.features import Wanted
    from keensight.nets.training.job import Job, Outcome
    from keensight.store.run import Run

LOSSES = 8
"""How often workers may be lost in a training before it fails."""
_POLL = 0.2


@dataclass(frozen=True, slots=True)
class RayWorkers:
    """Worker processes that train a network together, for ``ks.train(..., workers=...)``.

    Args:
        count: How many, with one CPU each.
        address: The cluster, as for :func:`keensight.scale.cluster.connected`; None: processes of this machine.

    Examples:
        >>> run = ks.train("photos/", model="cnn", workers=RayWorkers(2))
    """

    count: int
    address: str | None = None

    def check(self) -> None:
        """Refuse what would fail after hours of decoding.

        Raises:
            UsageError: Ray or JAX is not installed, or there are fewer CPUs than workers.
        """
        from importlib.util import find_spec

        installed()
        if find_spec("jax") is None:
            raise UsageError("several workers need the package jax, which is not installed", INSTALL)
        if self.address is None:
            check_cpus(processors(), self.count, "this machine")

    def decode(self, dataset: Dataset, spec: ImageSpec, progress: Progress) -> None:
        """Decode what is not in the cache, if they are those of a cluster: this machine needs no workers for it.

        Args:
            dataset: The image set.
            spec: The size wanted.
            progress: Where to report.

        Raises:
            StoreError: the workers have another cache.
            TrainingError: a worker failed.
        """
        if self.address is not None:
            decode(dataset, spec, self, progress)

    def extract(self, run: Run, wanted: Wanted, dataset: Dataset, pixels: Pixels, progress: Progress) -> None:
        """Compute the features that are not in the cache, if they are those of a cluster.

        Args:
            run: Its folder is where the workers find the network.
            wanted: A network, and which images.
            dataset: The image set.
            pixels: Its decoded images.
            progress: Where to report.

        Raises:
            StoreError: a worker does not see the run's folder or the cache.
            TrainingError: a worker failed, or has another version of the engine.
        """
        if self.address is not None:
            extract(run, wanted, dataset, pixels, self, progress)

    def team(self, run: Run, minutes: float, dataset: Dataset, pixels: Pixels) -> RayTeam:
        """The workers for one run.

        Args:
            run: The run; its folder is where driver and workers meet.
            minutes: Most minutes between two checkpoints.
            dataset: The image set.
            pixels: Its decoded images.
        """
        return RayTeam(self, run, minutes, dataset, pixels)


@dataclass(frozen=True, slots=True, eq=False)
class RayTeam:
    """Trains the jobs of one run (:class:`keensight.nets.training.job.Team`)."""

    workers: RayWorkers
    run: Run
    minutes: float
    dataset: Dataset
    pixels: Pixels

    def __call__(
        self, job: Job, *, on_epoch: Callable[[Epoch], None] | None = None, progress: Progress | None = None
    ) -> Outcome:
        """Train a network; its own variables stay as they are.

        Raises:
            TrainingError: the loss became NaN or infinite, the workers disagree, or too many were lost.
            StoreError: a worker does not see the run's folder or the cache.
        """
        from keensight.data.shared_pixels import write_shared
        from keensight.nets.training.job import read_outcome, write_job

        numbers = job.plan.numbers
        with meeting_folder(self.run.path) as place:
            write_job(job, place)
            variables = write_shared(self.pixels, self.dataset, job.images, place)
            setup = {
                "folder": str(place.absolute()), "workers": self.workers.count, "variables": dict(variables),
                "checkpoints": str(self.run.checkpoints_path.absolute()), "minutes": self.minutes,
            }  # fmt: skip
            told = progress or Silent()
            label = f"training ({self.workers.count} workers)"
            with told.task(label, numbers.epochs * numbers.steps, "steps") as task:
                task.advance(0, "starting the workers")
                with connected(self.workers.address, self.workers.count):
                    check_shared(place, "the folder of the run", SHARE_RUN)
                    _follow(setup, _Heard(place, task, told, on_epoch))
            done = read_outcome(place)
        if done is None:
            raise TrainingError("the workers ended without a result", "see the logs in /tmp/ray/session_latest/logs")
        return done


def _follow(setup: Mapping[str, Any], heard: _Heard) -> None:
    """Start the workers, and report what they tell until they have ended.

    Raises:
        KeensightError: what a worker failed of.
    """
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            _trainer(setup).fit()
        except BaseException as error:
            ended.append(error)
        else:
            ended.append(None)

    # Not in the main thread, where Ray would take Ctrl-C for itself.
    thread = threading.Thread(target=run, name="keensight-workers", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL)
        heard.read()
    heard.read()
    if ended[0] is not None:
        raise TrainingError(
            f"the workers failed: {_reason(ended[0])}",
            "continue with --resume; the logs of the workers are in /tmp/ray/session_latest/logs of their machines",
        ) from ended[0]


def _trainer(setup: Mapping[str, Any]) -> Any:
    # Ray's JaxTrainer does not join its workers on CPUs: each would train alone.
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    return DataParallelTrainer(
        work,
        train_loop_config=dict(setup),
        scaling_config=ScalingConfig(num_workers=setup["workers"], resources_per_worker={"CPU": 1}),
        run_config=RunConfig(
            name="ray", storage_path=setup["folder"], failure_config=FailureConfig(max_failures=LOSSES)
        ),
    )


def _reason(error: BaseException) -> str:
    failures = getattr(error, "worker_failures", None)
    found = next(iter(failures.values())) if failures else error
    lines = [line.strip() for line in str(found).splitlines() if line.strip()]
    return lines[-1] if lines else type(found).__name__


@dataclass(slots=True)
class _Heard:
    """Passes on what the workers write."""

    place: Path
    task: Phase
    progress: Progress
    on_epoch: Callable[[Epoch], None] | None
    _offset: int = 0
    _done: int = 0
    _epochs: int = 0
    _begun: bool = field(default=False)

    def read(self) -> None:
        """Pass on what is new.

        Raises:
            KeensightError: what a worker failed of.
        """
        path = self.place / PROGRESS
        if path.is_file():
            with path.open("rb") as stream:
                stream.seek(self._offset)
                new = stream.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._offset += len(whole)
            for line in whole.splitlines():
                self._pass_on(json.loads(line))
        if (self.place / FAULT).is_file():
            raise _fault(read_json(self.place / FAULT))

    def _pass_on(self, line: Mapping[str, Any]) -> None:
        if "said" in line:
            self.progress.say(line["said"])
        elif "begun" in line:
            self._begin(line["begun"])
        elif "epoch" in line:
            self._epoch(from_plain(Epoch, line["epoch"], "epoch"))
        else:
            self._advance(line["step"], line["note"])

    def _begin(self, step: int) -> None:
        if self._begun:
            self.progress.say(f"a worker was lost: training continues after step {step:,}")
        self._begun = True
        self._advance(step, None)

    def _advance(self, step: int, note: str | None) -> None:
        """After a loss, steps are done again, which the bar does not show."""
        new = max(0, step - self._done)
        self._done += new
        self.task.advance(new, note)

    def _epoch(self, epoch: Epoch) -> None:
        if epoch.epoch > self._epochs and self.on_epoch is not None:
            self.on_epoch(epoch)
        self._epochs = max(self._epochs, epoch.epoch)


def _fault(plain: Mapping[str, Any]) -> KeensightError:
    kind = getattr(errors, str(plain["kind"]), TrainingError)
    found: KeensightError = kind(plain["message"], plain["hint"])
    return found


def workers_of(run: Path, address: str | None) -> RayWorkers | None:
    """The workers that a run was started with; None: it was started without.

    Args:
        run: Its folder.
        address: The cluster to continue on; None: this machine.

    Raises:
        StoreError: it is not a run.
        UsageError: an address is given, and it was started without workers.
    """
    from keensight.store.run import open_run

    known = open_run(run).decisions
    if known is not None and known.workers is not None:
        return RayWorkers(known.workers, address)
    if address is not None:
        raise UsageError(f"the run {run} was started without --workers", "leave out --address")
    return None
