"""Models of other people: memory that a configuration asks for is known before a model is built, or it is refused."""

import io
import json
import zipfile

import pytest

from keensight.errors import StoreError

pytestmark = pytest.mark.slow

UNKNOWN = {
    "CategoryEncoding", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Discretization", "GRUCell", "HashedCrossing",
    "Hashing", "LSTMCell", "MelSpectrogram", "RNN", "ReversibleEmbedding", "STFTSpectrogram", "SimpleRNNCell",
    "StackedRNNCells",
}  # fmt: skip
"""Refused, as no image classifier needs them."""
CODE = {"FlaxLayer", "IntegerLookup", "JaxLayer", "Lambda", "StringLookup", "TFSMLayer", "TextVectorization",
        "TorchModuleWrapper"}  # fmt: skip
BASES = {"InputSpec", "Layer", "Wrapper"}


@pytest.fixture(scope="module")
def keras():
    from keensight.nets.runtime import framework

    return framework()[0]


def saved(model, path, change=lambda config: config):
    """A ``.keras`` file, with a changed text of its configuration."""
    packed = io.BytesIO()
    model.save(path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, change(content.decode()) if name == "config.json" else content)
    path.write_bytes(packed.getvalue())
    return path


def test_every_layer_of_keras_is_counted_or_refused(keras):
    """A failure names a layer that is new: say in store/safety.py what it needs, or list it here as refused."""
    from keensight.store.safety import check_memory

    refused = set()
    for name in dir(keras.layers):
        kind = getattr(keras.layers, name)
        if isinstance(kind, type) and kind.__name__ == name and name not in CODE:
            try:
                check_memory({"module": "keras.layers", "class_name": name, "config": {}}, 0)
            except StoreError as error:
                if "not known" in error.message:
                    refused.add(name)
    assert refused <= UNKNOWN | BASES


def test_the_weights_of_an_attention_are_counted_as_keras_makes_them(keras, tmp_path):
    from keensight.store.safety import check_model

    layers = keras.layers
    query, value, key = (keras.Input((5, width)) for width in (6, 3, 4))
    attention = layers.MultiHeadAttention(2, 7, value_dim=5, output_shape=11, use_bias=False)
    model = keras.Model([query, value, key], layers.Flatten()(attention(query, value, key)))
    check_model(saved(model, tmp_path / "right.keras"))
    assert attention.count_params() == 2 * 7 * (6 + 4) + 2 * 5 * (3 + 11)
    larger = saved(model, tmp_path / "more.keras", lambda text: text.replace('"num_heads": 2', '"num_heads": 3000'))
    with pytest.raises(StoreError, match=r"needs [\d,]+ bytes of memory for its weights"):
        check_model(larger)


@pytest.mark.parametrize(
    "kind", ["Normalization", "PReLU", "RMSNormalization", "SpectralNormalization", "Bidirectional"]
)
def test_a_model_that_keras_saved_is_accepted(keras, tmp_path, kind):
    from keensight.store.safety import check_model

    layers = keras.layers
    made = {
        "Normalization": lambda: layers.Normalization(), "PReLU": lambda: layers.PReLU(shared_axes=[1]),
        "RMSNormalization": lambda: layers.RMSNormalization(),
        "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Dense(2)),
        "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(2)),
    }[kind]()  # fmt: skip
    inputs = keras.Input((5, 6))
    check_model(saved(keras.Model(inputs, made(inputs)), tmp_path / "m.keras"))


def test_tensors_that_double_again_and_again_are_refused_before_an_image_is_seen(keras, tmp_path):
    from keensight.nets.models.weights import open_model
    from keensight.store.safety import check_model

    image = keras.Input((64, 64, 3))
    wide = image
    for _ in range(15):  # 2^15 times 12,288 values
        wide = keras.layers.Concatenate()([wide, wide])
    path = saved(keras.Model(image, keras.layers.GlobalMaxPooling2D()(wide)), tmp_path / "m.keras")
    check_model(path)
    with pytest.raises(StoreError, match="its Concatenate layer needs 402,653,184 values for one image"):
        open_model(path)
    assert json.loads(zipfile.ZipFile(path).read("config.json"))["class_name"] == "Functional"
