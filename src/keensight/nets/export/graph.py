"""The serving graph: what every export of a model computes, from raw pixels to final outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from keensight.core.task import Task
from keensight.nets.embeddings import embedding
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector

PROBABILITIES, EMBEDDING, LEVELS = "probabilities", "embedding", "levels"
INPUT = "images"


@dataclass(frozen=True, slots=True)
class ServingGraph:
    """A model's forward pass in TensorFlow; the number of images is free.

    Everything that a prediction needs of the network is inside: scaling of pixels, test-time augmentation, temperature,
    softmax or sigmoid. What follows (class means of enrolled classes, out-of-distribution rule, decision) is NumPy's.
    """

    forward: Callable[[Any], tuple[Any, ...]]
    """A uint8 tensor (n, height, width, 3) to one float32 tensor for each of ``outputs``."""
    shape: tuple[int, int, int]
    """Height, width and channels of an image."""
    outputs: tuple[str, ...]
    """Of a classifier ``probabilities`` (n, trained classes) and, if the network ends in a dense layer on a vector,
    ``embedding`` (n, d); of a detector ``levels`` (n, rows, columns, levels)."""

    def concrete(self, batch: int | None = None) -> Any:
        """The graph as a concrete function with the input ``images``; its outputs are a tuple in order.

        Args:
            batch: Number of images; None: any.
        """
        return traced(self.forward, self.shape, batch)


def traced(forward: Callable[[Any], Any], shape: tuple[int, ...], batch: int | None = None) -> Any:
    """A concrete function from uint8 images (batch, *shape), called ``images``."""
    _, tf = framework()
    signature = [tf.TensorSpec((batch, *shape), tf.uint8, name=INPUT)]
    return tf.function(forward, input_signature=signature, autograph=False).get_concrete_function()


def serving_graph(model: Classifier | Detector) -> ServingGraph:
    """The serving graph of a model."""
    from keensight.nets.detector import Detector

    if isinstance(model, Detector):
        network = partial(model.keras_model, training=False)
        return ServingGraph(lambda images: (network(images),), model.spec.shape, (LEVELS,))
    inner = embedding(model.keras_model)
    outputs = (PROBABILITIES,) if inner is None else (PROBABILITIES, EMBEDDING)
    return ServingGraph(_classifying(model), model.spec.shape, outputs)


def _classifying(model: Classifier) -> Callable[[Any], tuple[Any, ...]]:
    keras, tf = framework()
    network, inner = model.keras_model, embedding(model.keras_model)
    if inner is not None:
        network = keras.Model(network.inputs, [*network.outputs, inner])
    mirror, temperature = model.mirror, model.temperature
    final = tf.nn.sigmoid if model.task == Task.MULTILABEL else tf.nn.softmax

    def forward(images: Any) -> tuple[Any, ...]:
        # Images and mirror images in one pass: a second one would double the graph and the time to convert it.
        seen = tf.concat([images, tf.reverse(images, axis=[2])], 0) if mirror else images
        logits, *vectors = (tf.cast(one, tf.float32) for one in tf.nest.flatten(network(seen, training=False)))
        if mirror:
            first, second = tf.split(logits, 2)
            logits, vectors = (first + second) / 2.0, [tf.split(one, 2)[0] for one in vectors]
        return (final(logits / temperature), *vectors)

    return forward
