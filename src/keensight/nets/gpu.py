"""What TensorFlow does on a GPU: frozen networks, half precision, and why it does not use one."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.parallel import ordered, processors
from keensight.nets import runtime
from keensight.nets.export.graph import traced
from keensight.nets.network import Passes
from keensight.nets.runtime import framework, sees_gpu

if TYPE_CHECKING:
    import keras

_MOST, _MOST_PIXELS = 512, 512 * 224 * 224
"""Images of a first forward pass, and their pixels: small ones are not taken by the thousand."""
_TAKERS = 8
"""Threads that fetch images while the GPU computes: each holds one pass's images."""


class TensorFlowNet:
    """Runs a frozen network on whatever device TensorFlow has, in full float32, as the other engines do.

    Args:
        model: A functional Keras model from uint8 images to one output.
    """

    def __init__(self, model: keras.Model) -> None:
        shape = tuple(model.input_shape[1:])
        run = traced(partial(model, training=False), shape)
        _, tf = framework()
        self._passes = Passes(lambda images: np.asarray(run(tf.constant(images))), self.chunk(shape))
        self.workers = min(processors(), _TAKERS)
        self.shape = tuple(model.output_shape[1:])
        """Shape of one image's output."""

    def chunk(self, shape: tuple[int, int, int]) -> int:
        """Images of this shape that a batch should have."""
        return max(1, min(_MOST, _MOST_PIXELS // (shape[0] * shape[1])))

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Outputs of some images, float32 (n, *shape).

        Args:
            images: uint8 (n, height, width, 3).
        """
        out = np.empty((len(images), *self.shape), np.float32)
        for some, found in self._passes(images):
            out[some] = found
        return out

    def stream(self, batches: Iterable[Callable[[], NDArray[np.uint8]]]) -> Iterator[NDArray[np.float32]]:
        """Outputs of batches in order; the next ones are created in threads while one is computed."""
        with closing(ordered(lambda batch: batch(), batches, self.workers, ahead=0)) as created:
            for images in created:
                yield self(images)


def half_precision(device_names: Sequence[str]) -> str | None:
    """The 16-bit type that is worth a timed step on these devices; None: none is.

    A GPU multiplies fast in bfloat16 from compute capability 8.0 on (Ampere), in float16 from 7.0 on (Volta, Turing).
    """
    return _half(_capability()) if sees_gpu(device_names) else "bfloat16"


def _half(capability: tuple[int, int] | None) -> str | None:
    if capability is None or capability < (7, 0):
        return None
    return "bfloat16" if capability >= (8, 0) else "float16"


def _capability() -> tuple[int, int] | None:
    """Compute capability of the first GPU; None: not known, of one that is not NVIDIA's."""
    return _details().get("compute_capability")


def _details() -> dict[str, Any]:
    config = framework()[1].config
    found = config.list_physical_devices("GPU")
    return dict(config.experimental.get_device_details(found[0])) if found else {}


def gpu_name() -> str:
    """Name of the first GPU, such as ``Tesla T4``."""
    return str(_details().get("device_name", "GPU"))


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides whether TensorFlow uses a GPU."""

    devices: tuple[str, ...]
    """What TensorFlow sees."""
    system: str
    """``Linux``, ``Windows`` or ``Darwin``."""
    driver: str | None
    """Version of NVIDIA's driver; empty: it does not respond; None: there is none."""
    gpu: str
    """The GPU's name by its driver, or by TensorFlow."""
    cuda: str | None
    """CUDA's version that this TensorFlow was built for; None: for none."""
    visible: str | None
    """``CUDA_VISIBLE_DEVICES``; None: not set."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether TensorFlow uses a GPU, and why not."""

    used: bool
    text: str
    hint: str = ""
    """What to do about it; empty: nothing."""


_DRIVERS = {11: 450, 12: 525, 13: 580}
"""First driver for each major version of CUDA (docs.nvidia.com/deploy/cuda-compatibility)."""
_INSTALL = "pip install 'tensorflow[and-cuda]'"


def verdict(machine: Machine) -> Verdict:
    """Whether TensorFlow uses a GPU of this machine, and if not, why, and what helps."""
    if sees_gpu(machine.devices):
        return Verdict(True, f"{machine.gpu}, used by TensorFlow")
    if machine.driver is None:
        return Verdict(False, "none (no NVIDIA driver is installed)")
    if not machine.driver:
        return Verdict(
            False,
            "not used: NVIDIA's driver is installed but does not respond (nvidia-smi fails)",
            "on Colab and Kaggle choose a runtime with a GPU; elsewhere install the driver again or restart",
        )
    found = f"{machine.gpu} is there (driver {machine.driver}), but not used: "
    why, hint = _obstacle(machine, machine.driver)
    return Verdict(False, found + why, hint)


def _obstacle(machine: Machine, driver: str) -> tuple[str, str]:
    """Why TensorFlow does not see a GPU that has a driver, and what helps."""
    if machine.visible in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides it", "unset CUDA_VISIBLE_DEVICES"
    if machine.system == "Windows":
        return "TensorFlow does not support GPUs on native Windows", "install Keensight in WSL2"
    if machine.cuda is None:
        return "this TensorFlow was built without CUDA", _INSTALL
    least = _DRIVERS.get(int(machine.cuda.partition(".")[0]), 0)
    if int(driver.partition(".")[0]) < least:
        return f"CUDA {machine.cuda} needs driver {least} or newer", "update NVIDIA's driver"
    return "TensorFlow does not find the CUDA libraries", _INSTALL


def this_machine() -> Machine:
    """What decides it here."""
    driver, gpu = _driver()
    cuda = framework()[1].sysconfig.get_build_info().get("cuda_version")
    names = tuple(runtime.devices())
    return Machine(
        names,
        platform.system(),
        driver,
        gpu_name() if sees_gpu(names) else gpu,
        cuda,
        os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def has_driver() -> bool:
    """Whether a driver of NVIDIA is installed, told without TensorFlow."""
    return shutil.which("nvidia-smi") is not None


def _driver() -> tuple[str | None, str]:
    """Version of NVIDIA's driver and name of the first GPU, as ``nvidia-smi`` prints them (see :class:`Machine`)."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None, ""
    try:
        done = subprocess.run(
            [command, "--query-gpu=driver_version,name", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        version, _, name = done.stdout.splitlines()[0].partition(",")
        int(version.partition(".")[0])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return "", ""
    return version.strip(), name.strip()
