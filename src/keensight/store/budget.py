"""What a model's configuration asks for in memory, told from its text before Keras builds anything of it.

A configuration of some hundred bytes can ask for a matrix of gigabytes. All that a saved model's variables hold lies in
its weights file, so that one which asks for more than that is refused. Of layers not listed here nothing is known, and
nothing is counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from keensight.errors import StoreError

MAX_VALUES = 1 << 28
"""Numbers that one layer's output may have for one image: a gigabyte in float32, five 4096 x 4096 RGB images."""
_FLOAT32 = ("float32", "mixed_float16", "mixed_bfloat16")
_HINT = "the file is damaged or hostile: get the bundle again from where it was made"
_Config = Mapping[str, Any]
_Shape = tuple[int, ...]


def check_memory(config: Any, weights: int) -> None:
    """Check a model's ``config.json`` against the size of its weights file.

    Args:
        config: The parsed configuration.
        weights: Size of ``model.weights.h5``, unpacked, in bytes.

    Raises:
        StoreError: its layers ask for more memory than their weights take, or for outputs of absurd size.
    """
    asked = 0
    for layer in _layers(config):
        name, settings, shape = layer["class_name"], layer["config"], _input_shape(layer)
        if name in _WEIGHTED and shape is None and name not in _SHAPELESS:
            raise StoreError(f"the model's {name} layer does not say what shape its input has", _HINT)
        asked += _count(_WEIGHTED.get(name), settings, shape or ()) * _width(settings)
        if (values := _count(_GROWING.get(name), settings, shape or ())) > MAX_VALUES:
            raise StoreError(f"the model's {name} layer asks for {values:,} numbers for one image", _HINT)
    if asked > weights:
        raise StoreError(
            f"the model asks for {asked:,} bytes of memory for its weights, but its file holds {weights:,}", _HINT
        )


def _count(rule: Callable[[_Config, _Shape], int] | None, settings: _Config, shape: _Shape) -> int:
    try:
        return 0 if rule is None else int(rule(settings, shape))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise StoreError(f"the configuration of the model's layers cannot be read: {error!r}", _HINT) from error


def objects(config: Any) -> Iterator[dict[str, Any]]:
    """Everything in a model's configuration that Keras would build, without recursion (nesting may be deep)."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if "class_name" in value:
                yield value
            # Models are loaded with compile=False: optimizer and loss are never built.
            waiting += [item for key, item in value.items() if key != "compile_config"]


def _layers(config: Any) -> Iterator[dict[str, Any]]:
    return (
        one for one in objects(config) if isinstance(one["class_name"], str) and isinstance(one.get("config"), dict)
    )


def _input_shape(layer: _Config) -> _Shape | None:
    """What Keras builds the layer for, batch included; an unknown size counts as 1."""
    build = layer.get("build_config")
    shape = build.get("input_shape") if isinstance(build, dict) else None
    if not isinstance(shape, list) or not all(size is None or _is_size(size) for size in shape):
        return None
    return tuple(size or 1 for size in shape)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _width(settings: _Config) -> int:
    """Bytes of one variable's number, at least."""
    policy = settings.get("dtype")
    inner = policy.get("config") if isinstance(policy, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else policy
    return 4 if name in _FLOAT32 else 1


def _sizes(value: Any) -> tuple[int, ...]:
    """One size or several, however nested, as a flat tuple of non-negative numbers."""
    if isinstance(value, (list, tuple)):
        return tuple(size for item in value for size in _sizes(item))
    if not _is_size(value):
        raise ValueError(f"{value!r} is no size")
    return (value,)


def _channels(settings: _Config, shape: _Shape) -> int:
    return shape[1] if settings.get("data_format") == "channels_first" else shape[-1]


def _dense(settings: _Config, shape: _Shape) -> int:
    (units,) = _sizes(settings["units"])
    return units * (shape[-1] + bool(settings.get("use_bias")))


def _conv(settings: _Config, shape: _Shape) -> int:
    (filters,), (groups,) = _sizes(settings["filters"]), _sizes(settings.get("groups") or 1)
    return math.prod(_sizes(settings["kernel_size"])) * max(1, _channels(settings, shape) // groups) * filters


def _depthwise(settings: _Config, shape: _Shape) -> int:
    (deep,) = _sizes(settings.get("depth_multiplier", 1))
    return math.prod(_sizes(settings["kernel_size"])) * _channels(settings, shape) * deep


def _separable(settings: _Config, shape: _Shape) -> int:
    (deep,), (filters,) = _sizes(settings.get("depth_multiplier", 1)), _sizes(settings["filters"])
    return _depthwise(settings, shape) + _channels(settings, shape) * deep * filters


def _recurrent(gates: int) -> Callable[[_Config, _Shape], int]:
    def count(settings: _Config, shape: _Shape) -> int:
        (units,) = _sizes(settings["units"])
        return gates * units * (shape[-1] + units)

    return count


def _normalised(settings: _Config, shape: _Shape) -> int:
    axes = settings.get("axis", -1)
    return math.prod(shape[axis] for axis in (axes if isinstance(axes, list) else [axes]))


def _embedded(settings: _Config, _: _Shape) -> int:
    return math.prod(_sizes([settings["input_dim"], settings["output_dim"]]))


def _einsum(settings: _Config, shape: _Shape) -> int:
    """The kernel's letters take their sizes from the input's and the output's (``abc,cd->abd``)."""
    inputs, _, rest = settings["equation"].replace("...", "").partition(",")
    kernel, _, output = rest.partition("->")
    given = settings["output_shape"]
    wanted = [size or 1 for size in (given if isinstance(given, list) else [given])]
    known = dict(zip(reversed(output), reversed(wanted), strict=False))
    known |= dict(zip(reversed(inputs), reversed(shape), strict=False))
    return math.prod(_sizes([known.get(letter, 1) for letter in kernel.strip()]))


def _scaled(name: str) -> Callable[[_Config, _Shape], int]:
    return lambda settings, shape: math.prod(shape) * math.prod(_sizes(settings[name]))


def _upsampled(settings: _Config, shape: _Shape) -> int:
    size = _sizes(settings["size"])
    return math.prod(shape) * (size[0] ** (len(shape) - 2) if len(size) == 1 else math.prod(size))


def _padded(settings: _Config, shape: _Shape) -> int:
    edges = _sizes(settings["padding"])
    sides = shape[2:] if settings.get("data_format") == "channels_first" else shape[1:-1]
    wider = [side + sum(edges[2 * i : 2 * i + 2]) for i, side in enumerate(sides)]
    return math.prod(wider) * _channels(settings, shape) if shape else sum(edges)


def _resized(settings: _Config, shape: _Shape) -> int:
    return math.prod(_sizes([settings["height"], settings["width"]])) * (shape[-1] if shape else 1)


def _entered(settings: _Config, _: _Shape) -> int:
    return math.prod(size or 1 for size in settings.get("batch_shape") or settings.get("shape") or [])


_CONVOLUTIONS = {f"Conv{n}D{kind}": _conv for n in (1, 2, 3) for kind in ("", "Transpose")}
_WEIGHTED: dict[str, Callable[[_Config, _Shape], int]] = {
    "Dense": _dense, "EinsumDense": _einsum, "Embedding": _embedded, **_CONVOLUTIONS,
    **{f"DepthwiseConv{n}D": _depthwise for n in (1, 2)}, **{f"SeparableConv{n}D": _separable for n in (1, 2)},
    "SimpleRNN": _recurrent(1), "GRU": _recurrent(3), "LSTM": _recurrent(4),
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "GroupNormalization"), _normalised),
}  # fmt: skip
_SHAPELESS = frozenset({"Embedding"})
_GROWING: dict[str, Callable[[_Config, _Shape], int]] = {
    "InputLayer": _entered, "RepeatVector": _scaled("n"), "Resizing": _resized,
    **{f"UpSampling{n}D": _upsampled for n in (1, 2, 3)}, **{f"ZeroPadding{n}D": _padded for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": _scaled("strides") for n in (1, 2, 3)},
}  # fmt: skip
