"""EfficientNet-Lite, flat and of built-in Keras layers, with names that match the published weights.

EfficientNet (Tan and Le 2019) without squeeze-and-excitation, with ReLU6, and with a stem and a head that do not
grow: made for small devices, with little loss of accuracy and good quantization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from keensight.errors import StoreError
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

# Repeats, kernel, stride, expansion and channels of each stage, before scaling.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280
_LEVELS = 3
"""Stages whose maps are used as features besides the head's."""
_SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
"""Factors of the channels and of the repeats."""


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted residual block (Sandler et al. 2018)."""

    index: int
    kernel: int
    stride: int
    expansion: int
    channels: int
    stage: int
    last: bool
    """The last one of its stage."""


def blocks(name: str) -> Iterator[Block]:
    """The blocks of a Lite network, in order."""
    width, depth = _SCALES[name]
    index = 0
    for stage, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES):
        fixed = stage in (0, len(_STAGES) - 1)
        count = repeats if fixed else math.ceil(depth * repeats)
        for repeat in range(count):
            step = stride if repeat == 0 else 1
            yield Block(index, kernel, step, expansion, _rounded(width * channels), stage, repeat == count - 1)
            index += 1


def _rounded(channels: float) -> int:
    """Round to a multiple of 8, at most 10% lower."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def backbone(x: Any, name: str) -> list[Any]:
    """From normalized pixels (n, height, width, 3) to maps, the last of 1,280 channels at a 32nd of the side.

    The others are the last maps of the last three stages: their means describe texture and material better than those
    of the last map, which is specific to ImageNet's classes. Padding is TensorFlow's ``SAME``, with which the weights
    were trained; the PyTorch file is a port of them.
    """
    x = _norm(_conv(x, _STEM, 3, stride=2, name="stem"), "stem")
    maps = []
    for block in blocks(name):
        x = _block(x, block)
        if block.last and block.stage >= len(_STAGES) - _LEVELS:
            maps.append(x)
    return [*maps, _norm(_conv(x, _HEAD, 1, name="head"), "head")]


def _block(x: Any, block: Block) -> Any:
    layers = framework()[0].layers
    name, before = f"block{block.index}", x
    if block.expansion > 1:
        expanded = _conv(x, x.shape[-1] * block.expansion, 1, name=f"{name}_expand")
        x = _norm(expanded, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        block.kernel, strides=block.stride, padding="same", use_bias=False,
        depthwise_initializer="he_normal", name=f"{name}_depthwise",
    )(x)  # fmt: skip
    x = _norm(x, f"{name}_depthwise")
    x = _norm(_conv(x, block.channels, 1, name=f"{name}_project"), f"{name}_project", relu=False)
    if block.stride == 1 and before.shape[-1] == block.channels:
        x = layers.Add(name=f"{name}_add")([before, x])
    return x


def _conv(x: Any, channels: int, kernel: int, *, stride: int = 1, name: str) -> Any:
    return framework()[0].layers.Conv2D(
        channels, kernel, strides=stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _norm(x: Any, name: str, *, relu: bool = True) -> Any:
    layers = framework()[0].layers
    x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu")(x) if relu else x


def port(model: keras.Model, state: Mapping[str, NDArray[Any]]) -> int:
    """Give a Lite network the weights of a PyTorch state dict; the logits layer is left as it is.

    Args:
        model: From ``build("efficientnet_lite0", ...)`` or a larger variant.
        state: Parameter names of ``efficientnet_lite_pytorch`` to arrays.

    Returns:
        Number of layers that were filled.

    Raises:
        StoreError: a parameter is missing or has a different shape; the model is then unchanged.
    """
    wanted = [layer for layer in model.layers if layer.weights and layer.name not in ("logits", "normalise")]
    values = [_values(layer.name, state) for layer in wanted]
    for layer, arrays in zip(wanted, values, strict=True):
        if [array.shape for array in arrays] != [tuple(weight.shape) for weight in layer.weights]:
            raise StoreError(f"the weights of {layer.name} have a different shape", _MISFIT)
    # Blocks that the network lacks: weights of a larger variant, whose first stages can have equal shapes.
    if f"_blocks.{sum(layer.name.endswith('_project') for layer in wanted)}._bn1.weight" in state:
        raise StoreError("the weights are of a deeper network", _MISFIT)
    for layer, arrays in zip(wanted, values, strict=True):
        layer.set_weights(arrays)
    return len(wanted)


_MISFIT = "use weights of the same architecture, or none: --set model.weights=none"
_PARTS = {
    "expand": "_expand_conv",
    "expand_norm": "_bn0",
    "depthwise": "_depthwise_conv",
    "depthwise_norm": "_bn1",
    "project": "_project_conv",
    "project_norm": "_bn2",
}
_ENDS = {"stem": "_conv_stem", "stem_norm": "_bn0", "head": "_conv_head", "head_norm": "_bn1"}


def _values(layer: str, state: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """A layer's arrays in Keras' order and layout."""
    prefix = _ENDS.get(layer) or "_blocks.{}.{}".format(layer.partition("_")[0][5:], _PARTS[layer.partition("_")[2]])
    try:
        if layer.endswith("_norm"):
            return [state[f"{prefix}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        kernel = state[f"{prefix}.weight"]
    except KeyError as error:
        raise StoreError(f"the weights lack {error.args[0]}", _MISFIT) from error
    if kernel.ndim != 4:
        raise StoreError(f"the weights of {layer} have a different shape", _MISFIT)
    # (out, in, height, width) to (height, width, in, out); depthwise (channels, 1, ...) to (..., channels, 1).
    return [kernel.transpose(2, 3, 0, 1) if layer.endswith("depthwise") else kernel.transpose(2, 3, 1, 0)]
