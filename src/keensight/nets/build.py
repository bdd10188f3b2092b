"""Networks from stock Keras layers: uint8 pixels in, logits out, nothing hidden."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Any

from keensight.core.records import ImageSpec
from keensight.errors import UsageError
from keensight.nets.backbones import ARCHITECTURES
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

NORMALISATION = "pixels / 127.5 - 1 in the first layer of the graph (range -1 to 1)"


def build(
    name: str, spec: ImageSpec, classes: int, *, width: int | None = None, dropout: float | None = None
) -> keras.Model:
    """Build a network by name, with fresh weights.

    Args:
        name: ``cnn`` or ``resnet``.
        spec: Its input: uint8 (height, width, 3).
        classes: Number of classes, 2 or more.
        width: Channels of the first stage; None: the architecture's own.
        dropout: Share dropped before the last layer; None: the architecture's own.

    Returns:
        A functional model from uint8 (n, height, width, 3) to float32 logits (n, classes).

    Raises:
        UsageError: no such architecture, or the input is too small for it.
    """
    architecture = ARCHITECTURES[name]
    if min(spec.height, spec.width) < architecture.min_side:
        raise UsageError(
            f"{name} needs images of at least {architecture.min_side} px, not {spec.width}x{spec.height}",
            f"add --image-size {architecture.min_side} or more",
        )
    make = {"cnn": cnn, "resnet": resnet}[name]
    return make(
        spec,
        classes,
        width=architecture.width if width is None else width,
        dropout=architecture.dropout if dropout is None else dropout,
    )


def cnn(spec: ImageSpec, classes: int, *, width: int = 32, dropout: float = 0.3) -> keras.Model:
    """The classic: stages of two convolutions and a pooling, then two dense layers.

    After Simonyan and Zisserman 2015 (VGG), with batch normalisation. Each stage halves the image and
    doubles the channels (8 times ``width`` at most).

    Args:
        spec: Input, uint8 (height, width, 3).
        classes: Number of classes.
        width: Channels of the first stage.
        dropout: Share of features dropped before each dense layer.

    Returns:
        A model from uint8 images to float32 logits (n, classes).
    """
    keras, _ = framework()
    layers = keras.layers

    inputs = layers.Input(spec.shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(inputs)
    for stage in range(_stages(spec)):
        channels = width * min(2**stage, 8)
        x = _conv(x, channels, strides=_stem_stride(spec) if stage == 0 else 1)
        x = _conv(x, channels, pool=True)
    x = layers.Flatten()(x)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(4 * width, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="cnn")


def resnet(spec: ImageSpec, classes: int, *, width: int = 32, dropout: float = 0.1) -> keras.Model:
    """A small residual network for small images.

    Residual blocks after He et al. 2016; few, wide stages with max pooling between them, as in the nets
    that won DAWNBench's CIFAR-10 training contest (ResNet-9), because they give most accuracy per second.

    Args:
        spec: Input, uint8 (height, width, 3).
        classes: Number of classes.
        width: Channels of the stem.
        dropout: Share of features dropped before the last layer.

    Returns:
        A model from uint8 images to float32 logits (n, classes).
    """
    keras, _ = framework()
    layers = keras.layers

    inputs = layers.Input(spec.shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(inputs)
    x = layers.Conv2D(width, 3, strides=_stem_stride(spec), padding="same", activation="relu")(x)
    for stage in range(_stages(spec)):
        # Pooling before normalising: a quarter of the values to normalise, and no less accurate.
        x = _conv(x, width * min(2 ** (stage + 1), 8), pool=True)
        x = layers.Add()([x, _conv(_conv(x, x.shape[-1]), x.shape[-1])])
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dropout(dropout)(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="resnet")


def _conv(x: Any, channels: int, *, strides: int = 1, pool: bool = False) -> Any:
    """Convolution 3x3, halved by max pooling where asked, batch normalisation, ReLU."""
    layers = framework()[0].layers
    x = layers.Conv2D(channels, 3, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    if pool:
        x = layers.MaxPooling2D()(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return layers.ReLU()(x)


def _stem_stride(spec: ImageSpec) -> int:
    # Large images: convolving at full resolution would take most of the time and tell little.
    return 2 if min(spec.height, spec.width) >= 96 else 1


def _stages(spec: ImageSpec) -> int:
    # Halve until 3 or 4 pixels are left on the shorter side.
    side = min(spec.height, spec.width) / _stem_stride(spec)
    return max(1, min(5, round(log2(side / 3.5))))
