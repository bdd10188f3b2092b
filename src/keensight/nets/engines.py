"""What computes a converted network: LiteRT, or OpenVINO where it is installed (``pip install "keensight[openvino]"``).

Both read the same file and compute in float32; features differ by rounding only. Where it was measured OpenVINO gave
348 images a second and LiteRT 280 (docs/benchmarks.md). A call of an engine runs in one thread; each thread has an
engine of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.nets.backbones import Choice
from keensight.nets.runtime import silenced


@dataclass(frozen=True)
class Engine:
    """A converted network, for one thread at a time."""

    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    """uint8 images (n, height, width, 3) to outputs (n, *shape), which the next call may overwrite."""
    shape: tuple[int, ...]
    """Of one image's output."""


def chosen() -> Choice:
    """Which one computes frozen layers here, and why."""
    try:
        return Choice("OpenVINO", f"version {version('openvino')} is installed")
    except PackageNotFoundError:
        return Choice("LiteRT", "OpenVINO, an extra, is not installed")


def engines(flatbuffer: bytes, count: int) -> list[Engine]:
    """Engines of the chosen kind, one for each of ``count`` threads that work at the same time.

    LiteRT's stand in where OpenVINO cannot read one of the network's operations.
    """
    if chosen().name == "OpenVINO":
        try:
            return openvino(flatbuffer, count)
        except RuntimeError:
            pass
    return litert(flatbuffer, count)


def litert(flatbuffer: bytes, count: int) -> list[Engine]:
    """Interpreters of one thread each; ``RuntimeError``: it cannot run one of the operations."""
    from ai_edge_litert.interpreter import Interpreter

    def engine() -> Engine:
        interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
        interpreter.allocate_tensors()

        def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            place = interpreter.get_input_details()[0]
            if tuple(place["shape"]) != images.shape:
                interpreter.resize_tensor_input(place["index"], images.shape)
                interpreter.allocate_tensors()
            interpreter.set_tensor(place["index"], images)
            interpreter.invoke()
            found: NDArray[np.float32] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            return found

        return Engine(run, tuple(int(n) for n in interpreter.get_output_details()[0]["shape"][1:]))

    with silenced():
        return [engine() for _ in range(count)]


def openvino(flatbuffer: bytes, count: int) -> list[Engine]:
    """Requests to networks compiled for ``count`` streams of one thread; ``RuntimeError``: it cannot read them."""
    import openvino as ov

    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})  # the file does not stay
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": count, "NUM_STREAMS": count}
    with TemporaryDirectory(prefix="keensight-") as folder:
        file = Path(folder, "network.tflite")
        file.write_bytes(flatbuffer)
        network = core.read_model(file)
    one_at_a_time = Lock()  # a network compiled twice has twice the streams, which then share processors
    shape = tuple(int(n.get_length()) for n in list(network.output(0).partial_shape)[1:])

    @cache
    def compiled(shape: tuple[int, ...]) -> Any:
        # One for each size of a batch: with a size left open the same network is slower.
        fixed = network.clone()
        fixed.reshape(shape)
        return core.compile_model(fixed, "CPU", settings)

    def engine() -> Engine:
        @cache
        def request(shape: tuple[int, ...]) -> Any:
            with one_at_a_time:
                return compiled(shape).create_infer_request()

        def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            found: NDArray[np.float32] = request(images.shape).infer([images], share_inputs=True, share_outputs=True)[0]
            return found

        return Engine(run, shape)

    return [engine() for _ in range(count)]
