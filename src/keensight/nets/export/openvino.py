"""OpenVINO: a graph and its weights (``.xml`` and ``.bin``) for Intel's CPUs, GPUs and NPUs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import temporary_folder, write_bytes
from keensight.nets.export.graph import INPUT
from keensight.nets.export.tflite import to_tflite

if TYPE_CHECKING:
    from keensight.nets.export.graph import ServingGraph


def write_openvino(graph: ServingGraph, file: Path) -> None:
    """Convert a serving graph in float32, by way of its LiteRT file, and write ``file`` and its ``.bin``."""
    import openvino as ov

    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})  # the file is deleted
    with temporary_folder() as folder:
        light = folder / "network.tflite"
        write_bytes(light, to_tflite(graph))
        network = core.read_model(light)
    network.input(0).tensor.set_names({INPUT})
    for output, name in zip(network.outputs, graph.outputs, strict=True):
        output.tensor.set_names({name})
    ov.save_model(network, file, compress_to_fp16=False)


def open_openvino(file: Path, outputs: tuple[str, ...]) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """A function from images (n, height, width, 3) to the named outputs, on OpenVINO."""
    import openvino as ov

    # OpenVINO may choose half precision by itself on some CPUs.
    network = ov.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found = network({INPUT: images})
        return [found[name] for name in outputs]

    return run
