"""The only path from images to anomaly scores, for evaluation and prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly import AnomalyScores, Limits, NormalPatches, heatmaps, image_scores
from keensight.core.progress import Progress, Silent
from keensight.core.records import ImageSpec
from keensight.core.sources import Images, Source, singles
from keensight.nets.inputs import Read, check_images, check_input, evaluation_batch
from keensight.nets.network import Deferred, Engine, KerasNetwork, Network, Outputs, Part, answered, named, part_of
from keensight.nets.runtime import framework
from keensight.nets.training.split_model import cuts

if TYPE_CHECKING:
    import keras

    from keensight.nets.light import LightNetwork


class Detector:
    """An anomaly detector: a network with its preprocessing and thresholds.

    Args:
        model: A Keras model from uint8 (n, height, width, 3) to patch scores (n, rows, columns, levels).
        spec: How an image becomes the model's input.
        limits: Thresholds above which an image is anomalous.
        light: The light form of the model, to run in place of Keras.
    """

    def __init__(
        self, model: keras.Model | Deferred, spec: ImageSpec, limits: Limits, *, light: LightNetwork | None = None
    ) -> None:
        self._model = model
        self._light = light
        self.spec = spec
        self.limits = limits
        check_input(self.keras_model.input_shape[1:] if light is None else light.shape, spec)
        self._network: Network = light or _keras_network(self.keras_model, spec)

    @classmethod
    def open(cls, path: Path, spec: ImageSpec, limits: Limits) -> Detector:
        """Load a ``.keras`` file in Keras' safe mode.

        Raises:
            StoreError: Keras cannot load the file.
        """
        from keensight.nets.models.weights import open_model

        return cls(open_model(path), spec, limits)

    def on_light(self, light: LightNetwork) -> Detector:
        """The same detector on the light form of its model."""
        return Detector(self._model, self.spec, self.limits, light=light)

    @property
    def keras_model(self) -> keras.Model:
        """The network: uint8 (n, height, width, 3) to patch scores (n, rows, columns, levels). A detector on the light
        form loads it, and with it TensorFlow, on first use."""
        return self._model.get() if isinstance(self._model, Deferred) else self._model

    @property
    def engine(self) -> Engine:
        """What the network runs on: ``keras``, or ``litert`` without TensorFlow."""
        return "keras" if self._light is None else "litert"

    def predict_levels(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's scores of each patch by level, float32 (n, rows, columns, levels).

        Args:
            images: uint8 (n, height, width, 3), RGB, 0 to 255.

        Raises:
            DataError: wrong dtype or shape.
        """
        check_images(images, self.spec)
        return self._network(images)[0]

    def score(self, levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of images from :meth:`predict_levels`, shape (n,); 1 is the threshold."""
        return image_scores(levels) / np.float32(self.limits.threshold)

    def maps(self, levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Heatmaps from :meth:`predict_levels`, float32 (n, rows, columns), in units of ``limits.patch``."""
        return heatmaps(levels) / np.float32(self.limits.patch)

    def predict(self, images: Images, *, progress: Progress | None = None) -> AnomalyScores:
        """Compute scores and maps of files, encoded bytes or decoded arrays; unreadable ones become errors.

        Args:
            images: One image or many, as for :func:`keensight.predict`, except folders, patterns and tables.
            progress: Where to report.

        Returns:
            AnomalyScores in the order given, with their maps.
        """
        sources = singles(images)
        with (progress or Silent()).task("predicting", len(sources)) as task:
            return self._gathered(answered(self._network, named(sources), self.spec, task.advance), len(sources))

    def stream(self, images: Iterable[Source], first: int = 0) -> Iterator[AnomalyScores]:
        """Score any number of images with bounded memory.

        Args:
            images: Single images, taken as they are needed.
            first: Position of the first of them, for the names of those that are not files.

        Yields:
            AnomalyScores of some images at a time, in the order given.
        """
        for part in answered(self._network, named(images, first), self.spec):
            yield self._gathered([part], len(part.names))

    def predict_read(self, images: Sequence[Read]) -> AnomalyScores:
        """Scores of a few images that were read already, computed in the calling thread, without maps.

        Args:
            images: From :func:`keensight.nets.inputs.read_image`; they are called ``image 0`` and so on.
        """
        part = part_of(self._network, [f"image {i}" for i in range(len(images))], images)
        return dataclasses.replace(self._gathered([part], len(images)), maps=None)

    def _gathered(self, parts: Iterable[Part], count: int) -> AnomalyScores:
        """The scores of parts of ``count`` images in all."""
        names: list[str] = []
        errors: dict[str, str] = {}
        notes: dict[str, str] = {}
        levels = np.full((count, *self._network.outputs), np.nan, np.float32)
        for part in parts:
            levels[[len(names) + place for place in part.good]] = part.outputs[0]
            names += part.names
            errors |= part.errors
            notes |= part.notes
        return AnomalyScores(tuple(names), self.score(levels), errors, self.maps(levels), notes=notes)

    def __repr__(self) -> str:
        return f"<Detector {'on LiteRT' if self._light else self.keras_model.name}, {self.spec.key}>"


def _keras_network(model: keras.Model, spec: ImageSpec) -> KerasNetwork:
    _, tf = framework()
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
    compiled = tf.function(partial(model, training=False), input_signature=signature, autograph=False)

    def answer(images: NDArray[np.uint8]) -> Outputs:
        return np.asarray(compiled(images)), np.zeros((len(images), 0), np.float32)

    return KerasNetwork(answer, min(evaluation_batch(spec.shape), _FORWARD), tuple(model.output_shape[1:]), 0)


_FORWARD = 16
"""Images per forward pass: their patches' distances to the whole memory are held, 100 MB at 224 px, some copies."""
_FINE, _COARSE = (8, 16), 32
"""Strides of the levels: the fine ones localize, the coarse one recognizes what large parts of the image show."""
_WIDEST = 512
"""Maximum number of channels of the coarse map: a covariance of more needs more normal images than there are."""


def levels(model: keras.Model) -> keras.Model:
    """The lower part of a network from ``build``, with three maps as outputs: the levels.

    Of each fine stride it is the narrowest map (the last of these), because it is the input of the next stage; of the
    coarsest the widest of at most 512 channels. The first and the last are averaged over 3 by 3 patches, so that a
    normal structure at a slightly different place stays normal.

    Args:
        model: A functional Keras model from uint8 (n, height, width, 3).
    """
    keras, _ = framework()
    below = keras.Model(model.input, next(_maps(model.layers[::-1])))
    known = [*_maps(below.get_layer(cut.layer) for cut in cuts(below)), below.output]
    first, second = (_narrowest(_at(known, model, stride)) for stride in _FINE)
    coarse = _at(known, model, _COARSE)
    fitting = [tensor for tensor in coarse if tensor.shape[-1] <= _WIDEST]
    widest = max((tensor.shape[-1] for tensor in fitting), default=0)
    third = [tensor for tensor in fitting if tensor.shape[-1] == widest][-1] if fitting else _narrowest(coarse)
    first, third = (
        keras.layers.AveragePooling2D(3, strides=1, padding="same", name=f"pool_{name}")(tensor)
        for name, tensor in (("fine", first), ("coarse", third))
    )
    return keras.Model(model.input, [first, second, third], name=model.name)


def _maps(layers: Iterable[Any]) -> Iterator[Any]:
    tensors = (layer.output for layer in layers)
    return (tensor for tensor in tensors if not isinstance(tensor, list) and len(tensor.shape) == 4)


def _at(maps: Sequence[Any], model: keras.Model, stride: int) -> list[Any]:
    height = -(-int(model.input_shape[1]) // stride)
    return [tensor for tensor in maps if tensor.shape[1] == height]


def _narrowest(maps: Sequence[Any]) -> Any:
    fewest = min(tensor.shape[-1] for tensor in maps)
    return [tensor for tensor in maps if tensor.shape[-1] == fewest][-1]


def inputs_of(network: keras.Model) -> keras.Model:
    """In place of a network from :func:`levels`, one whose inputs are the maps themselves."""
    keras, _ = framework()
    maps = [keras.layers.Input(tensor.shape[1:]) for tensor in network.outputs]
    return keras.Model(maps, maps, name=network.name)


def joined(network: keras.Model) -> keras.Model:
    """The network from :func:`levels` with all its values in one output (n, values), for ``freeze``."""
    keras, _ = framework()
    flat = [keras.layers.Flatten()(tensor) for tensor in network.outputs]
    return keras.Model(network.input, keras.layers.Concatenate()(flat), name="levels")


def parted(values: NDArray[np.float32], network: keras.Model) -> list[NDArray[np.float32]]:
    """The levels (n, rows, columns, d) in outputs of :func:`joined`."""
    shapes = [tuple(tensor.shape[1:]) for tensor in network.outputs]
    places = np.cumsum([prod(shape) for shape in shapes])[:-1]
    return [part.reshape(-1, *shape) for part, shape in zip(np.split(values, places, axis=1), shapes, strict=True)]


def with_memory(network: keras.Model, normal: Sequence[NormalPatches]) -> keras.Model:
    """Join a network from :func:`levels` and its normal patches into one graph of built-in layers.

    Args:
        network: From images, or anything else, to maps (n, rows, columns, d).
        normal: The normal patches of each level.

    Returns:
        A model with the network's inputs to the squared distance, per dimension, of each patch to the nearest normal
        one in the memory, divided by that one's spread, float32 (n, rows, columns, levels), with the rows and columns
        of the finest level.
    """
    layers = framework()[0].layers
    height, width = network.outputs[0].shape[1:3]
    scores = []
    for number, (tensor, patches) in enumerate(zip(network.outputs, normal, strict=True)):
        near = _nearest(tensor, patches, f"level{number}")
        if near.shape[1:3] != (height, width):
            near = layers.Resizing(height, width, name=f"level{number}_enlarge")(near)
        scores.append(near)
    outputs = layers.Concatenate(name="anomaly_scores")(scores)
    return framework()[0].Model(network.input, outputs, name=f"{network.name}_anomaly")


def _nearest(tensor: Any, patches: NormalPatches, name: str) -> Any:
    """The smallest of |x - m|^2 / s: |x|^2 - (2 x m - |m|^2), of which the latter is a dense layer over the memory,
    times 1 / s, the scale of a normalization. In this order, rounded weights change a distance little (float16)."""
    layers = framework()[0].layers
    rows, columns, d = tensor.shape[1:]
    memory, spread = patches.memory, patches.spread
    whiten = layers.Dense(d, dtype="float32", name=f"{name}_whiten")
    remember = layers.Dense(len(memory), dtype="float32", name=f"{name}_memory")
    length = layers.Dense(1, use_bias=False, dtype="float32", name=f"{name}_length")
    unit = layers.BatchNormalization(center=False, epsilon=0.0, dtype="float32", name=f"{name}_unit")
    x = whiten(tensor)
    square = length(layers.Multiply(name=f"{name}_square")([x, x]))
    likeness = unit(layers.Subtract(name=f"{name}_difference")([remember(x), square]))
    likeness = layers.Reshape((rows * columns, len(memory)), name=f"{name}_patches")(likeness)
    likeness = layers.GlobalMaxPooling1D(data_format="channels_first", name=f"{name}_nearest")(likeness)
    likeness = layers.Reshape((rows, columns, 1), name=f"{name}_map")(likeness)
    distance = layers.Rescaling(-1.0, dtype="float32", name=f"{name}_negative")(likeness)
    distance = layers.ReLU(name=f"{name}_distance")(distance)
    whiten.set_weights([patches.whiten, -patches.mean @ patches.whiten])
    remember.set_weights([2 * memory.T / d, -(memory**2).sum(axis=1) / d])
    length.set_weights([np.full((d, 1), 1 / d, np.float32)])
    unit.set_weights([1 / spread, np.zeros_like(spread), np.ones_like(spread)])
    return distance
