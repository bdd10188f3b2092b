import numpy as np
import pytest

from keensight.core.records import ImageSpec
from keensight.nets.models import build as nets
from keensight.nets.runtime import configure, framework

pytestmark = pytest.mark.slow

SPEC = ImageSpec(32, 32)


@pytest.fixture(autouse=True)
def seeded():
    configure(seed=0)


def images(n=16):
    return np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), np.uint8)


def learn(net):
    """Two steps, small ones, as rounding grows from step to step; returns the losses."""
    keras, _ = framework()
    net.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return [net.train_on_batch(images(), np.arange(16) % 4) for _ in range(2)]


def lively(net):
    """Normalization with statistics, scales and offsets that are not 0 and 1."""
    keras, _ = framework()
    rng = np.random.default_rng(1)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return net


def block():
    """A convolution with a bias, one that two layers read, a depthwise one of two a channel; all with frozen norms."""
    keras, _ = framework()
    layers = keras.layers
    inputs = layers.Input(SPEC.shape, dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="biased")(x)
    x = layers.BatchNormalization(name="biased_norm")(x)
    shared = layers.Conv2D(8, 1, name="shared")(layers.ReLU()(x))
    x = layers.Add()([shared, layers.BatchNormalization(name="shared_norm")(shared)])
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2, use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(scale=False, name="depthwise_norm")(x)
    logits = layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(x))
    return lively(keras.Model(inputs, logits))


def frozen(net):
    keras, _ = framework()
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return net


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_what_is_trained_learns_what_the_network_of_stock_layers_would(name):
    from keensight.nets.training.training_copy import FusedBatchNormalization, carry, training_form

    net = lively(nets.build(name, SPEC, 4, width=8, dropout=0.0))
    form = training_form(net, "float32")
    assert any(isinstance(layer, FusedBatchNormalization) for layer in form.layers)
    np.testing.assert_allclose(form.predict(images(), verbose=0), net.predict(images(), verbose=0), atol=1e-4)

    stock = framework()[0].models.clone_model(net)
    stock.set_weights(net.get_weights())
    np.testing.assert_allclose(learn(form), learn(stock), rtol=1e-3)
    carry(form, net)
    for ours, theirs in zip(net.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert all(type(layer).__module__.startswith("keras.") for layer in net.layers)


@pytest.mark.parametrize("make", [block, lambda: lively(nets.build("efficientnet_lite0", SPEC, 4, dropout=0.0))])
def test_a_frozen_normalisation_goes_into_the_kernel_and_learning_stays_the_same(make):
    from keensight.nets.training.training_copy import carry, training_form

    net = frozen(make())
    form = training_form(net, "float32")
    shown = net.predict(images(), verbose=0)
    np.testing.assert_allclose(form.predict(images(), verbose=0), shown, atol=1e-4 * np.abs(shown).max())

    stock = framework()[0].models.clone_model(net)
    stock.set_weights(net.get_weights())
    np.testing.assert_allclose(learn(form), learn(stock), rtol=1e-3)
    carry(form, net)
    for ours, theirs in zip(net.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_convolution_that_something_else_reads_too_is_left_as_it_is():
    from keensight.nets.training.training_copy import training_form

    kinds = {layer.name: type(layer).__name__ for layer in training_form(frozen(block()), "float32").layers}
    assert kinds["biased"] == "FoldedConv2D"
    assert kinds["depthwise"] == "FoldedDepthwiseConv2D"
    assert "biased_norm" not in kinds
    assert kinds["shared"] == "Conv2D"
    assert kinds["shared_norm"] == "BatchNormalization"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_16_bits_are_close_and_weights_and_logits_stay_float32(precision):
    from keensight.nets.training.training_copy import training_form

    net = frozen(block())
    form = training_form(net, precision)
    shown = net.predict(images(), verbose=0)
    assert np.abs(form.predict(images(), verbose=0) - shown).max() < 0.05 * np.abs(shown).max()
    assert form.get_layer("biased").compute_dtype == precision
    assert form.get_layer("logits").compute_dtype == "float32"
    assert form.get_layer("depthwise").compute_dtype == "float32"
    assert {weight.dtype for weight in form.weights} == {"float32"}


def listed(*more):
    """A model as students write it, with a normalization that is frozen."""
    keras, _ = framework()
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(SPEC.shape, dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(trainable=False),
            *more,
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, name="logits"),
        ]
    )


def test_a_sequential_model_is_copied_too():
    from keensight.nets.training.training_copy import carry, training_form

    net = lively(listed())
    for precision in ("float32", "bfloat16"):
        form = training_form(net, precision)
        assert form is not net
        assert [type(layer).__name__ for layer in form.layers if "ormalization" in type(layer).__name__] == [
            "FusedBatchNormalization", "BatchNormalization"
        ]  # fmt: skip
        before = net.predict(images(), verbose=0)
        np.testing.assert_allclose(form.predict(images(), verbose=0), before, atol=0.02 * np.abs(before).max())
    learn(form)
    carry(form, net)
    assert np.abs(net.predict(images(), verbose=0) - before).max() > 0


def test_a_model_with_layers_of_ones_own_or_models_inside_is_trained_itself():
    from keensight.nets.training.training_copy import training_form

    keras, _ = framework()

    class Half(keras.layers.Layer):
        def call(self, x):
            return x / 2

    class Own(keras.Model):
        def train_step(self, data):
            raise NotImplementedError

    inner = keras.Sequential([keras.layers.Input((28, 28, 4)), keras.layers.Conv2D(4, 3)])
    plain = block()
    for net in (
        listed(Half()),
        listed(inner),
        listed(keras.layers.Lambda(lambda x: x)),
        Own(plain.inputs, plain.outputs),
    ):
        assert training_form(net, "float32") is net
