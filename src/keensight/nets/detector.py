"""The only path from images to anomaly scores, for evaluation and prediction."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly import AnomalyScores, Limits, image_scores
from keensight.core.parallel import ordered, processors
from keensight.core.progress import Progress, Silent
from keensight.core.records import ImageSpec
from keensight.core.sources import Images, name_of, singles
from keensight.nets.inputs import check_images, check_input, chunks, read_image
from keensight.nets.models.weights import open_model
from keensight.nets.runtime import framework
from keensight.nets.training.batches import evaluation_batch
from keensight.nets.training.split_model import cuts

if TYPE_CHECKING:
    import keras


class Detector:
    """An anomaly detector: a network with its preprocessing and thresholds.

    Args:
        model: A Keras model from uint8 (n, height, width, 3) to patch scores (n, rows, columns, 1).
        spec: How an image becomes the model's input.
        limits: Thresholds above which an image is anomalous.
    """

    def __init__(self, model: keras.Model, spec: ImageSpec, limits: Limits) -> None:
        _, tf = framework()
        check_input(model, spec)
        self.keras_model = model
        self.spec = spec
        self.limits = limits
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
        self._forward = tf.function(partial(model, training=False), input_signature=signature, autograph=False)

    @classmethod
    def open(cls, path: Path, spec: ImageSpec, limits: Limits) -> Detector:
        """Load a ``.keras`` file in Keras' safe mode.

        Raises:
            StoreError: Keras cannot load the file.
        """
        return cls(open_model(path), spec, limits)

    def predict_maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's score of each patch, float32 (n, rows, columns).

        Args:
            images: uint8 (n, height, width, 3), RGB, 0 to 255.

        Raises:
            DataError: wrong dtype or shape.
        """
        check_images(images, self.spec)
        size = evaluation_batch(self.spec.shape)
        parts = [
            np.asarray(self._forward(images[begin : begin + size]))[..., 0] for begin in range(0, len(images), size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, *self.keras_model.output_shape[1:3]), np.float32)

    def score(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of maps (n, rows, columns), shape (n,); 1 is the threshold."""
        return image_scores(maps) / np.float32(self.limits.threshold)

    def predict(self, images: Images, *, progress: Progress | None = None) -> AnomalyScores:
        """Compute scores and maps of files, encoded bytes or decoded arrays; unreadable ones become errors.

        Args:
            images: One image or many, as for :func:`keensight.predict`, except folders, patterns and tables.
            progress: Where to report.

        Returns:
            AnomalyScores in the order given, with their maps.
        """
        sources = singles(images)
        names = tuple(name_of(source, i) for i, source in enumerate(sources))
        maps = np.full((len(names), *self.keras_model.output_shape[1:3]), np.nan, np.float32)
        errors: dict[str, str] = {}
        position = 0
        decoding = ordered(partial(read_image, spec=self.spec), sources, processors(), ahead=64)
        with (progress or Silent()).task("predicting", len(sources)) as task, closing(decoding) as images_read:
            for chunk in chunks(images_read, evaluation_batch(self.spec.shape)):
                errors.update({names[position + i]: x for i, x in enumerate(chunk) if isinstance(x, str)})
                good = [i for i, image in enumerate(chunk) if not isinstance(image, str)]
                if good:
                    maps[[position + i for i in good]] = self.predict_maps(np.stack([chunk[i] for i in good]))
                position += len(chunk)
                task.advance(len(chunk))
        return AnomalyScores(names, self.score(maps), errors, (maps / self.limits.patch).astype(np.float32))

    def __repr__(self) -> str:
        return f"<Detector {self.keras_model.name}, {self.spec.key}>"


STRIDES = (8, 16)
"""Strides of the feature maps used: fine enough to localize, deep enough for shapes."""


def patches(model: keras.Model) -> keras.Model:
    """The lower part of a network from ``build``, giving patch features (n, rows, columns, d).

    Of each of ``STRIDES`` the narrowest map is taken (the last of these), because it is the input of the next stage.
    The coarser one is enlarged to the finer.

    Args:
        model: A functional Keras model from uint8 (n, height, width, 3).
    """
    keras, _ = framework()
    maps = [_map(model, stride) for stride in STRIDES]
    height, width = maps[0].shape[1:3]
    coarse = keras.layers.Resizing(height, width, interpolation="nearest", name="enlarge")(maps[1])
    joined = keras.layers.Concatenate(name="patches")([maps[0], coarse])
    return keras.Model(model.input, joined, name="patches")


def _map(model: keras.Model, stride: int) -> Any:
    height = -(-int(model.input_shape[1]) // stride)
    outputs = [model.get_layer(cut.layer).output for cut in cuts(model)]
    fitting = [tensor for tensor in outputs if len(tensor.shape) == 4 and tensor.shape[1] == height]
    fewest = min(tensor.shape[-1] for tensor in fitting)
    return [tensor for tensor in fitting if tensor.shape[-1] == fewest][-1]


def with_gaussian(network: keras.Model, mean: NDArray[np.float32], whiten: NDArray[np.float32]) -> keras.Model:
    """Join the network from :func:`patches` and a Gaussian into one graph of built-in layers.

    Args:
        network: From uint8 images to patches (n, rows, columns, d).
        mean: Mean of normal patches, shape (d,).
        whiten: From :func:`keensight.core.anomaly.gaussian`, shape (d, d).

    Returns:
        A model from uint8 images to squared Mahalanobis distances over d, float32 (n, rows, columns, 1).
    """
    keras, _ = framework()
    layers, d = keras.layers, len(mean)
    whitened = layers.Dense(d, name="whiten")
    average = layers.Dense(1, use_bias=False, dtype="float32", name="oddness")
    x = whitened(network.output)
    outputs = average(layers.Multiply(name="square")([x, x]))
    whitened.set_weights([whiten, -mean @ whiten])
    average.set_weights([np.full((d, 1), 1 / d, np.float32)])
    return keras.Model(network.input, outputs, name=f"{network.name}_oddness")
