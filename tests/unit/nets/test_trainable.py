"""Networks that fit would train wrongly in silence, or that would end in an error of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keensight.core.records import ImageSpec, LabelSet
from keensight.errors import UsageError
from keensight.nets.classifier import Classifier
from keensight.nets.embeddings import embedding
from keensight.nets.runtime import framework
from keensight.nets.training.trainable import check_trainable

keras, tf = framework()
layers = keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
LABELS = ("cat", "dog", "owl")


def net(*end: Any, shape: tuple[int | None, ...] = (8, 8, 3)) -> Any:
    return keras.Sequential([keras.Input(shape), layers.Rescaling(1 / 255), layers.GlobalAveragePooling2D(), *end])


def nested(inner: Any) -> Any:
    image = keras.Input((8, 8, 3))
    return keras.Model(image, inner(image))


def two_outputs() -> Any:
    image = keras.Input((8, 8, 3))
    flat = layers.Flatten()(image)
    return keras.Model(image, [layers.Dense(3)(flat), layers.Dense(3)(flat)])


class Subclassed(keras.Model):  # type: ignore[misc, name-defined]
    def call(self, images: Any) -> Any:
        return images


SOFTMAX, SIGMOID = "ends in a softmax, but training needs logits", "ends in a sigmoid"
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a softmax": (lambda: net(layers.Dense(3, activation="softmax")), SOFTMAX),
    "a softmax by itself": (lambda: net(layers.Dense(3), layers.Softmax()), SOFTMAX),
    "a softmax as an activation": (lambda: net(layers.Dense(3), layers.Activation("softmax")), SOFTMAX),
    "a softmax in a nested model": (lambda: nested(net(layers.Dense(3, activation="softmax"))), SOFTMAX),
    "a softmax in a lambda": (lambda: net(layers.Dense(3), layers.Lambda(tf.nn.softmax)), SOFTMAX),
    "a sigmoid": (lambda: net(layers.Dense(3, activation="sigmoid")), SIGMOID),
    "a sigmoid in a nested model": (lambda: nested(net(layers.Dense(3, activation="sigmoid"))), SIGMOID),
    "too many outputs": (lambda: net(layers.Dense(5)), r"5 outputs, but there are 3 classes \(cat, dog, owl\)"),
    "too few outputs": (lambda: net(layers.Dense(1)), "1 outputs, but there are 3 classes"),
    "maps": (lambda: keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 1)]), r"shape \(8, 8, 3\), but"),
    "another size": (lambda: net(layers.Dense(3), shape=(9, 9, 3)), r"shape \(9, 9, 3\), but these have \(8, 8, 3\)"),
    "grey": (lambda: net(layers.Dense(3), shape=(8, 8, 1)), r"shape \(8, 8, 1\)"),
    "two outputs": (two_outputs, "1 inputs and 2 outputs"),
    "a subclass": (Subclassed, "subclassed or was never built"),
    "never built": (lambda: keras.Sequential([layers.Flatten(), layers.Dense(3)]), "subclassed or was never built"),
    "no model": (lambda: "cnn", "expected a keras.Model, not a str"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_trained_wrongly_is_refused_with_a_way_out(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(UsageError, match=message) as refused:
        check_trainable(make(), LABELS, IMAGES)
    assert refused.value.hint


@pytest.mark.parametrize(
    "make",
    [
        lambda: net(layers.Dense(3, name="logits")),
        lambda: net(layers.Dense(3)),
        lambda: net(layers.Dense(3, kernel_initializer="zeros")),
        lambda: net(layers.Dense(3), shape=(None, None, 3)),
        lambda: nested(net(layers.Dense(3))),
        lambda: keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 1), layers.GlobalAveragePooling2D()]),
    ],
)
def test_what_gives_logits_is_trained(make: Callable[[], Any]) -> None:
    check_trainable(make(), LABELS, IMAGES)


def test_the_last_dense_layer_is_found_whatever_its_name() -> None:
    named, plain = net(layers.Dense(3, name="logits")), net(layers.Dropout(0.5), layers.Dense(3, use_bias=False))
    plain.layers[-1].set_weights(named.layers[-1].get_weights()[:1])
    given = [Classifier(one, LabelSet(LABELS), ImageSpec(8, 8, "stretch")) for one in (named, plain)]
    assert given[1].embeds and given[1].embedding_size == 3
    vectors = [one.embed_array(IMAGES) for one in given]
    np.testing.assert_array_equal(*vectors)
    for one in given:
        answers = one.answer_vectors(vectors[0])
        np.testing.assert_allclose(answers.probabilities, one.predict_array(IMAGES), atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nested(net(layers.Dense(3))),
        lambda: net(layers.Dense(3, activation="relu")),
        lambda: keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 1), layers.GlobalAveragePooling2D()]),
    ],
)
def test_a_network_without_a_last_dense_layer_has_no_embedding(make: Callable[[], Any]) -> None:
    assert embedding(make()) is None
