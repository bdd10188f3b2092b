"""What a model's layers need, from its configuration alone: to the value, so that the limit is neither low nor high."""

from __future__ import annotations

from typing import Any

import pytest

from keensight.errors import StoreError
from keensight.store.safety import check_memory


def layer(kind: str, shape: list[int | None] | None, **config: Any) -> dict[str, Any]:
    build = {} if shape is None else {"build_config": {"input_shape": shape}}
    return {"class_name": kind, "config": {"dtype": "float32", **config}, **build}


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
        (layer("Conv1D", [None, 9, 6], filters=4, kernel_size=[3]), 3 * 6 * 4),
        (layer("Conv2DTranspose", [None, 9, 9, 6], filters=4, kernel_size=[3, 2], strides=[1, 1]), 3 * 2 * 6 * 4),
        (layer("DepthwiseConv2D", [None, 9, 9, 6], kernel_size=[3, 2], depth_multiplier=2), 3 * 2 * 6 * 2),
        (layer("DepthwiseConv2D", [None, 9, 9, 6], kernel_size=[3, 2]), 3 * 2 * 6),
        (
            layer("SeparableConv2D", [None, 9, 9, 6], kernel_size=[3, 2], depth_multiplier=2, filters=5),
            3 * 2 * 6 * 2 + 6 * 2 * 5,
        ),
        (layer("SimpleRNN", [None, 9, 6], units=4), 4 * (6 + 4)),
        (layer("GRU", [None, 9, 6], units=4), 3 * 4 * (6 + 4)),
        (layer("LSTM", [None, 9, 6], units=4), 4 * 4 * (6 + 4)),
        (layer("BatchNormalization", [None, 9, 9, 6], axis=-1), 6),
        (layer("LayerNormalization", [None, 9, 6], axis=[1, 2]), 9 * 6),
        (layer("EinsumDense", [None, 5, 6], equation="abc,cd->abd", output_shape=[None, 7]), 6 * 7),
        (layer("EinsumDense", [None, 5, 6], equation="abc,cde->abde", output_shape=[None, 7, 2]), 6 * 7 * 2),
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
