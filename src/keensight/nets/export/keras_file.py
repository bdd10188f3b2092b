"""A ``.keras`` file whose outputs are final, to go on in Keras: standard layers, from raw pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.task import Task
from keensight.nets.embeddings import embedding
from keensight.nets.export.graph import EMBEDDING, INPUT, LEVELS, PROBABILITIES
from keensight.nets.models.weights import open_model
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector


def final_model(model: Classifier | Detector) -> keras.Model:
    """A Keras model from uint8 ``images`` to a dictionary of the final outputs."""
    from keensight.nets.detector import Detector

    keras, _ = framework()
    images = keras.Input(model.spec.shape, dtype="uint8", name=INPUT)
    network = model.keras_model
    if isinstance(model, Detector):
        levels = keras.layers.Identity(name=LEVELS)(network(images))
        return keras.Model(images, {LEVELS: levels}, name="final")
    inner = embedding(network)
    outputs = network.outputs if inner is None else [*network.outputs, inner]
    whole = keras.Model(network.inputs, outputs, name=network.name)
    logits, *vectors = _listed(whole(images))
    if model.mirror:
        mirrored = _listed(whole(keras.ops.flip(images, axis=2)))[0]
        logits = keras.layers.Average(name="averaged")([logits, mirrored])
    scaled = keras.layers.Rescaling(1 / model.temperature, dtype="float32", name="temperature")(logits)
    final = "sigmoid" if model.task == Task.MULTILABEL else "softmax"
    found = {PROBABILITIES: keras.layers.Activation(final, dtype="float32", name=PROBABILITIES)(scaled)}
    for vector in vectors:
        found[EMBEDDING] = keras.layers.Identity(name=EMBEDDING)(vector)
    return keras.Model(images, found, name="final")


def _listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (list, tuple)) else [found]


def open_keras(file: Path, outputs: tuple[str, ...]) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """A function from images (n, height, width, 3) to the named outputs, in Keras."""
    network = open_model(file)

    def run(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found = network(images, training=False)
        return [np.asarray(found[name]) for name in outputs]

    return run
