"""Where a network ends: its last layer, and what that takes in, the embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keensight.nets.keras_private import calls, producer
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

LAYER = "logits"
_FEW = 16


def embedding(model: keras.Model) -> Any | None:
    """The input (n, d) of the last layer; None: the network does not end in a dense layer on a vector.

    Dropout before the layer stays in place: at inference it has no effect.
    """
    layer = head(model)
    return None if layer is None else layer.input


def head(model: keras.Model) -> Any | None:
    """The last layer: the one called ``logits``, else the dense layer without activation at the output."""
    keras, _ = framework()
    layer = next((layer for layer in reversed(model.layers) if layer.name == LAYER), None)
    outputs = getattr(model, "outputs", None) or []
    if layer is None and len(outputs) == 1:
        last = producer(outputs[0])
        plain = isinstance(last, keras.layers.Dense) and last.activation is keras.activations.linear
        # A shared layer has several inputs.
        layer = last if plain and calls(last) == 1 else None
    return None if layer is None or len(layer.input.shape) != 2 else layer


def both(model: keras.Model, mirror: bool = False) -> Callable[[Any], Any]:
    """A function from uint8 images (n, height, width, 3) to logits (n, classes) and embeddings (n, d).

    One pass gives both, compiled if that is worthwhile; ``d`` is 0 for a network without a last dense layer. With
    ``mirror`` the logits are averaged over the image and its mirror image, and the embeddings are those of the image.
    """
    keras, tf = framework()
    inner = embedding(model)
    net = model if inner is None else keras.Model(model.inputs, [*model.outputs, inner])

    def forward(images: Any) -> Any:
        found = net(images, training=False)
        logits, vectors = found if inner is not None else (found, tf.zeros((tf.shape(images)[0], 0)))
        if mirror:
            logits = (logits + model(tf.reverse(images, axis=[2]), training=False)) / 2.0
        return logits, vectors

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
    compiled = tf.function(forward, input_signature=signature, autograph=False)

    def answer(images: Any) -> Any:
        # Compiling takes longer than a few images do.
        few = len(images) <= _FEW and not compiled.experimental_get_tracing_count()
        # A call of `compiled` itself would count: TensorFlow warns of retracing after a few models in one process.
        return forward(tf.constant(images)) if few else compiled.get_concrete_function()(tf.constant(images))

    return answer
