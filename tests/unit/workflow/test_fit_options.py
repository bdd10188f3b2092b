"""ks.fit: options that it would ignore, and networks of the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keensight as ks
from keensight.core.progress import Silent
from keensight.errors import UsageError

pytestmark = pytest.mark.slow


class Told(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def parts() -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.integers(0, 90, (40, 8, 8, 3), dtype=np.uint8)
    images[labels == 1] += 120
    data = ks.from_arrays(images, np.array(["dark", "light"])[labels])
    return data, ks.split(data), ks.prepare(data, ks.image_spec(data, 8))


def _network(*end: Any) -> Any:
    keras, _ = ks.framework()
    return keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3), *end], name="mine"
    )


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"epoch": 1}, "ks.fit has no option 'epoch'", "did you mean 'epochs'"),
        ({"group": "patient"}, "group has no effect on ks.fit", "ks.split"),
        ({"image_size": 32}, "image_size has no effect", "ks.image_spec"),
        ({"label": "x"}, "label has no effect", "ks.open"),
        ({"target_precision": 0.9}, "target_precision has no effect", "ks.calibrate"),
        ({"settings": {"data.val_share": 0.3}}, "data.val_share has no effect", "ks.split"),
        ({"settings": {"model.width": 8}}, "model.width has no effect", "ks.build"),
        ({"settings": {"train.tensorboard": True}}, "train.tensorboard has no effect", "ks.train"),
        ({"settings": {"train.epoch": 1}}, "no setting 'train.epoch'", "did you mean 'train.epochs'"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(parts: Any, options: Any, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        ks.fit(object(), *parts, **options)
    assert hint in str(refused.value.hint)


def test_a_second_softmax_is_refused_before_anything_is_trained(parts: Any) -> None:
    keras, _ = ks.framework()
    model = _network(keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, activation="softmax"))
    before = model.get_weights()
    with pytest.raises(UsageError, match="mine ends in a softmax"):
        ks.fit(model, *parts, epochs=1)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_a_network_whose_last_layer_has_another_name_keeps_its_embeddings(parts: Any) -> None:
    keras, _ = ks.framework()
    model, told = _network(keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, name="classes")), Told()
    ks.fit(model, *parts, epochs=1, seed=1, progress=told)
    assert not told.said
    data, split, pixels = parts
    classifier = ks.calibrate(ks.Classifier(model, data.labels, pixels.spec), data, split, pixels)
    assert classifier.embedding_size == 4 and classifier.subspace is not None


def test_a_network_without_a_last_dense_layer_says_what_it_will_lack(parts: Any) -> None:
    keras, _ = ks.framework()
    model, told = _network(keras.layers.Conv2D(2, 1), keras.layers.GlobalAveragePooling2D()), Told()
    ks.fit(model, *parts, epochs=1, progress=told)
    assert any("it has no embeddings" in message for message in told.said)
