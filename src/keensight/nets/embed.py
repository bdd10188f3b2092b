"""Where a network's embedding is: the input of its last layer, ``logits`` or the dense one at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

LAYER = "logits"
_FEW = 16


def embedding(model: keras.Model) -> Any | None:
    """The tensor (n, d) that the last layer takes in; None: the network does not end in a dense layer on a vector.

    Dropout before the layer changes nothing at inference, so the tensor is then what the dropout takes in.
    """
    layer = head(model)
    return None if layer is None else layer.input


def head(model: keras.Model) -> Any | None:
    """The last layer: the one called ``logits``, else the dense layer without activation that gives the output."""
    keras, _ = framework()
    layer = next((layer for layer in reversed(model.layers) if layer.name == LAYER), None)
    outputs = getattr(model, "outputs", None) or []
    if layer is None and len(outputs) == 1:
        last = outputs[0]._keras_history.operation
        plain = isinstance(last, keras.layers.Dense) and last.activation is keras.activations.linear
        # A layer that stands in several places has several inputs.
        layer = last if plain and len(last._inbound_nodes) == 1 else None
    return None if layer is None or len(layer.input.shape) != 2 else layer


def both(model: keras.Model, mirror: bool = False) -> Callable[[Any], Any]:
    """A function from uint8 images (n, height, width, 3) to logits (n, classes) and embeddings (n, d).

    One pass gives both, compiled where that pays; ``d`` is 0 for a network without a last dense layer. With
    ``mirror`` the logits are the mean of those of the image and of its mirror image, the embeddings those of the
    image.
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
        return forward(tf.constant(images)) if few else compiled(images)

    return answer
