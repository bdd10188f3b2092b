"""What a model's layers need, from its configuration alone: to the value, so that the limit is neither low nor high."""

from __future__ import annotations

from typing import Any

import pytest

from keensight.errors import StoreError
from keensight.store.safety import check_memory


def layer(kind: str, shape: list[int | None] | None, /, **config: Any) -> dict[str, Any]:
    build = {} if shape is None else {"build_config": {"input_shape": shape}}
    return {"class_name": kind, "config": {"dtype": "float32", **config}, **build}


def attention(query: Any, value: Any, key: Any = None, /, **config: Any) -> dict[str, Any]:
    shapes = {"query_shape": query, "value_shape": value, **({} if key is None else {"key_shape": key})}
    kind = {"class_name": "MultiHeadAttention", "module": "keras.layers"}
    return {**kind, "config": {"dtype": "float32", **config}, "build_config": {"shapes_dict": shapes}}


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (layer("Dense", [None, 5], units=3, use_bias=True), 3 * 5 + 3),
        (layer("Dense", [None, 5], units=3, use_bias=False), 3 * 5),
        (layer("Dense", [None, 7, 5], units=3, use_bias=False), 3 * 5),
        (layer("Embedding", None, input_dim=11, output_dim=3), 11 * 3),
        (layer("Conv2D", [None, 9, 9, 6], filters=4, kernel_size=[3, 2], groups=1), 3 * 2 * 6 * 4),
        (layer("Conv2D", [None, 9, 9, 6], filters=4, kernel_size=[3, 2], groups=2), 3 * 2 * 3 * 4),
        (layer("Conv2D", [None, 6, 9, 9], filters=4, kernel_size=[3, 2], data_format="channels_first"), 3 * 2 * 6 * 4),
        (layer("Conv2D", [None, 9, 9, 2], filters=4, kernel_size=[3, 2], groups=4), 3 * 2 * 1 * 4),
        (layer("Conv1D", [None, 9, 6], filters=4, kernel_size=[3]), 3 * 6 * 4),
        (layer("Conv3D", [None, 9, 9, 9, 6], filters=4, kernel_size=[3, 2, 5]), 3 * 2 * 5 * 6 * 4),
        (layer("Conv1DTranspose", [None, 9, 6], filters=4, kernel_size=[3], strides=[1]), 3 * 6 * 4),
        (layer("Conv2DTranspose", [None, 9, 9, 6], filters=4, kernel_size=[3, 2], strides=[1, 1]), 3 * 2 * 6 * 4),
        (
            layer("Conv3DTranspose", [None, 9, 9, 9, 6], filters=4, kernel_size=[3, 2, 5], strides=[1, 1, 1]),
            3 * 2 * 5 * 6 * 4,
        ),
        (layer("DepthwiseConv1D", [None, 9, 6], kernel_size=[3], depth_multiplier=2), 3 * 6 * 2),
        (layer("DepthwiseConv2D", [None, 9, 9, 6], kernel_size=[3, 2], depth_multiplier=2), 3 * 2 * 6 * 2),
        (layer("DepthwiseConv2D", [None, 9, 9, 6], kernel_size=[3, 2]), 3 * 2 * 6),
        (
            layer("SeparableConv2D", [None, 9, 9, 6], kernel_size=[3, 2], depth_multiplier=2, filters=5),
            3 * 2 * 6 * 2 + 6 * 2 * 5,
        ),
        (layer("SeparableConv1D", [None, 9, 6], kernel_size=[3], filters=5), 3 * 6 + 6 * 5),
        (layer("SimpleRNN", [None, 9, 6], units=4), 4 * (6 + 4)),
        (layer("GRU", [None, 9, 6], units=4), 3 * 4 * (6 + 4)),
        (layer("LSTM", [None, 9, 6], units=4), 4 * 4 * (6 + 4)),
        (layer("BatchNormalization", [None, 9, 9, 6], axis=-1), 6),
        (layer("BatchNormalization", [None, 9, 9, 6]), 6),
        (layer("LayerNormalization", [None, 9, 6], axis=[1, 2]), 9 * 6),
        (layer("GroupNormalization", [None, 9, 6], axis=-1), 6),
        (layer("RMSNormalization", [None, 9, 6], axis=-1), 6),
        (layer("Normalization", [None, 9, 6], axis=[-1]), 2 * 6),
        (layer("Normalization", [None, 9, 6], axis=[-1], mean=[0.5], variance=[1.0]), 0),
        (layer("Normalization", [None, 9, 6], axis=None), 0),
        (layer("PReLU", [None, 9, 6]), 9 * 6),
        (layer("PReLU", [None, 9, 7, 6], shared_axes=[1, 2]), 6),
        (attention([None, 5, 6], [None, 4, 3], num_heads=2, key_dim=7), 2 * 7 * (6 + 3) + 2 * 7 * (3 + 6)),
        (
            attention([None, 5, 6], [None, 4, 3], [None, 4, 8], num_heads=2, key_dim=7, value_dim=5, output_shape=11),
            2 * 7 * (6 + 8) + 2 * 5 * (3 + 11),
        ),
        (layer("EinsumDense", [None, 5, 6], equation="abc,cd->abd", output_shape=[None, 7]), 6 * 7),
        (layer("EinsumDense", [None, 5, 6], equation="abc,cde->abde", output_shape=[None, 7, 2]), 6 * 7 * 2),
        (layer("EinsumDense", [None, 5], equation="ab,bc->ac", output_shape=7), 5 * 7),
        # Sizes that the configuration does not tell count as 1, so that no usual model is refused.
        (layer("EinsumDense", [None, 5], equation="ab,bcd->acd", output_shape=[None, 7]), 5 * 1 * 7),
        (layer("EinsumDense", [None, 5, 6], equation="abc,cde->abde", output_shape=[2]), 6 * 1 * 2),
        (layer("EinsumDense", [None, 5, 6], equation="...x,xy->...y", output_shape=[7]), 6 * 7),
        (layer("Dense", [None, None], units=3), 3),
        (layer("Dense", [None, 0], units=3), 3),
    ],
)  # fmt: skip
def test_weights_are_counted_to_the_value(config: dict[str, Any], values: int) -> None:
    check_memory([config], 4 * values)
    with pytest.raises(StoreError, match=f"needs {4 * values:,} bytes of memory for its weights"):
        check_memory([config], 4 * values - 1)


def test_weights_of_all_layers_add_up_and_narrow_ones_need_a_byte_each() -> None:
    wide = layer("Dense", [None, 5], units=3, use_bias=False)
    narrow = layer("Dense", [None, 5], units=3, use_bias=False, dtype="int8")
    check_memory([wide, {"class_name": "Sequential", "config": {"layers": [narrow]}}], 4 * 15 + 15)
    with pytest.raises(StoreError, match="needs 75 bytes"):
        check_memory([wide, narrow], 74)


@pytest.mark.parametrize(
    ("dtype", "width"),
    [
        ("float32", 4),
        ("mixed_float16", 4),
        ({"class_name": "DTypePolicy", "config": {"name": "mixed_bfloat16"}}, 4),
        ({"class_name": "DTypePolicy", "config": {"name": "float16"}}, 1),
        ({"class_name": "DTypePolicy", "config": None}, 1),
        ("bfloat16", 1),
        (None, 1),
    ],
)
def test_a_value_counts_as_the_bytes_that_its_type_needs_at_least(dtype: Any, width: int) -> None:
    config = layer("Dense", [None, 5], units=3, dtype=dtype)
    check_memory([config], 15 * width)
    with pytest.raises(StoreError, match=f"needs {15 * width} bytes"):
        check_memory([config], 15 * width - 1)


@pytest.mark.parametrize("shape", [None, [], "many", ["many"], [None, -5], [None, 5.0], [None, True]])
def test_a_layer_without_a_usable_input_shape_is_refused(shape: Any) -> None:
    with pytest.raises(StoreError, match=r"Dense layer does not define its input shape|layers cannot be read"):
        check_memory([layer("Dense", shape, units=0)], 10**9)
    check_memory([layer("Activation", shape)], 0)


@pytest.mark.parametrize("units", [-3, "3", 3.0, True, None, [3, 3]])
def test_a_layer_whose_number_of_units_is_not_one_is_refused(units: Any) -> None:
    with pytest.raises(StoreError, match="of the model's layers cannot be read: ValueError") as caught:
        check_memory([layer("Dense", [None, 5], units=units)], 10**9)
    assert "the file is damaged or malicious" in (caught.value.hint or "")


FULL = 1 << 28
"""Values of an output: the largest number that is accepted."""


@pytest.mark.parametrize(
    ("kind", "shape", "settings", "more"),
    [
        ("InputLayer", None, {"batch_shape": [None, FULL]}, {"batch_shape": [None, FULL + 1]}),
        ("InputLayer", None, {"shape": [1 << 14, 1 << 14]}, {"shape": [1 << 14, 1 + (1 << 14)]}),
        ("RepeatVector", [None, 1 << 14], {"n": 1 << 14}, {"n": 1 + (1 << 14)}),
        ("Resizing", [None, 8, 8, 4], {"height": 1 << 13, "width": 1 << 13}, {"height": 1 << 13, "width": 8193}),
        ("Resizing", None, {"height": 1 << 14, "width": 1 << 14}, {"height": 1 << 14, "width": 1 + (1 << 14)}),
        ("ZeroPadding1D", None, {"padding": [FULL - 1, 1]}, {"padding": [FULL, 1]}),
    ],
)
def test_an_output_of_a_gigabyte_is_accepted_and_a_larger_one_is_not(
    kind: str, shape: list[int | None] | None, settings: dict[str, Any], more: dict[str, Any]
) -> None:
    check_memory([layer(kind, shape, **settings)], 0)
    with pytest.raises(StoreError, match=f"the model's {kind} layer needs .* values for one image"):
        check_memory([layer(kind, shape, **more)], 0)


FAR = 10**5


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (layer("UpSampling1D", [None, FAR, 3], size=FAR), FAR * FAR * 3),
        (layer("UpSampling2D", [None, 7, 5, 3], size=FAR), 7 * 5 * 3 * FAR**2),
        (layer("UpSampling2D", [None, 7, 5, 3], size=[FAR, FAR + 1]), 7 * 5 * 3 * FAR * (FAR + 1)),
        (layer("UpSampling3D", [None, 7, 5, 2, 3], size=FAR), 7 * 5 * 2 * 3 * FAR**3),
        (layer("ZeroPadding1D", [None, 7, FAR], padding=[FAR, 5]), (7 + FAR + 5) * FAR),
        (
            layer("ZeroPadding2D", [None, 7, 5, 3], padding=[[FAR, 1], [2, FAR]]),
            (7 + FAR + 1) * (5 + 2 + FAR) * 3,
        ),
        (
            layer("ZeroPadding2D", [None, 3, 7, 5], padding=[[FAR, 1], [2, FAR]], data_format="channels_first"),
            (7 + FAR + 1) * (5 + 2 + FAR) * 3,
        ),
        (
            layer("ZeroPadding3D", [None, 7, 5, 2, 3], padding=[[FAR, 1], [2, FAR], [3, 4]]),
            (7 + FAR + 1) * (5 + 2 + FAR) * (2 + 3 + 4) * 3,
        ),
        (layer("Conv1DTranspose", [None, FAR, 3], filters=0, kernel_size=[1], strides=[FAR]), FAR * 3 * FAR),
        (
            layer("Conv2DTranspose", [None, 7, 5, 3], filters=0, kernel_size=[1, 1], strides=[FAR, FAR]),
            7 * 5 * 3 * FAR**2,
        ),
        (
            layer("Conv3DTranspose", [None, 7, 5, 2, 3], filters=0, kernel_size=[1, 1, 1], strides=[FAR, FAR, 2]),
            7 * 5 * 2 * 3 * FAR**2 * 2,
        ),
    ],
)
def test_outputs_are_counted_to_the_value(config: dict[str, Any], values: int) -> None:
    with pytest.raises(StoreError) as caught:
        check_memory([config], 0)
    assert caught.value.message == f"the model's {config['class_name']} layer needs {values:,} values for one image"


@pytest.mark.parametrize(
    "config",
    [
        layer("InputLayer", None, batch_shape=[None, 60_000, 60_000, 3]),
        layer("RepeatVector", [None, 10**5], n=10**5),
        layer("Resizing", [None, 8, 8, 3], height=60_000, width=60_000),
        layer("UpSampling2D", [None, 10**4, 10**4, 3], size=[10, 10]),
        layer("UpSampling1D", [None, 10**5, 3], size=10**5),
        layer("ZeroPadding2D", [None, 8, 8, 3], padding=[[10**5, 10**5], [10**5, 10**5]]),
    ],
)
def test_outputs_of_absurd_size_are_refused_and_usual_ones_are_not(config: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="values for one image"):
        check_memory([config], 10**9)
    for usual in (
        layer("InputLayer", None, batch_shape=[None, 320, 320, 3]), layer("RepeatVector", [None, 100], n=10),
        layer("Resizing", [None, 8, 8, 3], height=320, width=320), layer("UpSampling1D", [None, 9, 3], size=2),
        layer("ZeroPadding2D", [None, 8, 8, 3], padding=[[1, 1], [1, 1]]),
    ):  # fmt: skip
        check_memory([usual], 0)


@pytest.mark.parametrize(
    "build", [None, {}, {"shapes_dict": 3}, {"shapes_dict": {"query_shape": [None, 5]}},
              {"shapes_dict": {"query_shape": [], "value_shape": [None, 5]}}],
)  # fmt: skip
def test_an_attention_without_the_shapes_of_its_inputs_is_refused(build: Any) -> None:
    config = {**attention([None, 5], [None, 5], num_heads=2, key_dim=3), "build_config": build}
    with pytest.raises(StoreError, match="MultiHeadAttention layer does not define its input shape"):
        check_memory(config, 10**9)


@pytest.mark.parametrize("module", ["keras.layers", "keras.src.layers.rnn.rnn"])
@pytest.mark.parametrize("kind", ["RNN", "LSTMCell", "ConvLSTM2D", "CategoryEncoding", "Convolution2D", "Layer"])
def test_a_layer_whose_memory_is_not_known_is_refused(module: str, kind: str) -> None:
    with pytest.raises(StoreError) as caught:
        check_memory({"module": module, **layer(kind, [None, 5, 6])}, 10**9)
    assert caught.value.message == f"the model has a {kind} layer, whose memory is not known before it is built"
    assert "image classifier of other layers" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["ReLU", "Add", "MaxPooling2D", "GlobalAveragePooling2D", "RandomFlip", "Rescaling"])
def test_a_layer_without_weights_is_accepted(kind: str) -> None:
    check_memory({"module": "keras.layers", **layer(kind, [None, 5, 6])}, 0)
