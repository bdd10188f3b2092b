"""ConvNeXt-Tiny, flat and of built-in layers: Keras' version has nested models and custom layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

_DEPTHS, _CHANNELS = (3, 3, 9, 3), (96, 192, 384, 768)


def backbone(x: Any) -> Any:
    """From normalized pixels (n, height, width, 3) to a map of 768 channels (Liu et al. 2022)."""
    layers = framework()[0].layers
    for stage, (depth, channels) in enumerate(zip(_DEPTHS, _CHANNELS, strict=True)):
        if stage == 0:
            x = _norm(layers.Conv2D(channels, 4, strides=4, name="stem")(x), "stem_norm")
        else:
            x = _norm(x, f"down{stage}_norm")
            x = layers.Conv2D(channels, 2, strides=2, name=f"down{stage}")(x)
        for block in range(depth):
            x = _block(x, channels, f"stage{stage}_block{block}")
    return _norm(x, "head_norm")


def _block(x: Any, channels: int, name: str) -> Any:
    layers = framework()[0].layers
    y = layers.Conv2D(channels, 7, padding="same", groups=channels, name=f"{name}_depthwise")(x)
    y = _norm(y, f"{name}_norm")
    y = layers.Dense(4 * channels, activation="gelu", name=f"{name}_expand")(y)
    y = layers.Dense(channels, name=f"{name}_project")(y)
    # One learned factor per channel, as a depthwise 1x1 convolution.
    small = framework()[0].initializers.Constant(1e-6)
    y = layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer=small, name=f"{name}_scale")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def _norm(x: Any, name: str) -> Any:
    return framework()[0].layers.LayerNormalization(epsilon=1e-6, name=name)(x)


def fill(model: keras.Model, donor: keras.Model) -> None:
    """Give ``model``, made by :func:`backbone`, the weights of Keras' own ConvNeXt-Tiny without its top."""
    for weight, value in zip(model.weights, donor.get_weights(), strict=True):
        weight.assign(value.reshape(weight.shape))  # the factors have one dimension there, four here
