"""ONNX: one file for ONNX Runtime, and for the many tools that read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.errors import StoreError
from keensight.nets.export.graph import INPUT
from keensight.nets.runtime import framework, silenced

if TYPE_CHECKING:
    from keensight.nets.export.graph import ServingGraph

OPSET = 17
"""Version of ONNX's operations: all runtimes since 2022 have it."""


def to_onnx(graph: ServingGraph) -> bytes:
    """Convert a serving graph in float32; the input, the outputs and the free number of images, ``n``, have names.

    Raises:
        StoreError: ONNX lacks one of its operations.
    """
    import tf2onnx

    _, tf = framework()
    signature = [tf.TensorSpec((None, *graph.shape), tf.uint8, name=INPUT)]

    def named(images: Any) -> dict[str, Any]:
        return dict(zip(graph.outputs, graph.forward(images), strict=True))

    function = tf.function(named, input_signature=signature, autograph=False)
    try:
        with silenced():
            model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    except Exception as error:  # the converter raises many kinds
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise StoreError(f"the network cannot be converted to ONNX: {first}", "export to litert or openvino") from error
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    _round_up_scales(model.graph)
    data: bytes = model.SerializeToString()
    return data


def _round_up_scales(graph: Any) -> None:
    """The converter resizes by a factor, of which float32 may be a little less: 5 rows times 1.8 would be 8."""
    from onnx import numpy_helper

    factors = {node.input[2] for node in graph.node if node.op_type == "Resize" and len(node.input) > 2}
    for tensor in graph.initializer:
        if tensor.name in factors:
            scales = numpy_helper.to_array(tensor)
            larger = np.where(scales == 1, scales, np.nextafter(scales, np.float32(np.inf)))
            tensor.CopyFrom(numpy_helper.from_array(larger.astype(np.float32), tensor.name))


def open_onnx(file: Path, outputs: tuple[str, ...]) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """A function from images (n, height, width, 3) to the named outputs, on ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: session.run(list(outputs), {INPUT: images})
