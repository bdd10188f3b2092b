"""How many threads? As many as make the machine at hand multiply matrices fastest.

Two threads on one core (hyper-threading) share its arithmetic, and a container may be granted less than it sees:
neither can be read off a count, so it is measured once and remembered.
"""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from keensight.core.files import read_json, write_json
from keensight.core.parallel import processors
from keensight.errors import StoreError

_GAIN = 1.05
"""Fewer threads must be this much faster: what disturbs a measurement slows many threads more than few."""
_SIDE, _PRODUCTS = 384, 24


def choose_threads(asked: int | None, memory: Path | None = None) -> tuple[int, str]:
    """The number of threads, and why.

    Args:
        asked: Taken as it is; None: all processors that this process may use, or half of them where that
            multiplies matrices faster.
        memory: File that remembers what was measured on this machine; None: measure each time.
    """
    if asked is not None:
        return asked, "as asked"
    most = processors()
    if most == 1:
        return 1, "one processor is at hand"
    half = most // 2
    rates = _remembered(most, half, memory)
    chosen = half if rates[half] > _GAIN * rates[most] else most
    products = " and ".join(f"{rates[count]:,.0f} with {count}" for count in (most, half))
    return chosen, f"matrix products a second here: {products}"


def _remembered(most: int, half: int, memory: Path | None) -> dict[int, float]:
    machine = f"{platform.node()}, {os.cpu_count()} processors, {most} usable"
    if memory is not None and memory.exists():
        with suppress(StoreError, KeyError, TypeError, ValueError):
            known = read_json(memory)[machine]
            return {count: float(known[str(count)]) for count in (most, half)}
    rates = {count: max(_rate(count) for _ in range(2)) for count in (most, half)}
    if memory is not None:
        with suppress(StoreError):  # a cache that cannot be written costs a moment, no more
            write_json(memory, {machine: {str(count): rate for count, rate in rates.items()}})
    return rates


def _rate(threads: int) -> float:
    """Products of float32 matrices of 384 x 384 a second, each thread working on its own."""
    from threadpoolctl import threadpool_limits

    matrix = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), dtype=np.float32)

    def work(_: int) -> None:
        for _ in range(_PRODUCTS):
            np.matmul(matrix, matrix)

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))  # the threads are started
        started = time.perf_counter()
        list(pool.map(work, range(threads)))
        return threads * _PRODUCTS / (time.perf_counter() - started)
