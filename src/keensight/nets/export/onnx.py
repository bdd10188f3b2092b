"""ONNX: one file for ONNX Runtime, and for the many tools that read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.nets.export.graph import INPUT
from keensight.nets.runtime import framework, silenced

if TYPE_CHECKING:
    from keensight.nets.export.graph import ServingGraph

OPSET = 17
"""Version of ONNX's operations: all runtimes since 2022 have it."""


def to_onnx(graph: ServingGraph) -> bytes:
    """Convert a serving graph in float32; the input, the outputs and the free number of images, ``n``, have names."""
    import tf2onnx

    _, tf = framework()
    signature = [tf.TensorSpec((None, *graph.shape), tf.uint8, name=INPUT)]

    def named(images: Any) -> dict[str, Any]:
        return dict(zip(graph.outputs, graph.forward(images), strict=True))

    function = tf.function(named, input_signature=signature, autograph=False)
    with silenced():
        model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    data: bytes = model.SerializeToString()
    return data


def open_onnx(file: Path, outputs: tuple[str, ...]) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """A function from images (n, height, width, 3) to the named outputs, on ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: session.run(list(outputs), {INPUT: images})
