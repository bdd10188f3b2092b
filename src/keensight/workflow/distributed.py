"""What a training by several worker processes needs to know and cannot do."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol, get_args

import numpy as np

from keensight.core.config import RunConfig
from keensight.core.decisions import Decisions
from keensight.core.progress import Progress
from keensight.core.records import Dataset, ImageSpec, Part, Split
from keensight.core.task import Task
from keensight.errors import UsageError
from keensight.workflow.features import caches, images_of
from keensight.workflow.fit import head_only, transfers
from keensight.workflow.prepare import input_spec
from keensight.workflow.steps import build

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.training.features import Wanted
    from keensight.nets.training.job import Team
    from keensight.store.run import Run
    from keensight.workflow.prepare import Prepared


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

    @property
    def address(self) -> str | None:
        """Their cluster; None: processes of this machine."""
        ...

    def decode(self, dataset: Dataset, spec: ImageSpec, progress: Progress) -> None:
        """Decode what is not in the cache, if they are those of a cluster."""
        ...

    def extract(self, run: Run, wanted: Wanted, dataset: Dataset, pixels: Pixels, progress: Progress) -> None:
        """Compute the features that are not in the cache, if they are those of a cluster."""
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


def refuse_without_work(config: RunConfig, workers: Workers | None, images: int) -> None:
    """Refuse a training in which some workers would have nothing to do.

    Args:
        config: The settings with the name of the network.
        workers: The workers, if any.
        images: Training images, or what is an upper bound of them.

    Raises:
        UsageError: there are fewer images in a batch than workers; or only the last layer of a pretrained network would
            be fitted, which takes seconds, and features are computed on all CPUs of this machine anyway.
    """
    if workers is None:
        return
    if not head_only(config):
        batch_size(config, workers, images)
    elif workers.address is None:
        raise UsageError(
            f"there are no training steps for several workers: {config.train.effort} fits only the last layer of "
            f"{config.model.name}",
            "leave out --workers, as all CPUs are used anyway, or fine-tune the network with --effort standard",
        )


def what_they_do(config: RunConfig, workers: Workers) -> str:
    """Which steps of a training with these settings the workers do, in a sentence."""
    steps = {
        "decode images": workers.address is not None,
        "compute features": workers.address is not None and transfers(config),
        "train the network": not head_only(config),
    }
    done = [step for step, theirs in steps.items() if theirs]
    told = ", ".join(done[:-1]) + " and " * (len(done) > 1) + done[-1]
    return f"{workers.count} workers {told}; all other steps run on this machine"


def decode_on(workers: Workers | None, dataset: Dataset, config: RunConfig, model: str, progress: Progress) -> None:
    """Let the workers of a cluster decode the images that are not in the cache, at the size of a model."""
    if workers is not None:
        workers.decode(dataset, input_spec(dataset, config, model), progress)


def extract_on(workers: Workers | None, run: Run, prepared: Prepared, config: RunConfig, progress: Progress) -> None:
    """Let the workers of a cluster compute the features on which a pretrained network's head is fitted and tested."""
    from keensight.nets.training.images import wanted

    if workers is None or workers.address is None or not transfers(config):
        return
    dataset, pixels, split = prepared.dataset, prepared.pixels, prepared.split
    network = build(dataset, pixels.spec, config.model.name, weights=config.model.weights)
    rows = np.concatenate([split.part(name) for name in get_args(Part)])
    asked = wanted(network, images_of(dataset, split, pixels), rows, caches(progress))
    workers.extract(run, asked, dataset, pixels, progress)


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


def for_workers(config: RunConfig, split: Split, workers: Workers | None) -> RunConfig:
    """The settings for a number of workers: float32, and a batch that can be divided among them.

    Raises:
        UsageError: there are fewer training images in a batch than workers.
    """
    if workers is None or head_only(config):
        return config
    size = batch_size(config, workers, len(split.train))
    return dataclasses.replace(config, train=dataclasses.replace(config.train, precision="float32", batch_size=size))


def batch_size(config: RunConfig, workers: Workers, images: int) -> int:
    """The size of a batch that can be divided among workers.

    Raises:
        UsageError: it has fewer images than there are workers.
    """
    from keensight.nets.training.fit import schedule

    size = schedule(config.train, config.model.name, images).batch_size
    if size < workers.count:
        raise UsageError(f"a batch of {size} images is too small for {workers.count} workers", "use fewer workers")
    return size // workers.count * workers.count
