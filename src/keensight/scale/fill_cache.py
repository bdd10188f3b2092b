"""Decoding and frozen features on the workers of a cluster: they fill the cache, from which everyone reads.

The keys are those of any training, so that the machine that starts the workers afterwards finds what it would have
computed itself, and computes what is still missing.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import storing
from keensight.core.progress import Phase, Progress
from keensight.core.records import Dataset, ImageSpec
from keensight.data.cache import Undecoded, decode_into
from keensight.data.cache_limit import INDEX_BYTES, make_room
from keensight.data.cache_limit import VARIABLE as LIMIT_VARIABLE
from keensight.data.feature_cache import FeatureCache
from keensight.data.shards import cache_directory
from keensight.data.shared_pixels import CACHE_VARIABLE, read_shared, write_shared
from keensight.errors import KeensightError, StoreError, TrainingError
from keensight.scale.cluster import SHARE_RUN, cause, check_shared, connected, installed, meeting_folder

if TYPE_CHECKING:
    from keensight.core.decoded import IndexedImages, Pixels
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
        StoreError: a machine of the cluster has another cache.
        TrainingError: a worker failed.
    """
    left = Undecoded(dataset, spec)
    if len(left.rows) < FEWEST * workers.count or not (sent := _sent(dataset)):
        return
    try:
        left.make_room()
    except StoreError:  # this machine says so when it decodes
        return
    _decode(left, dataset, sent, workers, progress)


def _decode(left: Undecoded, dataset: Dataset, sent: bytes, workers: Cluster, progress: Progress) -> None:
    divided = [left.rows[some] for some in parts(len(left.rows), workers.count)]
    samples = [tuple(dataset.samples[int(row)] for row in rows) for rows in divided]
    with connected(workers.address, workers.count):
        _check_cache()
        with _bar(progress, "decoding", len(left.rows), workers) as task:
            _all(Decoder, (_place(), sent, left.specs), samples, workers.count, task)


def _check_cache() -> None:
    """Refuse a cluster with machines that have another cache, by name.

    Raises:
        StoreError: a machine does not see what this one writes there.
    """
    cache = cache_directory()
    hint = f"set {CACHE_VARIABLE} to a folder on a file system that all machines share"
    with storing(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".workers-", dir=cache) as mark:
            check_shared(Path(mark.name), "the cache", hint)


def _place() -> dict[str, str]:
    """Where workers work: in the directory that relative paths start from, and on the cache of this machine.

    Room for all was made before: what they write must not remove what others need.
    """
    return {"directory": str(Path.cwd()), CACHE_VARIABLE: str(cache_directory().absolute()), LIMIT_VARIABLE: "none"}


def _settle(place: Mapping[str, str]) -> None:
    """Be where :func:`_place` says."""
    os.environ.update({name: place[name] for name in (CACHE_VARIABLE, LIMIT_VARIABLE)})
    with suppress(OSError):  # it is not there: absolute paths are found nevertheless
        os.chdir(place["directory"])


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
        place: From :func:`_place`.
        dataset: The image set without samples, from :func:`_sent`.
        specs: The sizes wanted.
    """

    place: Mapping[str, str]
    dataset: bytes
    specs: Sequence[ImageSpec]

    def do(self, samples: tuple[Any, ...]) -> int:
        """Decode some samples; how many they were."""
        from ray import cloudpickle

        _settle(self.place)
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
        check_shared(folder, "the folder of the run", SHARE_RUN)
        with suppress(StoreError):  # what does not fit is computed again
            make_room(len(names) * (4 * wanted.values + INDEX_BYTES))
        write_shared(pixels, dataset, np.array(list(missing.values())), folder)
        wanted.network.save(folder / _NETWORK)
        setup = {
            "place": _place(), "folder": str(folder.absolute()), "key": wanted.key, "values": wanted.values,
            "engine": wanted.engine.name, "identity": wanted.engine.identity,
        }  # fmt: skip
        with _bar(progress, "computing features", len(names), workers) as task:
            _all(Extractor, (setup,), some, workers.count, task)


class Extractor:
    """A worker that computes features, as an actor of Ray.

    Args:
        setup: ``place`` from :func:`_place`, ``folder`` with the images and the network, ``key`` and ``values`` of its
            features in the cache, name and ``identity`` of the ``engine``.
    """

    def __init__(self, setup: Mapping[str, Any]) -> None:
        self._setup = setup
        self._opened: tuple[Any, IndexedImages] | None = None

    def do(self, part: tuple[NDArray[np.int64], Sequence[str]]) -> int:
        """Compute the features of images, given their numbers and digests; how many they were."""
        from keensight.nets.training.features import extract

        # Here, as what fails when an actor begins arrives without its error.
        if self._opened is None:
            _settle(self._setup["place"])
            self._opened = self._frozen(), read_shared(Path(self._setup["folder"]))
        net, pixels = self._opened
        numbers, digests = part
        known = FeatureCache(self._setup["key"], self._setup["values"])
        extract(lambda: net, pixels, numbers, digests, known)
        return len(numbers)

    def _frozen(self) -> Any:
        """The network on one thread."""
        from keensight.nets.engines import ENGINES
        from keensight.nets.models.weights import open_model
        from keensight.nets.runtime import use_threads

        engine = next(one for one in ENGINES if one.name == self._setup["engine"])
        if engine.version is None or engine.identity != self._setup["identity"]:
            raise TrainingError(
                f"a worker on {platform.node()} has {engine.identity}, and the machine that starts it "
                f"{self._setup['identity']}",
                "install the same version on all machines: other versions give slightly other features",
            )
        use_threads(1)
        return engine.freeze(open_model(Path(self._setup["folder"]) / _NETWORK), cache_directory() / "networks")


def _bar(progress: Progress, label: str, images: int, workers: Cluster) -> AbstractContextManager[Phase]:
    return progress.task(f"{label} ({workers.count} workers)", images)


def _all(kind: type, arguments: tuple[Any, ...], work: Iterable[Any], workers: int, task: Phase) -> None:
    """Let actors do all parts of a work, each as soon as one is free."""
    ray = installed()
    from ray.util import ActorPool

    started = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=LOSSES)(kind)
    held = [ray.put(one) for one in arguments]
    actors = [started.remote(*held) for _ in range(workers)]
    try:
        for done in ActorPool(actors).map_unordered(lambda actor, part: actor.do.remote(part), work):
            task.advance(done)
    except ray.exceptions.RayError as error:
        if isinstance(told := getattr(error, "cause", None), KeensightError):
            raise told from error
        raise TrainingError(
            f"a worker failed: {cause(str(error))}",
            "what is done is kept; see the logs in /tmp/ray/session_latest/logs of the machines",
        ) from error
    finally:
        for actor in actors:  # else a notebook that was stopped would keep them, and their CPUs
            with suppress(Exception):
                ray.kill(actor)
