"""A faster copy of a network for training: the same function with the same weights.

The network itself keeps its built-in layers, in float32. The copy is trained, and its weights are copied back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.nets.keras_private import readers, sources
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras as keras_types

keras, tf = framework()
layers = keras.layers


class FusedBatchNormalization(layers.BatchNormalization):  # type: ignore[misc, name-defined]
    """Batch normalization as a single TensorFlow operation; Keras uses about ten, always in float32."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalized values (n, height, width, channels); in training, the moving statistics are updated."""
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.constant([], tf.float32) if training else tf.convert_to_tensor(self.moving_mean),
            variance=tf.constant([], tf.float32) if training else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=bool(training),
        )
        if training:
            # The operation returns the unbiased variance; Keras' layer keeps the biased one.
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
            for old, new in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1.0) / count)):
                old.assign(old * self.momentum + new * (1.0 - self.momentum))
        return outputs


class _Folded:
    """A convolution with the frozen batch normalization after it: scales its kernel, which is small, not its map.

    Args:
        scale: Factor of the normalization for each channel, float32 (channels,).
        offset: Offset of the normalization.
        options: Options of the convolution.
    """

    def __init__(self, *, scale: NDArray[np.float32], offset: NDArray[np.float32], **options: Any) -> None:
        super().__init__(**options, autocast=False)  # type: ignore[call-arg]
        self._scale, self._offset = scale, offset

    def call(self: Any, inputs: Any) -> Any:
        """Normalized map; the kernel is rounded once, after it is scaled."""
        kernel = self.kernel * self._scale.reshape(self.kernel.shape[-1 - self._multiplies :])
        offset = self._offset if self.bias is None else self.bias * self._scale + self._offset
        convolve = keras.ops.depthwise_conv if self._multiplies else keras.ops.conv
        inputs, kernel, offset = (keras.ops.cast(value, self.compute_dtype) for value in (inputs, kernel, offset))
        outputs = convolve(inputs, kernel, strides=self.strides, padding=self.padding, dilation_rate=self.dilation_rate)
        return keras.ops.add(outputs, offset)


class FoldedConv2D(_Folded, layers.Conv2D):  # type: ignore[misc, name-defined]
    """``Conv2D`` with the normalization after it."""

    _multiplies = False


class FoldedDepthwiseConv2D(_Folded, layers.DepthwiseConv2D):  # type: ignore[misc, name-defined]
    """``DepthwiseConv2D`` with the normalization after it; its kernel's last two axes make the channels."""

    _multiplies = True


_HALF = ("bfloat16", "float16")
_FOLDED: dict[Any, Any] = {layers.Conv2D: FoldedConv2D, layers.DepthwiseConv2D: FoldedDepthwiseConv2D}


def training_form(model: keras_types.Model, precision: str) -> keras_types.Model:
    """Return a copy of the network for training, or the network itself if it has custom layers.

    Batch normalization that learns becomes one operation; frozen one goes into the convolution before it, whose
    kernel has the same gradient as before. In 16 bits weights and logits stay float32, and so do depthwise
    convolutions, as TensorFlow's gradient of their kernels is several times slower in bfloat16, and layers with an
    explicit dtype.

    Args:
        model: A Keras model; its layers' ``trainable`` is kept. With custom layers, a custom ``call`` or
            ``train_step``, or nested models, it is copied only for 16 bits.
        precision: ``float32``, ``bfloat16`` or ``float16``.
    """
    if precision == "float32" and not _plain(model):
        return model
    norms = [layer for layer in model.layers if type(layer) is layers.BatchNormalization]
    listed = isinstance(model, keras.Sequential)  # has no calls to leave out
    folds = {} if listed else {before.name: norm for norm in norms if (before := _foldable(norm, model)) is not None}
    folded = {norm.name for norm in folds.values()}

    def copy(layer: Any) -> Any:
        config, kind = layer.get_config(), type(layer)
        if precision in _HALF and not isinstance(layer, layers.DepthwiseConv2D) and layer.name != "logits":
            config["dtype"] = f"mixed_{precision}"
        if layer.name in folds:
            scale, offset = _terms(folds[layer.name])
            return _FOLDED[kind].from_config({**config, "scale": scale, "offset": offset})
        return (FusedBatchNormalization if _fusable(layer) else kind).from_config(config)

    def apply(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in folded else layer(*args, **kwargs)

    form = keras.models.clone_model(model, clone_function=copy, call_function=apply if folds else None)
    carry(model, form)
    return form


def carry(giver: keras_types.Model, taker: keras_types.Model) -> None:
    """Copy weights between a network and its training copy, by layer name: the copy lacks a folded normalization."""
    given = {layer.name: layer for layer in giver.layers}
    for layer in taker.layers:
        if layer.weights and layer.name in given:
            layer.set_weights(given[layer.name].get_weights())


def _plain(model: Any) -> bool:
    """Whether it is a sequential or functional model of built-in Keras layers."""
    known = isinstance(model, keras.Sequential) or hasattr(model, "operations")
    stock = all(type(part).__module__.startswith("keras.") for part in (model, *model.layers))
    return known and stock and not any(isinstance(layer, (keras.Model, layers.Lambda)) for layer in model.layers)


def _fusable(layer: Any) -> bool:
    """Trainable batch normalization of feature maps, in its usual form."""
    return (
        type(layer) is layers.BatchNormalization
        and layer.trainable
        and _usual(layer)
        and layer.center
        and layer.scale
        and not (layer.synchronized or layer.renorm)
    )


def _foldable(norm: Any, model: Any) -> Any:
    """The convolution that a frozen normalization can be folded into; None if there is none."""
    if norm.trainable or not _usual(norm):
        return None
    inside = set(map(id, model.layers))
    before = [layer for layer in sources(norm) if id(layer) in inside and type(layer) in _FOLDED]
    if len(set(map(id, before))) != 1 or before[0].activation is not keras.activations.linear:
        return None
    after = set(map(id, readers(before[0])))
    return before[0] if after & inside == {id(norm)} and before[0].data_format == "channels_last" else None


def _usual(norm: Any) -> bool:
    """Whether it normalizes the last axis of maps (n, height, width, channels)."""
    return len(norm.output.shape) == 4 and norm.axis in (-1, 3)


def _terms(norm: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factor and offset of a frozen normalization, float32 (channels,)."""
    mean, variance = (np.asarray(value, np.float64) for value in (norm.moving_mean, norm.moving_variance))
    scale = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    offset = -mean * scale
    if norm.center:
        offset = offset + np.asarray(norm.beta, np.float64)
    return scale.astype(np.float32), offset.astype(np.float32)
