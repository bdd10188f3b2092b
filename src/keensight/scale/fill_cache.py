"""Decoding and frozen features on the workers of a cluster: they fill the cache, from which everyone reads.

The keys are those of any training, so that the machine that starts the workers afterwards finds what it would have
computed itself, and computes what is still missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Phase, Progress
from keensight.core.records import Dataset, ImageSpec
from keensight.data.cache import decode_into, undecoded
from keensight.data.feature_cache import FeatureCache
from keensight.data.shards import cache_directory
from keensight.data.shared_pixels import CACHE_VARIABLE, read_shared, write_shared
from keensight.errors import StoreError, TrainingError
from keensight.scale.cluster import cause, check_shared, connected, installed, meeting_folder

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.training.features import Wanted
    from keensight.store.run import Run

FEWEST = 256
"""Images for each worker below which this machine is done before the workers have started."""
LOSSES = 3
"""How often a part may be begun again because its worker was lost."""
_SMALLEST, _LARGEST, _EACH = 64, 4096, 8
"""Images of a part, and parts for each worker at least: a slow one then holds up nobody."""
_NETWORK = "network.keras"


def parts(n: int, workers: int) -> list[NDArray[np.int64]]:
    """Numbers from 0 to ``n - 1``, divided among workers."""
    size = int(np.clip(-(-n // (workers * _EACH)), _SMALLEST, _LARGEST))
    return [np.arange(begin, min(begin + size, n)) for begin in range(0, n, size)]


class Cluster(Protocol):
    """Where workers are, and how many (:class:`.train.RayWorkers`)."""

    @property
    def count(self) -> int:
        """How many, with one CPU each."""
        ...

    @property
    def address(self) -> str | None:
        """As for :func:`.cluster.connected`."""
        ...


def decode(dataset: Dataset, spec: ImageSpec, workers: Cluster, progress: Progress) -> None:
    """Let workers decode what is not in the cache.

    An image that a worker cannot read is left to this machine, and so are all images of a source that cannot be sent,
    such as large arrays in memory.

    Args:
        dataset: The image set.
        spec: The size wanted.
        workers: Who does it.
        progress: Where to report.

    Raises:
        StoreError: the workers have another cache.
        TrainingError: a worker failed.
    """
    specs, rows = undecoded(dataset, spec)
    if len(rows) < FEWEST * workers.count or not (sent := _sent(dataset)):
        return
    samples = [tuple(dataset.samples[int(row)] for row in rows[some]) for some in parts(len(rows), workers.count)]
    arguments = (str(cache_directory().absolute()), sent, specs)
    with connected(workers.address, workers.count), _bar(progress, "decoding", len(rows), workers) as task:
        _all(Decoder, arguments, samples, workers.count, task)
    if len(undecoded(dataset, spec)[1]) == len(rows):
        raise StoreError(
            f"what the workers decoded is not in the cache of this machine, {cache_directory()}",
            f"set {CACHE_VARIABLE} to a folder on a file system that all machines share",
        )


def _sent(dataset: Dataset) -> bytes:
    """The set without its samples, for Ray; nothing if its reader holds open files or the images themselves."""
    from ray import cloudpickle

    with suppress(Exception):  # of no narrower class: it is whatever the reader's members raise
        plain = cloudpickle.dumps(replace(dataset, samples=(), skipped=(), reading=None))
        if len(plain) <= _MOST_SENT:
            return bytes(plain)
    return b""


_MOST_SENT = 64 * 2**20


@dataclass
class Decoder:
    """A worker that decodes, as an actor of Ray.

    Args:
        cache: The cache directory.
        dataset: The image set without samples, from :func:`_sent`.
        specs: The sizes wanted.
    """

    cache: str
    dataset: bytes
    specs: Sequence[ImageSpec]

    def do(self, samples: tuple[Any, ...]) -> int:
        """Decode some samples; how many they were."""
        from ray import cloudpickle

        os.environ[CACHE_VARIABLE] = self.cache
        decode_into(replace(cloudpickle.loads(self.dataset), samples=samples), self.specs)
        return len(samples)


def extract(run: Run, wanted: Wanted, dataset: Dataset, pixels: Pixels, workers: Cluster, progress: Progress) -> None:
    """Let workers compute the features that are not in the cache.

    Args:
        run: Its folder is where the workers find the network.
        wanted: A network, and which images.
        dataset: The image set.
        pixels: Its decoded images, which the workers read from the cache.
        workers: Who does it.
        progress: Where to report.

    Raises:
        StoreError: a worker does not see the run's folder or the cache.
        TrainingError: a worker failed, or has another version of the engine.
    """
    known = FeatureCache(wanted.key, wanted.values).find(wanted.digests)
    missing = {digest: row for digest, row in zip(wanted.digests, wanted.rows, strict=True) if digest not in known}
    if wanted.engine.device != "CPU" or len(missing) < FEWEST * workers.count:
        return
    names = list(missing)
    some = [(numbers, [names[number] for number in numbers]) for numbers in parts(len(names), workers.count)]
    with connected(workers.address, workers.count), meeting_folder(run.path) as folder:
        check_shared(folder)
        write_shared(pixels, dataset, np.array(list(missing.values())), folder)
        wanted.network.save(folder / _NETWORK)
        setup = {
            "cache": str(cache_directory().absolute()), "folder": str(folder.absolute()), "key": wanted.key,
            "values": wanted.values, "engine": wanted.engine.name, "identity": wanted.engine.identity,
        }  # fmt: skip
        with _bar(progress, "computing features", len(names), workers) as task:
            _all(Extractor, (setup,), some, workers.count, task)


class Extractor:
    """A worker that computes features, as an actor of Ray.

    Args:
        setup: ``cache`` (directory), ``folder`` with the images and the network, ``key`` and ``values`` of its
            features in the cache, name and ``identity`` of the ``engine``.
    """

    def __init__(self, setup: Mapping[str, Any]) -> None:
        os.environ[CACHE_VARIABLE] = setup["cache"]
        self._setup = setup
        self._net: Any = None
        self._pixels = read_shared(Path(setup["folder"]))
        self._known = FeatureCache(setup["key"], setup["values"])

    def do(self, part: tuple[NDArray[np.int64], Sequence[str]]) -> int:
        """Compute the features of images, given their numbers and digests; how many they were."""
        from keensight.nets.training.features import extract

        numbers, digests = part
        extract(self._frozen, self._pixels, numbers, digests, self._known)
        return len(numbers)

    def _frozen(self) -> Any:
        """The network on one thread; opened once, as that takes seconds."""
        from keensight.nets.engines import ENGINES
        from keensight.nets.models.weights import open_model
        from keensight.nets.runtime import use_threads

        if self._net is None:
            use_threads(1)
            engine = next(one for one in ENGINES if one.name == self._setup["engine"])
            if engine.version is None or engine.identity != self._setup["identity"]:
                raise TrainingError(
                    f"a worker has {engine.identity}, and the machine that starts it {self._setup['identity']}",
                    "install the same version on all machines: other versions give slightly other features",
                )
            model = open_model(Path(self._setup["folder"]) / _NETWORK)
            self._net = engine.freeze(model, cache_directory() / "networks")
        return self._net


def _bar(progress: Progress, label: str, images: int, workers: Cluster) -> AbstractContextManager[Phase]:
    return progress.task(f"{label} ({workers.count} workers)", images)


def _all(kind: type, arguments: tuple[Any, ...], work: Iterable[Any], workers: int, task: Phase) -> None:
    """Let actors do all parts of a work, each as soon as one is free."""
    ray = installed()
    from ray.util import ActorPool

    started = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=LOSSES)(kind)
    held = [ray.put(one) for one in arguments]
    pool = ActorPool([started.remote(*held) for _ in range(workers)])
    try:
        for done in pool.map_unordered(lambda actor, part: actor.do.remote(part), work):
            task.advance(done)
    except ray.exceptions.RayError as error:
        raise TrainingError(
            f"a worker failed: {cause(str(error))}",
            "what is done is kept; see the logs in /tmp/ray/session_latest/logs of the machines",
        ) from error
