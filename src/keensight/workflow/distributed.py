"""What a training by several worker processes needs to know and cannot do."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

from keensight.core.config import RunConfig
from keensight.core.decisions import Decisions
from keensight.core.records import Dataset, Split
from keensight.core.task import Task
from keensight.errors import UsageError
from keensight.workflow.fit import head_only

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.training.job import Team
    from keensight.store.run import Run


class Workers(Protocol):
    """Worker processes that train a network together (:class:`keensight.scale.train.RayWorkers`)."""

    @property
    def count(self) -> int:
        """How many."""
        ...

    def check(self) -> None:
        """Refuse what would fail later.

        Raises:
            UsageError: a package is not installed, or there are fewer CPUs.
        """
        ...

    def team(self, run: Run, minutes: float, dataset: Dataset, pixels: Pixels) -> Team:
        """The workers for one run, which its folder and the cache are shared with."""
        ...


def refuse_unsupported(config: RunConfig, workers: Workers) -> None:
    """Refuse settings that workers cannot follow, before any work.

    Raises:
        UsageError: a setting is one of these, or the workers cannot be started.
    """
    train, count = config.train, workers.count
    for unfit, what, hint in (
        (config.data.task == Task.ANOMALY, "an anomaly detector is not trained by several workers: it has no training "
         "steps", "leave out --workers"),
        (train.precision in ("bfloat16", "float16"), "several workers train in float32 only",
         "leave out train.precision"),
        (train.tensorboard, "several workers write no TensorBoard events", "leave out train.tensorboard"),
        (train.halve_batch, "several workers do not look for a batch size that fits into memory",
         "leave out train.halve_batch, and set train.batch_size"),
        (config.data.cache == "never", "several workers read decoded images from the cache", "leave out data.cache"),
        (bool(train.batch_size and train.batch_size % count),
         f"a batch of {train.batch_size} images cannot be divided among {count} workers",
         f"set train.batch_size to a multiple of {count}"),
    ):  # fmt: skip
        if unfit:
            raise UsageError(what, hint)
    workers.check()


def refuse_head_only(config: RunConfig) -> None:
    """Refuse a training that has no steps to share.

    Raises:
        UsageError: only the last layer of a pretrained network would be fitted, which takes seconds.
    """
    if head_only(config):
        raise UsageError(
            f"there are no training steps for several workers: {config.train.effort} fits only the last layer of "
            f"{config.model.name}",
            "leave out --workers, or fine-tune the network with --effort standard",
        )


def refuse_other_workers(run: Run, known: Decisions, workers: Workers | None) -> None:
    """Refuse to continue a run with another number of workers: the last digits would differ.

    Raises:
        UsageError: it was started with others.
    """
    here = None if workers is None else workers.count
    if known.workers == here:
        return
    if known.workers is None:
        raise UsageError(f"the run {run.path} was started without workers", "continue it without")
    raise UsageError(
        f"the run {run.path} is trained by {known.workers} workers" + (f", not {here}" if here else ""),
        f"continue it with the command line, or give workers=RayWorkers({known.workers})",
    )


def for_workers(config: RunConfig, split: Split, workers: Workers) -> RunConfig:
    """The settings for a number of workers: float32, and a batch that can be divided among them.

    Raises:
        UsageError: there are fewer training images in a batch than workers.
    """
    from keensight.nets.training.fit import schedule

    size = schedule(config.train, config.model.name, len(split.train)).batch_size
    if size < workers.count:
        raise UsageError(f"a batch of {size} images is too small for {workers.count} workers", "use fewer workers")
    train = dataclasses.replace(config.train, precision="float32", batch_size=size // workers.count * workers.count)
    return dataclasses.replace(config, train=train)
