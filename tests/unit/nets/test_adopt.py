"""Networks that were built elsewhere: every usual beginning and end, copied without a change of their answers."""

import numpy as np
import pytest

from keensight.core.records import ImageSpec, LabelSet
from keensight.core.task import Task
from keensight.errors import GateError, UsageError
from keensight.nets import adopt as nets
from keensight.nets.classifier import Classifier
from keensight.nets.runtime import framework

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 10, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def keras():
    return framework()[0]


def sequential(keras, *layers, shape=(10, 8, 3), dtype=None):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers], name="theirs")


def body(keras):
    return [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]


def dense(keras, n=3, **more):
    return keras.layers.Dense(n, **{"bias_initializer": "random_normal", **more})


def ends(keras):
    layers = keras.layers
    return {
        "softmax in the layer": [dense(keras, activation="softmax")],
        "softmax by itself": [dense(keras), layers.Softmax()],
        "softmax as an activation": [dense(keras), layers.Activation("softmax")],
        "logits": [dense(keras)],
        "no bias": [dense(keras, use_bias=False, activation="softmax")],
        "two dense layers": [dense(keras, 5, activation="relu"), dense(keras, activation="softmax")],
        "dense, normalized, softmax": [dense(keras), layers.BatchNormalization(), layers.Softmax()],
    }


def adopted(model, normalisation="0..1", classes=3, **more):
    found = nets.adopt(model, classes, normalisation, **more)
    thresholds = (0.5,) * classes if more.get("task") == Task.MULTILABEL else None
    labels = LabelSet(tuple("abcdefghij"[:classes]))
    return found, Classifier(found.model, labels, ImageSpec(10, 8), thresholds=thresholds)


def worst(model, normalisation="0..1", classes=3, **more):
    found, classifier = adopted(model, normalisation, classes, **more)
    return nets.check_parity(model, found, classifier, IMAGES, normalisation)


@pytest.mark.parametrize("end", range(7))
def test_every_usual_end_becomes_logits(keras, end):
    model = sequential(keras, *body(keras), *list(ends(keras).values())[end])
    assert worst(model) < 1e-5


@pytest.mark.parametrize("normalisation", nets.NORMALISATIONS)
def test_each_normalisation_in_the_graph_is_that_of_numpy(keras, normalisation):
    assert worst(sequential(keras, *body(keras), dense(keras, activation="softmax")), normalisation) < 1e-5


@pytest.mark.parametrize("shape", [(10, 8), (10, 8, 1)])
def test_grey_inputs_with_and_without_a_channel(keras, shape):
    layers = [keras.layers.Flatten(), dense(keras, activation="softmax")]
    assert worst(sequential(keras, *layers, shape=shape)) < 1e-5


def test_a_network_of_whole_numbers_that_scales_them_itself(keras):
    model = sequential(keras, keras.layers.Rescaling(1 / 255), *body(keras), dense(keras), dtype="uint8")
    assert worst(model, "none") < 1e-5
    with pytest.raises(UsageError, match="scales them itself"):
        nets.adopt(model, 3, "0..1")


@pytest.mark.parametrize("last", ["sigmoid", None])
def test_one_output_tells_two_classes_apart(keras, last):
    model = sequential(keras, *body(keras), dense(keras, 1, activation=last))
    assert worst(model, classes=2) < 1e-5
    assert adopted(model, classes=2)[0].model.output_shape == (None, 2)


def test_sigmoids_are_for_several_labels(keras):
    model = sequential(keras, *body(keras), dense(keras, activation="sigmoid"))
    assert worst(model, task=Task.MULTILABEL) < 1e-5
    with pytest.raises(UsageError, match="each image has one class"):
        nets.adopt(model, 3, "0..1")
    single = sequential(keras, *body(keras), dense(keras, activation="softmax"))
    with pytest.raises(UsageError, match="several labels"):
        nets.adopt(single, 3, "0..1", Task.MULTILABEL)


def test_nested_models_become_flat_and_random_layers_are_left_out(keras):
    layers = keras.layers
    augment = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.2), layers.RandomCrop(10, 8)])
    inner = sequential(keras, layers.Conv2D(4, 3), layers.BatchNormalization(), layers.GlobalMaxPooling2D())
    image = keras.Input((10, 8, 3))
    x = inner(augment(image, training=True) / 255.0)
    x = layers.Dropout(0.5)(x, training=True)
    model = keras.Model(image, dense(keras, activation="softmax")(x))
    found, classifier = adopted(model, "none")
    assert [name.split("_")[1] for name in found.dropped] == ["flip", "rotation", "crop"]
    assert not any(isinstance(layer, keras.Model) for layer in found.model.layers)
    assert nets.check_parity(model, found, classifier, IMAGES, "none") < 1e-5
    # Without `training=False`, too, as every exported form calls it.
    assert np.array_equal(found.model(IMAGES), found.model(IMAGES, training=False))


def test_what_the_last_layer_takes_in_is_the_embedding(keras):
    _, classifier = adopted(sequential(keras, *body(keras), dense(keras, activation="softmax")))
    assert classifier.embed_array(IMAGES).shape == (9, 8 * 6 * 4)
    pooled = sequential(keras, keras.layers.Conv2D(3, 3), keras.layers.GlobalAveragePooling2D())
    assert not adopted(pooled)[1].embeds


def test_layers_of_any_name_find_room(keras):
    names = ("image", "normalise", "logits")
    convolutions = [keras.layers.Conv2D(3, 1, name=name) for name in names]
    model = sequential(keras, *convolutions, keras.layers.Flatten(), dense(keras, activation="softmax"))
    assert worst(model) < 1e-5


def test_what_cannot_be_taken_in_is_refused_in_a_sentence(keras):
    class Own(keras.layers.Layer):
        def call(self, x):
            return x

    class Subclassed(keras.Model):
        def call(self, x):
            return x

    layers, image = keras.layers, keras.Input((10, 8, 3))

    def last():
        return [layers.Flatten(), dense(keras)]

    cases = {
        "expected a keras.Model": "model.keras",
        "is subclassed": Subclassed(),
        "never built": keras.Sequential([layers.Flatten(), dense(keras)]),
        r"Lambda\) contains custom code": sequential(keras, layers.Lambda(lambda x: x), *last()),
        r"Own\) contains custom code": sequential(keras, Own(), *last()),
        "2 outputs": keras.Model(image, [layers.Flatten()(image), layers.Flatten()(image)]),
        r"\(None, None, 3\)": sequential(keras, layers.GlobalMaxPooling2D(), dense(keras), shape=(None, None, 3)),
        r"\(10, 8, 4\)": sequential(keras, *last(), shape=(10, 8, 4)),
        r"is \(80,\)": sequential(keras, dense(keras), shape=(80,)),
        "has 4 outputs, but there are 3": sequential(keras, layers.Flatten(), dense(keras, 4)),
        "changes the image size": sequential(keras, layers.RandomCrop(6, 6), *last()),
    }
    for message, model in cases.items():
        with pytest.raises(UsageError, match=message):
            nets.adopt(model, 3, "none")
    with pytest.raises(UsageError, match="no normalization '0-1'"):
        nets.adopt(sequential(keras, *last()), 3, "0-1")


def test_probabilities_made_otherwise_are_no_logits(keras):
    shares = sequential(
        keras, *body(keras), dense(keras, activation="softplus"), keras.layers.UnitNormalization(),
        keras.layers.Activation("relu"),
    )  # fmt: skip
    logits = keras.Model(shares.inputs[0], keras.ops.square(shares.outputs[0]))
    found, classifier = adopted(logits)
    with pytest.raises(UsageError, match="not a softmax that could be removed"):
        nets.check_parity(logits, found, classifier, IMAGES, "0..1")


def test_a_copy_that_answers_otherwise_is_refused(keras):
    model = sequential(keras, *body(keras), dense(keras, activation="softmax"))
    found, classifier = adopted(model, "none")
    with pytest.raises(GateError, match="does not reproduce the original model"):
        nets.check_parity(model, found, classifier, IMAGES, "0..1")
