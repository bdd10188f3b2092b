"""Starting the framework quietly: import, threads, seeds, precision."""

from __future__ import annotations

import gc
import os
import platform
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from keensight.core import parallel
from keensight.core.files import read_json, sha256, write_json
from keensight.core.parallel import processors
from keensight.errors import StoreError, UsageError
from keensight.nets.models.backbones import Choice

BACKEND = "tensorflow"
_IMPORTING = threading.Lock()


class _Silence:
    """Whether descriptor 2, which belongs to the whole process, is silenced by any thread."""

    def __init__(self) -> None:
        self._lock, self._blocks, self._undo = threading.Lock(), 0, _nothing

    def enter(self) -> None:
        with self._lock:
            if not self._blocks:
                self._undo = _silenced()
            self._blocks += 1

    def leave(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._undo()


@contextmanager
def silenced() -> Iterator[None]:
    """Silence descriptor 2, where TensorFlow's C++ side writes start-up notes that no log level stops.

    Python's own ``sys.stderr`` still reaches the terminal, because progress may be shown. Blocks of several threads may
    overlap.
    """
    _SILENCE.enter()
    try:
        yield
    finally:
        _SILENCE.leave()


def _nothing() -> None:
    pass


def _silenced() -> Callable[[], None]:
    """Send descriptor 2 nowhere; how to undo it."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
        ours = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):  # no standard error, or one that is not a file
        return _nothing
    former = sys.stderr
    if ours:
        # Never closed: a progress bar created during the import keeps writing to it.
        sys.stderr = os.fdopen(os.dup(saved), "w", buffering=1, encoding=former.encoding, errors=former.errors)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)

    def undo() -> None:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
        sys.stderr = former

    return undo


_SILENCE = _Silence()


def framework() -> tuple[Any, Any]:
    """Import Keras and TensorFlow without their start-up chatter.

    Returns:
        The modules ``(keras, tensorflow)``.

    In a worker process of a distributed training (:func:`in_group`) Keras computes with JAX, and TensorFlow only reads
    and augments images.

    Raises:
        UsageError: ``KERAS_BACKEND`` names another backend, or they are not installed.

    Examples:
        >>> keras, tf = ks.framework()
        >>> keras.backend.backend()
        'tensorflow'
    """
    _check_backend(os.environ.setdefault("KERAS_BACKEND", BACKEND))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # By default TensorFlow takes all of a GPU's memory, also that which the notebook's other libraries need.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    with _IMPORTING:  # another thread may be importing it
        keras, tensorflow = _imported()
    _check_backend(keras.backend.backend())  # Keras may have been imported before with another backend
    return keras, tensorflow


def _imported() -> tuple[Any, Any]:
    quiet = ExitStack()
    if sys.modules.get("tensorflow") is None:
        quiet.enter_context(silenced())
        quiet.enter_context(_uncollected())
    try:
        with quiet:
            import keras
            import tensorflow
    except ModuleNotFoundError as error:
        if error.name not in ("keras", "tensorflow"):
            raise
        raise UsageError(
            "this needs TensorFlow and Keras, which are not installed", "run: pip install keensight"
        ) from error
    return keras, tensorflow


def in_group() -> bool:
    """Whether this process is one of a group that trains on JAX (``nets.training.data_parallel``)."""
    # Keras imports JAX where it is installed: another thread may be in the middle of that.
    initialized = getattr(getattr(sys.modules.get("jax"), "distributed", None), "is_initialized", None)
    return initialized is not None and bool(initialized())


def _check_backend(name: str) -> None:
    if name != ("jax" if in_group() else BACKEND):
        raise UsageError(
            f"Keras' backend is {name!r}, but Keensight works only with {BACKEND}",
            f"set the environment variable KERAS_BACKEND to {BACKEND} before Keras is imported, or unset it",
        )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable garbage collection: an import creates hundreds of thousands of permanent objects."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.freeze()
            gc.enable()


def start_in_background() -> None:
    """Start the import (2 to 4 s) in parallel with other work, such as decoding.

    Raises:
        UsageError: ``KERAS_BACKEND`` names another backend; so it is said before any work.
    """
    _check_backend(os.environ.get("KERAS_BACKEND", BACKEND))
    parallel.start_in_background(framework)


def configure(*, seed: int) -> None:
    """Seed Python, NumPy and the framework (initial weights, dropout)."""
    keras, _ = framework()
    random.seed(seed)
    np.random.seed(seed)
    keras.utils.set_random_seed(seed)


def use_threads(threads: int | None, memory: Path | None = None) -> Choice:
    """Set the threads of TensorFlow's operations, and so of converted networks.

    By default, TensorFlow uses one per CPU of the machine, which is far too many in a container with fewer CPUs.

    Args:
        threads: None: chosen by measuring (:func:`~keensight.nets.runtime.choose_threads`).
        memory: File that caches measurements.

    Returns:
        The number in use, and why.

    Raises:
        UsageError: TensorFlow has already started with another number of threads.
    """
    _, tensorflow = framework()
    wanted, reason = choose_threads(threads, memory)
    if threads_in_force() != wanted:
        try:
            tensorflow.config.threading.set_intra_op_parallelism_threads(wanted)
            tensorflow.config.threading.set_inter_op_parallelism_threads(wanted)
        except RuntimeError as error:
            if threads is not None:
                raise UsageError(
                    "train.threads can only be set before TensorFlow has started in this process",
                    "set it in a new process (in a notebook: restart the kernel)",
                ) from error
            return Choice(str(threads_in_force()), "TensorFlow was already started with these")
    return Choice(str(wanted), reason)


def threads_in_force() -> int:
    """Number of threads of TensorFlow's operations; by default all available CPUs."""
    _, tensorflow = framework()
    return int(tensorflow.config.threading.get_intra_op_parallelism_threads()) or processors()


@contextmanager
def full_float32() -> Iterator[None]:
    """Make a GPU multiply in full float32, as a CPU does: TensorFloat-32, its default, keeps 10 of 23 bits."""
    _, tensorflow = framework()
    setting = tensorflow.config.experimental
    former = setting.tensor_float_32_execution_enabled()
    setting.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        setting.enable_tensor_float_32_execution(former)


def devices() -> list[str]:
    """Names of the devices that TensorFlow sees, such as ``CPU:0``."""
    _, tensorflow = framework()
    return [device.name.removeprefix("/physical_device:") for device in tensorflow.config.list_physical_devices()]


def sees_gpu(devices: Sequence[str]) -> bool:
    """Whether a GPU is among the names of devices."""
    return any(name.startswith("GPU") for name in devices)


def versions() -> dict[str, str]:
    """Versions of the framework in use."""
    keras, tensorflow = framework()
    return {"keras": keras.__version__, "tensorflow": tensorflow.__version__}


def weights_digest(model: Any) -> str:
    """SHA-256 of a Keras model's weights in their order: equal if and only if all bits are."""
    return sha256("".join(sha256(np.ascontiguousarray(weight).tobytes()) for weight in model.get_weights()).encode())


_GAIN = 1.05
"""Fewer threads must be this much faster: noise in the measurement slows many threads more than few."""
_SIDE, _PRODUCTS = 384, 24


def choose_threads(asked: int | None, memory: Path | None = None) -> tuple[int, str]:
    """Choose the number of threads, with the reason.

    Args:
        asked: Used as it is; None: all CPUs that this process may use, or half of them if that multiplies matrices
            faster.
        memory: File that remembers what was measured on this machine; None: measure each time.
    """
    if asked is not None:
        return asked, "as set"
    most = processors()
    if most == 1:
        return 1, "1 CPU available"
    half = most // 2
    rates = remembered(
        memory, f"{most} usable", [str(most), str(half)], lambda count: max(_rate(int(count)) for _ in range(2))
    )
    chosen = half if rates[str(half)] > _GAIN * rates[str(most)] else most
    products = " and ".join(f"{rates[str(count)]:,.0f} with {count}" for count in (most, half))
    return chosen, f"matrix products per second on this machine: {products}"


def remembered(
    memory: Path | None, key: str, names: Sequence[str], measure: Callable[[str], float]
) -> dict[str, float]:
    """Numbers that were measured on this machine, once.

    Args:
        memory: JSON file that keeps them, together with others; None: measure each time.
        key: What they depend on beside the machine's name and number of CPUs, which are added.
        names: Of the numbers.
        measure: Gives one of them.
    """
    key = f"{platform.node()}, {os.cpu_count()} CPUs, {key}"
    known: dict[str, Any] = {}
    if memory is not None and memory.exists():
        with suppress(StoreError, KeyError, TypeError, ValueError):
            known = dict(read_json(memory))
            return {name: float(known[key][name]) for name in names}
    found = {name: measure(name) for name in names}
    if memory is not None:
        with suppress(StoreError):  # without the cache, they are measured again
            write_json(memory, known | {key: found})
    return found


def _rate(threads: int) -> float:
    """Float32 products of 384 x 384 matrices per second, each thread working independently."""
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
