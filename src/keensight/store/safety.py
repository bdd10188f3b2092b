"""Check zip files before unpacking: a small file can unpack to gigabytes, or contain paths outside the archive.

A ``.keras`` model and an ``.npz`` self-test are both zip files. Nothing here imports Keras: the model's configuration
is checked as text, before Keras builds it.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import Any

from keensight.core.model_limits import MAX_VALUES
from keensight.errors import StoreError

MAX_MEMBERS = 64
MAX_RATIO = 20
"""Maximum compression ratio of an archive; weights hardly compress, so the ratio of a valid one is near 1."""
_SMALL = 1 << 20
_CONFIG_LIMIT = 8 << 20
_MODEL_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
_HINT = "the file is damaged or malicious: get the bundle again from its source"

UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RecursionError, NotImplementedError,
    SyntaxError, TokenError,
)  # fmt: skip
"""Exceptions of Python's zip and JSON readers, and of NumPy's of headers, for a damaged file."""

_PACKAGES = (
    "layers", "ops", "initializers", "regularizers", "constraints", "activations", "models", "dtype_policies"
)  # fmt: skip
_STOCK = tuple(f"keras.{source}{package}." for source in ("", "src.") for package in _PACKAGES)
_FOREIGN = frozenset({
    "Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer",
    "StringLookup", "IntegerLookup", "TextVectorization", "__lambda__",
})  # fmt: skip
"""Parts of Keras that run code or read files given in the configuration."""
_MODELS = ("Functional", "Model", "Sequential")


def check_archive(path: Path, most: int = MAX_MEMBERS) -> list[zipfile.ZipInfo]:
    """The members of a zip file, after checks on their number, names, sizes and kinds.

    Args:
        path: The file.
        most: Largest number of members.

    Raises:
        StoreError: the file is not a zip file or exceeds a limit.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except UNREADABLE as error:
        raise StoreError(f"{path.name} is not a readable zip file: {error}", _HINT) from error
    if len(members) > most:
        raise StoreError(f"{path.name} has {len(members):,} members, more than {most:,}", _HINT)
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise StoreError(f"{path.name} contains a member twice", _HINT)
    for member in members:
        if problem := _problem(member):
            raise StoreError(f"{path.name}: the member {member.filename!r} {problem}", _HINT)
    unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if unpacked > max(_SMALL, MAX_RATIO * size):
        raise StoreError(f"{path.name} is a zip bomb: {size:,} bytes unpack to {unpacked:,}", _HINT)
    if packed > size:
        raise StoreError(f"{path.name} is a zip bomb: its members overlap", _HINT)
    return members


def _problem(member: zipfile.ZipInfo) -> str | None:
    name = member.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not name.isprintable():
        return "points outside the archive"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if (member.external_attr >> 16) & 0o170000 == 0o120000:
        return "is a symbolic link"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "uses an unsupported compression method"
    return None


def check_model(path: Path) -> None:
    """Check a ``.keras`` file: archive, members, built-in Keras layers only, and the memory it needs.

    Raises:
        StoreError: something is missing, exceeds a limit, or refers to code that is not part of Keras.
    """
    members = {member.filename: member for member in check_archive(path)}
    missing = [name for name in _MODEL_MEMBERS if name not in members]
    if missing:
        raise StoreError(f"{path.name} is not a Keras 3 model: it lacks {', '.join(missing)}", _HINT)
    config = _config(path, members["config.json"])
    for one in objects(config):
        class_name, module = one["class_name"], one.get("module")
        if not isinstance(class_name, str) or class_name in _FOREIGN or not _is_stock(class_name, module):
            raise StoreError(
                f"{path.name} would run code that is not part of Keras: {repr(class_name)[:80]} of {repr(module)[:80]}",
                "Keensight only loads models made of built-in Keras layers",
            )
    check_memory(config, members["model.weights.h5"].file_size)


def _config(path: Path, member: zipfile.ZipInfo) -> Any:
    if member.file_size > _CONFIG_LIMIT:
        raise StoreError(f"{path.name}: config.json unpacks to {member.file_size:,} bytes", _HINT)
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(member))
    except UNREADABLE as error:
        raise StoreError(f"{path.name}: config.json cannot be read: {error}", _HINT) from error


def _is_stock(class_name: Any, module: Any) -> bool:
    if module is None:
        return isinstance(class_name, str) and class_name.startswith("__")  # tensors, slices: no classes to import
    if module == "builtins":
        return bool(class_name == "function")  # an activation by name, which Keras looks up itself
    if module == "keras":
        return class_name in ("DTypePolicy", *_MODELS)
    if not isinstance(module, str) or not f"{module}.".startswith(_STOCK):
        return False
    return class_name in _MODELS if "models" in module.split(".") else True  # not functions such as load_model


def inside(folder: Path, name: str) -> Path:
    """``folder / name``, which need not exist, after checking that no link points outside the folder.

    Raises:
        StoreError: a link points outside it, or is circular.
    """
    path = folder / name
    try:
        led = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{path} cannot be read: {error}", "restore the folder from its source") from error
    if not led:
        raise StoreError(f"{path} is a link that points outside {folder}", "put the file itself in the folder")
    return path


_FLOAT32 = ("float32", "mixed_float16", "mixed_bfloat16")
_UNKNOWN = "build an image classifier of other layers: convolutions, attention, pooling, dense layers and the like"
_Config = Mapping[str, Any]
_Shape = tuple[int, ...]


def check_memory(config: Any, weights: int) -> None:
    """Check a model's ``config.json`` against the size of its weights file.

    Args:
        config: The parsed configuration.
        weights: Size of ``model.weights.h5``, unpacked, in bytes.

    Raises:
        StoreError: its layers need more memory than their weights, have outputs of absurd size, or are of a kind whose
            memory is not known.
    """
    asked = 0
    for layer in _layers(config):
        name, settings, shape = layer["class_name"], layer["config"], _input_shape(layer)
        if "layers" in str(layer.get("module")).split(".") and not _is_known(name):
            raise StoreError(f"the model has a {name} layer, whose memory is not known before it is built", _UNKNOWN)
        if name in _WEIGHTED and shape is None and name not in _SHAPELESS:
            raise StoreError(f"the model's {name} layer does not define its input shape", _HINT)
        asked += _count(_WEIGHTED.get(name), settings, shape or ()) * _width(settings)
        if (values := _count(_GROWING.get(name), settings, shape or ())) > MAX_VALUES:
            raise StoreError(f"the model's {name} layer needs {values:,} values for one image", _HINT)
    if asked > weights:
        raise StoreError(
            f"the model needs {asked:,} bytes of memory for its weights, but its file has {weights:,}", _HINT
        )


def _is_known(name: str) -> bool:
    return name in _WEIGHTED or name in _GROWING or name in _LIGHT or name.startswith(_LIGHT_KINDS)


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
    """The input shape that Keras builds the layer for, including the batch; an unknown size counts as 1."""
    build = layer.get("build_config")
    shape = build.get("input_shape") if isinstance(build, dict) else None
    if layer["class_name"] == "MultiHeadAttention":
        shape = _attended(build)
    if not isinstance(shape, list) or not all(size is None or _is_size(size) for size in shape):
        return None
    return tuple(size or 1 for size in shape)


def _attended(build: Any) -> list[Any] | None:
    """The widths of an attention layer's query, value and key, which is the value if it is not given."""
    shapes = build.get("shapes_dict") if isinstance(build, dict) else None
    if not isinstance(shapes, dict):
        return None
    value = shapes.get("value_shape")
    three = (shapes.get("query_shape"), value, shapes.get("key_shape") or value)
    widths = [shape[-1] for shape in three if isinstance(shape, list) and shape]
    return widths if len(widths) == len(three) else None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _width(settings: _Config) -> int:
    """Minimum bytes per value of a variable."""
    policy = settings.get("dtype")
    inner = policy.get("config") if isinstance(policy, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else policy
    return 4 if name in _FLOAT32 else 1


def _sizes(value: Any) -> tuple[int, ...]:
    """One or several sizes, possibly nested, as a flat tuple of nonnegative numbers."""
    if isinstance(value, (list, tuple)):
        return tuple(size for item in value for size in _sizes(item))
    if not _is_size(value):
        raise ValueError(f"{value!r} is not a size")
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


def _standardized(settings: _Config, shape: _Shape) -> int:
    """Mean and variance; none where they are given in the configuration."""
    return 0 if settings.get("mean") is not None or settings.get("axis") is None else 2 * _normalised(settings, shape)


def _sloped(settings: _Config, shape: _Shape) -> int:
    shared = _sizes(settings.get("shared_axes") or [])
    return math.prod(size for axis, size in enumerate(shape) if axis > 0 and axis not in shared)


def _attention(settings: _Config, widths: _Shape) -> int:
    (heads,), (deep,) = _sizes(settings["num_heads"]), _sizes(settings["key_dim"])
    (values,) = _sizes(settings.get("value_dim") or deep)
    query, value, key = widths
    out = math.prod(_sizes(settings.get("output_shape") or query))
    return heads * (deep * (query + key) + values * (value + out))


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
    **dict.fromkeys(
        ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization"), _normalised
    ),
    "Normalization": _standardized, "PReLU": _sloped, "MultiHeadAttention": _attention,
}  # fmt: skip
_SHAPELESS = frozenset({"Embedding"})
_GROWING: dict[str, Callable[[_Config, _Shape], int]] = {
    "InputLayer": _entered, "RepeatVector": _scaled("n"), "Resizing": _resized,
    **{f"UpSampling{n}D": _upsampled for n in (1, 2, 3)}, **{f"ZeroPadding{n}D": _padded for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": _scaled("strides") for n in (1, 2, 3)},
}  # fmt: skip
_LIGHT = frozenset({
    "Activation", "ActivityRegularization", "Add", "AdditiveAttention", "AlphaDropout", "Attention", "AugMix",
    "AutoContrast", "Average", "Bidirectional", "CenterCrop", "Concatenate",
    "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Dot", "Dropout", "ELU", "Equalization", "Flatten",
    "GaussianDropout", "GaussianNoise", "Identity", "LeakyReLU", "Masking", "Maximum", "Minimum", "MixUp", "Multiply",
    "Permute", "Pipeline", "RandAugment", "ReLU", "Rescaling", "Reshape", "Softmax", "Solarization",
    "SpectralNormalization", "Subtract", "TimeDistributed", "UnitNormalization",
})  # fmt: skip
_LIGHT_KINDS = ("Adaptive", "Average", "Cropping", "Global", "Max", "Random", "SpatialDropout")
"""Layers without weights, or with fewer than values of their input."""
