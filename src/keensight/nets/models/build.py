"""Networks of built-in Keras layers: uint8 pixels in, logits out."""

from __future__ import annotations

from math import log2
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.records import ImageSpec
from keensight.errors import UsageError
from keensight.nets.models import applications, efficientnet
from keensight.nets.models.backbones import ARCHITECTURES, Architecture
from keensight.nets.models.normalise import normalise
from keensight.nets.models.weights import load_file, load_packaged
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras


def build(
    name: str,
    spec: ImageSpec,
    classes: int,
    *,
    width: int | None = None,
    dropout: float | None = None,
    weights: str | Path | None = "imagenet",
) -> keras.Model:
    """Build a network by name.

    Args:
        name: A name of ``backbones.ARCHITECTURES``.
        spec: Its input: uint8 (height, width, 3).
        classes: Number of classes, 2 or more.
        width: Channels of the first stage; None: the architecture's own.
        dropout: Dropout rate before the last layer; None: the architecture's own.
        weights: ``imagenet`` (random ones if the architecture has none), None or ``none`` for random ones, or
            the path of a ``.keras`` or ``.pth`` file. The logits layer is always newly initialized.

    Returns:
        A functional model, flat, from uint8 (n, height, width, 3) to float32 logits (n, classes).

    Raises:
        UsageError: no such architecture, the input is too small for it, its width is fixed, or the weights
            do not fit.
        StoreError: the weights cannot be had.
    """
    architecture = ARCHITECTURES[name]
    _check(architecture, spec, width)
    share = architecture.dropout if dropout is None else dropout
    imagenet = weights == "imagenet"
    if architecture.width is not None:
        make = {"cnn": cnn, "resnet": resnet}[name]
        model = make(spec, classes, width=architecture.width if width is None else width, dropout=share)
    else:
        model = _pretrained(architecture, spec, classes, share, imagenet=imagenet)
    if weights not in ("imagenet", "none", None):
        load_file(model, Path(weights))
    return model


def _check(architecture: Architecture, spec: ImageSpec, width: int | None) -> None:
    if min(spec.height, spec.width) < architecture.min_side:
        raise UsageError(
            f"{architecture.name} needs images of at least {architecture.min_side} px, not {spec.width}x{spec.height}",
            f"add --image-size {architecture.min_side} or more",
        )
    if width is not None and architecture.width is None:
        raise UsageError(f"the width of {architecture.name} is fixed", "remove model.width")


def _pretrained(
    architecture: Architecture, spec: ImageSpec, classes: int, dropout: float, *, imagenet: bool
) -> keras.Model:
    """Pixels, normalization, backbone, means over its maps (``features``), dropout, ``logits``: one flat graph."""
    keras, _ = framework()
    layers = keras.layers

    inputs = layers.Input(spec.shape, dtype="uint8", name="image")
    x = normalise(inputs, architecture.normalisation)
    if architecture.embedded is None:
        x = layers.GlobalAveragePooling2D(name="features")(applications.backbone(x, architecture, imagenet=imagenet))
    else:
        means = [layers.GlobalAveragePooling2D()(level) for level in efficientnet.backbone(x, architecture.name)]
        x = layers.Concatenate(name="features")(means)
    x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    model = keras.Model(inputs, logits, name=architecture.name)
    if imagenet and architecture.embedded is not None:
        load_packaged(model, architecture.embedded)
    return model


def cnn(spec: ImageSpec, classes: int, *, width: int = 32, dropout: float = 0.3) -> keras.Model:
    """The classic: stages of two convolutions and a pooling, then two dense layers.

    After Simonyan and Zisserman 2015 (VGG), with batch normalization. Each stage halves the image and
    doubles the channels (8 times ``width`` at most).

    Args:
        spec: Input, uint8 (height, width, 3).
        classes: Number of classes.
        width: Channels of the first stage.
        dropout: Fraction of features dropped before each dense layer.

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

    Residual blocks after He et al. 2016; few, wide stages with max pooling between them, as in the networks that won
    DAWNBench's CIFAR-10 training contest (ResNet-9), because they give the most accuracy per second.

    Args:
        spec: Input, uint8 (height, width, 3).
        classes: Number of classes.
        width: Channels of the stem.
        dropout: Fraction of features dropped before the last layer.

    Returns:
        A model from uint8 images to float32 logits (n, classes).
    """
    keras, _ = framework()
    layers = keras.layers

    inputs = layers.Input(spec.shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(inputs)
    x = layers.Conv2D(width, 3, strides=_stem_stride(spec), padding="same", activation="relu")(x)
    for stage in range(_stages(spec)):
        # Pooling before normalizing: a quarter of the values to normalize, and no less accurate.
        x = _conv(x, width * min(2 ** (stage + 1), 8), pool=True)
        x = layers.Add()([x, _conv(_conv(x, x.shape[-1]), x.shape[-1])])
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dropout(dropout)(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="resnet")


def _conv(x: Any, channels: int, *, strides: int = 1, pool: bool = False) -> Any:
    """Convolution 3x3, optional max pooling, batch normalization, ReLU."""
    layers = framework()[0].layers
    x = layers.Conv2D(channels, 3, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    if pool:
        x = layers.MaxPooling2D()(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return layers.ReLU()(x)


def _stem_stride(spec: ImageSpec) -> int:
    # Large images: convolving at full resolution would take most of the time for little benefit.
    return 2 if min(spec.height, spec.width) >= 96 else 1


def _stages(spec: ImageSpec) -> int:
    # Halve until 3 or 4 pixels are left on the shorter side.
    side = min(spec.height, spec.width) / _stem_stride(spec)
    return max(1, min(5, round(log2(side / 3.5))))
