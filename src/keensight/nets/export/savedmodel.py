"""TensorFlow's SavedModel, for TensorFlow Serving and ``tf.saved_model.load``."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import storing
from keensight.nets.export.graph import INPUT
from keensight.nets.runtime import framework, silenced

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.nets.export.graph import ServingGraph

SIGNATURE = "serving_default"


def write_savedmodel(model: Classifier | Detector, graph: ServingGraph, folder: Path) -> None:
    """Write the serving graph of a model with one signature, from ``images`` to the named outputs."""
    _, tf = framework()

    def named(images: Any) -> dict[str, Any]:
        return dict(zip(graph.outputs, graph.forward(images), strict=True))

    signature = [tf.TensorSpec((None, *graph.shape), tf.uint8, name=INPUT)]
    module = tf.Module()
    module.weights = model.keras_model.variables  # what is not an attribute of the module is not saved
    module.serve = tf.function(named, input_signature=signature, autograph=False)
    with storing(folder), silenced():
        try:
            tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})
        except tf.errors.OpError as error:
            raise _of_the_system(error.message) from error


def _of_the_system(message: str) -> OSError:
    """TensorFlow's error in writing a file as what the operating system said: it ends TensorFlow's own message."""
    reason = message.rpartition("; ")[2].partition(" [Op:")[0]
    return OSError(errno.ENOSPC if os.strerror(errno.ENOSPC) in reason else errno.EIO, reason)


def open_savedmodel(folder: Path, outputs: tuple[str, ...]) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """A function from images (n, height, width, 3) to the named outputs, on TensorFlow."""
    _, tf = framework()
    with silenced():
        loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures[SIGNATURE]

    def run(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found = serve(**{INPUT: tf.constant(images)})
        return [np.asarray(found[name]) for name in outputs]

    return run
