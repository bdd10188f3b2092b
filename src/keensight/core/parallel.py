"""Work spread over threads, in order and with bounded memory. Pillow decodes outside Python's global lock."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def processors() -> int:
    """Number of CPUs that this process may use, by affinity and by the container's limit."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _container_cpus()))


def _container_cpus() -> int:
    """CPUs that the control group allows, rounded up; a very large number if it sets no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 16


_BACKGROUND = "keensight-background"


def start_in_background(work: Callable[[], object]) -> None:
    """Start work in a thread that nothing waits for, such as a long import; code that needs it does it again.

    Its errors are ignored, because code that needs the work gets them too. It is not a daemon thread, because exiting
    Python during an import of native libraries can crash; the command line ends without it
    (:mod:`keensight.cli.process`).
    """

    def quietly() -> None:
        with suppress(Exception):
            work()

    threading.Thread(target=quietly, name=_BACKGROUND).start()


def in_background() -> bool:
    """Whether work that :func:`start_in_background` started is still running."""
    return any(thread.name == _BACKGROUND for thread in threading.enumerate())


def ordered(work: Callable[[T], R], items: Iterable[T], workers: int, ahead: int = 2) -> Generator[R, None, None]:
    """Yield the results of ``work`` in the order of ``items``, with bounded memory.

    Closing it (or an exception) drops what has not started.

    Args:
        work: Called in a thread for each item.
        items: The items.
        workers: Number of threads.
        ahead: Results that may wait beyond one per thread.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="keensight")
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > workers + ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Budget:
    """A budget of bytes shared by threads; a thread that finds too few left waits."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._held = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait until ``amount`` bytes (at most ``total``) are free, and reserve them."""
        # Only one thread waits at a time; otherwise small amounts would overtake a large one forever.
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._held + amount <= self.total)
            self._held += amount
        try:
            yield
        finally:
            with self._changed:
                self._held -= amount
                self._changed.notify_all()
