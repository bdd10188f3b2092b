"""Smaller LiteRT files: weights in float16, or weights and activations in int8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keensight.nets.export.tflite import uncomplaining
from keensight.nets.runtime import framework, silenced

if TYPE_CHECKING:
    from keensight.nets.export.graph import ServingGraph


def to_float16(graph: ServingGraph, batch: int | None = None) -> bytes:
    """Convert a serving graph with its weights in float16, half the size; it is computed in float32.

    Args:
        graph: The graph.
        batch: Number of images that it takes; None: any.
    """
    _, tf = framework()
    with silenced(), uncomplaining():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.concrete(batch)])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        flatbuffer: bytes = converter.convert()
    return flatbuffer
