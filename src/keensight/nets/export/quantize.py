"""Smaller LiteRT files: weights in float16, or weights and activations in int8.

In int8 only the convolutions (and what lies between them) are quantized, with one scale per output channel of the
weights, and ranges of activations from training images. Averaging the last maps and the classifier head stay in
float32: they are small, and the mean of a map is far more precise than its int8 values.

Rounding shifts the mean of each feature; this shift is measured on the training images and subtracted (bias correction:
Nagel, van Baalen, Blankevoort and Welling 2019, "Data-free quantization through weight equalization and bias
correction", there for every layer). A feature that is mostly noise after rounding, as one that hardly varies, gets less
weight in the head: its weights are multiplied by the slope of the regression of the exact feature on the rounded one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.task import Task
from keensight.errors import StoreError
from keensight.nets.embeddings import embedding, head
from keensight.nets.export.graph import serving_graph, traced
from keensight.nets.export.tflite import uncomplaining
from keensight.nets.light import LightNetwork
from keensight.nets.runtime import framework, silenced

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier
    from keensight.nets.export.graph import ServingGraph

RANGES = 100
"""Images that the ranges of activations are taken from; 300 gave no better ones."""
_PRODUCT, _SUM = "head_product", "head_sum"
_FLOAT_OPERATIONS = ("MEAN", "CONCATENATION", "SUB", "RESHAPE", "SOFTMAX", "LOGISTIC")
_FLOAT_NODES = (f"{_PRODUCT};{_SUM}",)
"""The head, as LiteRT's converter names the fused operation."""
_TINY = 1e-9

Floats = NDArray[np.float32]


def to_float16(graph: ServingGraph, batch: int | None = None) -> bytes:
    """Convert a serving graph with its weights in float16, half the size; it is computed in float32.

    Args:
        graph: The graph.
        batch: Number of images that it takes at a time; None: any.
    """
    _, tf = framework()
    with silenced(), uncomplaining():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.concrete(batch)])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        flatbuffer: bytes = converter.convert()
    return flatbuffer


def to_int8(model: Classifier, images: NDArray[np.uint8]) -> bytes:
    """Convert a classifier to int8; probabilities and embeddings are float32.

    Args:
        model: The classifier.
        images: Training images for calibration, uint8 (n, height, width, 3), at least one.

    Raises:
        StoreError: LiteRT cannot quantize the network.
    """
    few = images[np.unique(np.linspace(0, len(images) - 1, min(RANGES, len(images))).astype(np.int64))]
    if embedding(model.keras_model) is None:
        return _quantized(serving_graph(model).concrete(), few)
    kernel, bias = _head_of(model)
    exact = Tail(kernel, bias, np.zeros(len(kernel), np.float32))
    rounded = LightNetwork(_quantized(_graph(model, exact), few), 1)(images)[1]
    return _quantized(_graph(model, corrected(exact, model.embed_array(images), rounded)), few)


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """What follows the quantized network: embedding minus ``shift``, then a dense layer."""

    kernel: Floats
    """Shape (d, classes); divided by the temperature."""
    bias: Floats
    shift: Floats
    """Shape (d,)."""


def corrected(tail: Tail, exact: Floats, rounded: Floats) -> Tail:
    """The tail for rounded features.

    Args:
        tail: For exact features.
        exact: Features of some images, shape (n, d).
        rounded: The same by the quantized network.
    """
    centers = exact.mean(axis=0)
    first, second = exact - centers, rounded - rounded.mean(axis=0)
    slopes = (first * second).sum(axis=0) / ((second**2).sum(axis=0) + _TINY)
    slopes = np.clip(slopes, 0.0, 1.0).astype(np.float32)
    bias = tail.bias + (centers * (1 - slopes)) @ tail.kernel
    return Tail(tail.kernel * slopes[:, None], bias.astype(np.float32), rounded.mean(axis=0) - centers)


def _head_of(model: Classifier) -> tuple[Floats, Floats]:
    """Kernel and bias of the last layer, divided by the temperature."""
    layer = head(model.keras_model)
    assert layer is not None, "a network with embeddings ends in such a layer"
    kernel, *bias = layer.get_weights()
    constant = bias[0] if bias else np.zeros(kernel.shape[1], np.float32)
    return (kernel / model.temperature).astype(np.float32), (constant / model.temperature).astype(np.float32)


def _graph(model: Classifier, tail: Tail) -> Any:
    """The serving graph, with the operations of the tail in a form that stays in float32."""
    keras, tf = framework()
    network = model.keras_model
    body = keras.Model(network.inputs, embedding(network))
    final: Callable[[Any], Any] = tf.nn.sigmoid if model.task == Task.MULTILABEL else tf.nn.softmax
    views = 2 if model.mirror else 1

    def forward(images: Any) -> tuple[Any, Any]:
        seen = tf.concat([images, tf.reverse(images, axis=[2])], 0) if model.mirror else images
        found = tf.subtract(tf.cast(body(seen, training=False), tf.float32), tail.shift)
        both = tf.reshape(found, (views, -1, len(tail.shift)))
        mean = tf.reduce_mean(both, axis=0) if model.mirror else found
        logits = tf.add(tf.matmul(mean, tail.kernel, name=_PRODUCT), tail.bias, name=_SUM)
        return final(logits), both[0] if model.mirror else found

    return traced(forward, model.spec.shape)


def _quantized(concrete: Any, images: NDArray[np.uint8]) -> bytes:
    _, tf = framework()

    def samples() -> Iterator[list[NDArray[np.uint8]]]:
        return ([images[place : place + 1]] for place in range(len(images)))

    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=list(_FLOAT_OPERATIONS), denylisted_nodes=list(_FLOAT_NODES)
    )
    try:
        with silenced(), uncomplaining(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of inputs that stay uint8, and of the interpreter that calibrates
            converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
            tool = tf.lite.experimental.QuantizationDebugger(
                converter=converter, debug_dataset=samples, debug_options=options
            )
            flatbuffer: bytes = tool.get_nondebug_quantized_model()
    except Exception as error:  # the converter raises its private error, and for some operations others
        first = str(error).strip().splitlines()[0][:200]
        raise StoreError(f"LiteRT cannot quantize the network: {first}", "export to litert-fp16") from error
    return flatbuffer
