"""What runs frozen networks: one table of engines, and which of them is chosen on a machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from keensight.errors import UsageError
from keensight.nets import gpu, litert, runtime

if TYPE_CHECKING:
    import keras


class Frozen(Protocol):
    """A network that is not trained any further, ready to run."""

    workers: int
    """Threads that create batches or run them."""
    shape: tuple[int, ...]
    """Shape of one image's output."""

    def chunk(self, shape: tuple[int, int, int]) -> int:
        """Images of this shape that a batch should have."""
        ...

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Outputs (n, *shape) of uint8 images (n, height, width, 3)."""
        ...

    def stream(self, batches: Iterable[Callable[[], NDArray[np.uint8]]]) -> Iterator[NDArray[np.float32]]:
        """Outputs of batches in order; each batch is created in a thread."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """A row of the table."""

    name: str
    setting: str
    """Its name in ``train.engine``."""
    distribution: str
    """The Python package that it needs."""
    device: str
    """``CPU`` or ``GPU``."""
    freeze: Callable[[keras.Model, Path | None], Frozen]
    """A functional Keras model from uint8 images to one output, and a cache folder for converted networks (None: none),
    to the network on this engine. Raises :class:`keensight.TrainingError` for an operation that it lacks."""

    @property
    def version(self) -> str | None:
        """The installed version; None: it is not installed."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return None

    @property
    def identity(self) -> str:
        """Name and version, such as ``LiteRT 2.3.0``: another one gives other last digits."""
        return f"{self.name} {self.version}"

    def available(self, devices: Sequence[str]) -> bool:
        """Whether it is installed and has its device among those that TensorFlow sees, such as ``GPU:0``."""
        return self.version is not None and (self.device == "CPU" or runtime.sees_gpu(devices))


ENGINES: tuple[Engine, ...] = (
    Engine("TensorFlow on GPU", "gpu", "tensorflow", "GPU", lambda model, memory: gpu.TensorFlowNet(model)),
    Engine("OpenVINO", "openvino", "openvino", "CPU", partial(litert.freeze, make=litert.openvino_or_litert)),
    Engine("LiteRT", "litert", "ai-edge-litert", "CPU", litert.freeze),
)
"""All engines; of those for the CPU the first one that is installed is used."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The engine of a frozen network, and why."""

    engine: Engine
    reason: str
    measured: bool = False
    """Whether a timed step chose between two engines."""


@dataclass(slots=True)
class _Block:
    """What :func:`using` has decided."""

    told: Callable[[Chosen], object]
    chosen: Chosen | None
    used: bool = False


_block: ContextVar[_Block | None] = ContextVar("keensight_engine", default=None)


@contextmanager
def using(
    engine: str | None,
    reason: str = "as before in this run",
    told: Callable[[Chosen], object] = lambda chosen: None,
) -> Iterator[None]:
    """Run all frozen layers inside the ``with`` block on one engine.

    Args:
        engine: Its name, followed by a version or not; None: the one that is chosen for the first network.
        reason: Why it is this one.
        told: Called once, when the first network is frozen.

    Raises:
        UsageError: it is not installed, or TensorFlow sees no GPU for it.
    """
    before = _block.set(_Block(told, None if engine is None else Chosen(_named(engine), reason)))
    try:
        yield
    finally:
        _block.reset(before)


def of_setting(setting: str) -> str | None:
    """The name of the engine that ``train.engine`` asks for; None for ``auto``."""
    return next((engine.name for engine in ENGINES if engine.setting == setting), None)


def _named(name: str) -> Engine:
    engine = next((one for one in ENGINES if name.startswith(one.name)), None)
    if engine is None or engine.version is None:
        package = name.partition(" ")[0] if engine is None else engine.distribution
        raise UsageError(
            f"frozen layers need {name}, which is not installed here",
            f"install it (pip install {package}); other engines give slightly other results",
        )
    if engine.device == "GPU" and not engine.available(runtime.devices()):
        raise UsageError(
            "frozen layers need TensorFlow on a GPU, but TensorFlow sees none here",
            "`keensight doctor` says why; other engines give slightly other results: train again for them",
        )
    return engine


def choose(
    model: keras.Model, networks: Path | None = None, memory: Path | None = None, devices: Sequence[str] | None = None
) -> Chosen:
    """The engine for a frozen network on this machine.

    Inside :func:`using` it is the same for all networks. A GPU is used if a timed step of the network is faster on it
    than on the best engine for the CPU.

    Args:
        model: A functional Keras model from uint8 images to one output.
        networks: Cache folder for converted networks; None: none.
        memory: JSON file that keeps the rates measured on this machine; None: measure each time.
        devices: Names of devices; None: those that TensorFlow sees.
    """
    block = _block.get()
    if block is None:
        return _fastest(model, networks, memory, devices)
    if block.chosen is None:
        block.chosen = _fastest(model, networks, memory, devices)
    if not block.used:
        block.used = True
        block.told(block.chosen)
    return block.chosen


def freeze(model: keras.Model, networks: Path | None = None, memory: Path | None = None) -> Frozen:
    """A frozen network on the engine that :func:`choose` gives; for the arguments and errors see there and
    :class:`Engine`."""
    return choose(model, networks, memory).engine.freeze(model, networks)


def available(devices: Sequence[str]) -> list[Engine]:
    """The engines that may run a frozen network: the best one for the CPU, after that for a GPU, if there is one."""
    found = [engine for engine in ENGINES if engine.available(devices)]
    cpu = next(engine for engine in found if engine.device == "CPU")
    return [*(engine for engine in found if engine.device == "GPU"), cpu]


def _fastest(model: keras.Model, networks: Path | None, memory: Path | None, devices: Sequence[str] | None) -> Chosen:
    *others, cpu = rivals = available(runtime.devices() if devices is None else devices)
    if not others:
        openvino = cpu.setting == "openvino"
        return Chosen(cpu, f"version {cpu.version} is installed" if openvino else "OpenVINO is not installed")
    height, width = model.input_shape[1:3]
    key = f"{gpu.gpu_name()}, {', '.join(one.identity for one in rivals)}, "
    key += f"{model.count_params():,} parameters at {width}x{height} px"
    named = {one.name: one for one in rivals}
    rates = runtime.remembered(
        memory, key, list(named), lambda name: rate(named[name].freeze(model, networks), model.input_shape[1:])
    )
    told = ", ".join(f"{rate:,.0f} on {name}" for name, rate in rates.items())
    fastest = max(rates, key=lambda name: rates[name])
    return Chosen(named[fastest], f"images per second of this network on this machine: {told}", measured=True)


_SECONDS = 1.0


def rate(net: Frozen, shape: tuple[int, int, int]) -> float:
    """Images (height, width, 3) per second, measured for a second after a first pass."""
    images = np.random.default_rng(0).integers(0, 256, (net.chunk(shape), *shape), dtype=np.uint8)
    for _ in net.stream([lambda: images] * net.workers):
        pass  # compiled, and memory taken
    started = time.perf_counter()

    def batches() -> Iterator[Callable[[], NDArray[np.uint8]]]:
        while time.perf_counter() < started + _SECONDS:
            yield lambda: images

    done = sum(len(outputs) for outputs in net.stream(batches()))
    return done / (time.perf_counter() - started)
