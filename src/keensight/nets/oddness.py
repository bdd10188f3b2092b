"""A network from images to a map of how odd each patch is: a pretrained network's early maps, then one Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.nets.cuts import cuts
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

STRIDES = (8, 16)
"""Pixels between the patches of the maps that are taken: fine enough to point, deep enough to know shapes."""


def patches(model: keras.Model) -> keras.Model:
    """The lower part of a network from ``build``, to descriptions of patches (n, rows, columns, d).

    Of each of ``STRIDES`` the narrowest map is taken (the last of these), as it holds what the next stage is made from.
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
    """The network from :func:`patches` and a Gaussian, as one graph of stock layers.

    Args:
        network: From uint8 images to patches (n, rows, columns, d).
        mean: Of normal patches, shape (d,).
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
