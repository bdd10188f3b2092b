"""Threads that decode and predict, behind a bounded queue.

A thread takes what waits, at most :data:`AT_ONCE` images and never what another thread could take, and never waits for
more: that would add latency without adding throughput, because a network on a CPU computes one image after the other.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Protocol

from keensight.core import pixels
from keensight.core.image_files import recognize
from keensight.core.records import ImageInfo, ImageSpec
from keensight.errors import ImageError
from keensight.nets.inputs import Read, read_image
from keensight.serve.rejection import Problem, Reason, Rejected

if TYPE_CHECKING:
    from keensight.core.anomaly import AnomalyScores
    from keensight.core.predictions import Predictions

AT_ONCE = 4
_HEAD = 1024
_SMOOTHING = 0.05
_SECONDS = 0.02
"""Expected time of an image before one was measured."""

log = logging.getLogger("keensight.serve")


class Model(Protocol):
    """A classifier or a detector, usable from several threads at once."""

    spec: ImageSpec

    def predict_read(self, images: Sequence[Read]) -> Predictions | AnomalyScores:
        """Predictions of images that were read already."""
        ...


@dataclass(frozen=True, slots=True)
class Examined:
    """An image that was read, or why it is refused."""

    read: Read
    info: ImageInfo | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an image."""

    row: dict[str, Any]
    """As of ``predict --json``."""
    problem: Problem | None
    """Why it has no prediction."""
    queued: float
    """Seconds in the queue."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a thread did at once, for metrics and the comparison with the test set."""

    examined: Sequence[Examined]
    found: Predictions | AnomalyScores
    outcomes: Sequence[Outcome]
    decoding: float
    """Seconds."""
    predicting: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class _Job:
    image: bytes
    top: int
    result: asyncio.Future[Outcome]
    accepted: float


class Pool:
    """Worker threads and their queue; all methods but the threads' own belong to the event loop.

    Args:
        workers: Number of threads.
        queue: Maximum number of images that are accepted and unfinished.
        max_pixels: Maximum width times height of an image.
        done: Called in the worker's thread with each batch.
    """

    def __init__(self, workers: int, queue: int, max_pixels: int, done: Callable[[Batch], None]) -> None:
        self.unfinished = 0
        self._workers = workers
        self._limit = queue
        self._max_pixels = max_pixels
        self._done = done
        self._jobs: deque[_Job] = deque()
        self._changed = Condition()
        self._stopping = False
        self._threads: list[Thread] = []
        self._seconds = _SECONDS

    @property
    def is_running(self) -> bool:
        """Whether the threads were started."""
        return bool(self._threads)

    def start(self, model: Model) -> None:
        """Start the threads."""
        self._threads = [
            Thread(target=self._work, args=(model,), name=f"keensight-serve-{i}", daemon=True)
            for i in range(self._workers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads after what is in the queue."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def submit(self, images: Sequence[bytes], top: int) -> list[asyncio.Future[Outcome]]:
        """Put encoded images into the queue, all or none; each gets its ``top`` classes.

        Raises:
            Rejected: there is no room for them.
        """
        if self.unfinished + len(images) > self._limit:
            raise Rejected(
                Problem(
                    Reason.BUSY,
                    f"{self.unfinished} images are waiting; the queue holds {self._limit}",
                    "try again later, as Retry-After says",
                    self.retry_after(),
                )
            )
        loop, now = asyncio.get_running_loop(), time.perf_counter()
        jobs = [_Job(image, top, loop.create_future(), now) for image in images]
        self.unfinished += len(jobs)
        with self._changed:
            self._jobs.extend(jobs)
            self._changed.notify(len(jobs))
        return [job.result for job in jobs]

    def retry_after(self) -> int:
        """Seconds until what waits now will be finished, at least 1."""
        return max(1, math.ceil(self.unfinished * self._seconds / self._workers))

    def _work(self, model: Model) -> None:
        while jobs := self._take():
            outcomes = self._outcomes(model, jobs)
            with suppress(RuntimeError):  # the server was stopped by force
                jobs[0].result.get_loop().call_soon_threadsafe(self._deliver, jobs, outcomes)

    def _take(self) -> list[_Job]:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._stopping)
            count = min(AT_ONCE, math.ceil(len(self._jobs) / self._workers))
            return [self._jobs.popleft() for _ in range(count)]

    def _deliver(self, jobs: Sequence[_Job], outcomes: Sequence[Outcome]) -> None:
        self.unfinished -= len(jobs)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if not job.result.done():  # its request may have timed out
                job.result.set_result(outcome)

    def _outcomes(self, model: Model, jobs: Sequence[_Job]) -> list[Outcome]:
        begin = time.perf_counter()
        wanted = [job for job in jobs if not job.result.cancelled()]
        try:
            found = self._predicted(model, wanted, begin)
        except Exception:
            log.exception("predicting failed")
            problem = Problem(Reason.FAILED, "predicting failed", "the server's log has the reason")
            return [Outcome({}, problem, 0.0) for _ in jobs]
        by_job = dict(zip(map(id, wanted), found, strict=True))
        timeout = Problem(Reason.TIMEOUT, "the request timed out", None)
        return [by_job.get(id(job)) or Outcome({}, timeout, 0.0) for job in jobs]

    def _predicted(self, model: Model, jobs: Sequence[_Job], begin: float) -> list[Outcome]:
        examined = [examine(job.image, model.spec, self._max_pixels) for job in jobs]
        decoded = time.perf_counter()
        found = model.predict_read([one.read for one in examined])
        rows = found.rows(max((job.top for job in jobs), default=0))
        outcomes = [
            Outcome({**row, "top": row["top"][: job.top]}, one.problem, begin - job.accepted)
            for row, one, job in zip(rows, examined, jobs, strict=True)
        ]
        end = time.perf_counter()
        if jobs:
            self._seconds += _SMOOTHING * ((end - begin) / len(jobs) - self._seconds)
            self._done(Batch(examined, found, outcomes, decoded - begin, end - decoded))
        return outcomes


def examine(image: bytes, spec: ImageSpec, max_pixels: int) -> Examined:
    """Read an encoded image, and say what kind of problem it has."""
    if not image:
        return _refused(Reason.EMPTY, "the file is empty (0 bytes)", "send the bytes of an image")
    try:
        recognize(image[:_HEAD])
    except ImageError as error:
        return _refused(Reason.NOT_AN_IMAGE, error.message, "send a JPEG, PNG or another image format")
    try:
        info = pixels.probe(image)
    except ImageError as error:
        return _refused(Reason.UNREADABLE, error.message, error.hint)
    if info.width * info.height > max_pixels:
        return _refused(
            Reason.TOO_MANY_PIXELS,
            f"its header says {info.width}×{info.height} pixels; the limit is {max_pixels / 1e6:g} megapixels",
            "send a smaller image",
        )
    read = read_image(image, spec)
    if read.error is not None:
        return _refused(Reason.UNREADABLE, read.error, "send the whole, undamaged file")
    return Examined(read, info)


def _refused(reason: Reason, message: str, hint: str | None) -> Examined:
    return Examined(Read(None, message, ""), problem=Problem(reason, message, hint))
