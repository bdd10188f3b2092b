"""Write a model in a format, and open what was written with the format's own runtime."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core.export_formats import ExportFormat
from keensight.core.files import write_bytes
from keensight.errors import UsageError
from keensight.nets.export.graph import serving_graph
from keensight.nets.export.html import open_html
from keensight.nets.export.keras_file import final_model, open_keras
from keensight.nets.export.onnx import open_onnx, to_onnx
from keensight.nets.export.openvino import open_openvino, write_openvino
from keensight.nets.export.quantize import to_float16, to_int8
from keensight.nets.export.savedmodel import open_savedmodel, write_savedmodel
from keensight.nets.export.tflite import to_tflite

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.nets.export.graph import ServingGraph

_SMALL = 7 * 2**20
"""Bytes up to which the network of an HTML file stays float32: EfficientNet-Lite0 has 6.8 MB in float16."""
Images = NDArray[np.uint8]
Runner = Callable[[Images], list[NDArray[np.float32]]]
"""A function from uint8 images (n, height, width, 3) to the outputs, in order."""


def check_packages(kind: ExportFormat) -> None:
    """Refuse a format whose packages are missing, before any work.

    Raises:
        UsageError: they are.
    """
    missing = [name for name in kind.writers if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the format {kind.name} needs packages that are not installed: {', '.join(missing)}",
            f'run: pip install "keensight[{kind.extra}]"',
        )


def check_runtime(kind: ExportFormat) -> None:
    """Refuse to run an export whose runtime is missing.

    Raises:
        UsageError: it is.
    """
    if find_spec(kind.module) is None:
        raise UsageError(f"{kind.module}, which runs {kind.name}, is not installed", f"run: pip install {kind.runtime}")


def write_network(
    kind: ExportFormat, model: Classifier | Detector, file: Path, calibration: Images | None = None
) -> tuple[str, ...]:
    """Write a model in a format; for ``html``, the network that the page will contain.

    Args:
        kind: The format.
        model: The model.
        file: Where the network goes.
        calibration: Training images, for int8.

    Returns:
        Names of its outputs, in order.

    Raises:
        StoreError: the format does not support one of the network's operations, or the file cannot be written.
    """
    graph = serving_graph(model)
    if kind.name == "keras":
        final_model(model).save(file)
    elif kind.name == "savedmodel":
        write_savedmodel(model, graph, file)
    elif kind.name == "openvino":
        write_openvino(graph, file)
    else:
        write_bytes(file, _flat(kind, model, graph, calibration))
    return graph.outputs


def _flat(kind: ExportFormat, model: Classifier | Detector, graph: ServingGraph, calibration: Images | None) -> bytes:
    from keensight.nets.detector import Detector

    if kind.name == "onnx":
        return to_onnx(graph)
    if kind.precision == "int8":
        assert calibration is not None and not isinstance(model, Detector)
        return to_int8(model, calibration)
    if kind.name == "html":
        return _for_browsers(graph)
    return to_float16(graph) if kind.precision == "float16" else to_tflite(graph)


def _for_browsers(graph: ServingGraph) -> bytes:
    """A network for one image at a time, since LiteRT.js runs no other batches; in float32 if it is small anyway."""
    exact = to_tflite(graph, batch=1)
    return exact if len(exact) <= _SMALL else to_float16(graph, batch=1)


def open_network(kind: ExportFormat, file: Path, outputs: tuple[str, ...]) -> Runner:
    """Open an exported network.

    Raises:
        StoreError: it cannot be read.
    """
    openers = {
        "keras": open_keras, "savedmodel": open_savedmodel, "onnx": open_onnx, "openvino": open_openvino,
        "html": open_html,
    }  # fmt: skip
    return openers.get(kind.name, _open_litert)(file, outputs)


def _open_litert(file: Path, outputs: tuple[str, ...]) -> Runner:
    from keensight.nets.light import LightNetwork

    network = LightNetwork(file.read_bytes(), 1)
    return lambda images: list(network(images)[: len(outputs)])
