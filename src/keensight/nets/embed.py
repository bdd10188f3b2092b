"""Where a network's embedding is: the input of its last layer, ``logits``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

LAYER = "logits"
_FEW = 16


def embedding(model: keras.Model) -> Any | None:
    """The tensor (n, d) that the layer ``logits`` takes in; None: the network has no such layer.

    Dropout before the layer changes nothing at inference, so the tensor is then what the dropout takes in.
    """
    layer = next((layer for layer in reversed(model.layers) if layer.name == LAYER), None)
    if layer is None or len(layer.input.shape) != 2:
        return None
    return layer.input


def both(model: keras.Model, mirror: bool = False) -> Callable[[Any], Any]:
    """A function from uint8 images (n, height, width, 3) to logits (n, classes) and embeddings (n, d).

    One pass gives both, compiled where that pays; ``d`` is 0 for a network without a layer ``logits``. With
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
