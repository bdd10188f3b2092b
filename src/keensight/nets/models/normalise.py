"""Normalization of raw pixels in the first layer, by mode, in built-in Keras layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from keensight.nets.runtime import framework

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels from 0 to 1, by channel, RGB."""
BGR_MEAN = (103.939, 116.779, 123.68)
"""Of ImageNet's pixels from 0 to 255, by channel, blue first."""


def normalise(x: Any, mode: str) -> Any:
    """Add the normalization layer, named ``normalise``.

    Args:
        x: uint8 Keras tensor (n, height, width, 3), RGB.
        mode: ``tf``, ``unit``, ``lite``, ``torch``, ``caffe`` or ``in-model``
            (see :data:`keensight.nets.models.backbones.NORMALISATIONS`).

    Returns:
        Float Keras tensor of the same shape.
    """
    layers = framework()[0].layers
    if mode == "caffe":
        return _bgr(x)
    scale, offset = {
        "tf": (1 / 127.5, -1.0),
        "unit": (1 / 255, 0.0),
        "lite": (1 / 128, -127 / 128),
        "torch": ([1 / (255 * s) for s in STD], [-m / s for m, s in zip(MEAN, STD, strict=True)]),
        "in-model": (1.0, 0.0),
    }[mode]
    return layers.Rescaling(scale, offset=offset, name="normalise")(x)


def _bgr(x: Any) -> Any:
    """RGB to BGR minus the mean: a fixed 1x1 convolution, because no built-in layer reverses channels.

    It computes in float32, because its bias does not survive rounding to bfloat16.
    """
    layers = framework()[0].layers
    floats = layers.Rescaling(1.0, dtype="float32", name="pixels")(x)
    turn = layers.Conv2D(3, 1, trainable=False, dtype="float32", name="normalise")
    normalised = turn(floats)
    turn.set_weights([np.eye(3, dtype=np.float32)[None, None, :, ::-1], -np.array(BGR_MEAN, dtype=np.float32)])
    return normalised
