"""Phases ``top`` and ``whole`` of transfer learning: fine-tuning."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from keensight.core.config import RunConfig
from keensight.core.records import History
from keensight.nets.litert import freeze
from keensight.nets.runtime import framework
from keensight.nets.training import batches
from keensight.nets.training.activations import compute_views, how_many
from keensight.nets.training.features import run
from keensight.nets.training.fit import drive, fit, plan, schedule
from keensight.nets.training.images import Caches, Images
from keensight.nets.training.losses import objective_of
from keensight.nets.training.split_model import Cut, cuts, halves

if TYPE_CHECKING:
    import keras


_WHOLE_RATE = 0.3
"""Peak rate of the last phase, as a fraction of that of the phase before."""
_WHOLE_EPOCHS, _WHOLE_LEAST = 0.6, 3
"""Epochs of the last phase, as a fraction of those of the phase before, and at least (where that has as many)."""


def train_top(model: keras.Model, images: Images, config: RunConfig, caches: Caches) -> History:
    """Phase ``top``: fine-tune the upper layers on activations of the frozen lower layers, each computed once."""
    rows = images.split.part("train")
    val_rows, val_targets = images.part("val")
    cut = freezing_point(model, config.train.frozen)
    lower, upper = halves(model, cut.layer)
    net = freeze(lower, caches.networks)
    count = how_many(config.train.views, len(rows), cut.values)
    views = compute_views(net, images.pixels, rows, config, count, caches.progress)
    with caches.progress.task("computing activations", len(val_rows)) as task:
        val = run(net, images.pixels, val_rows, task, np.float16)
    classes = int(model.output_shape[-1])
    numbers = schedule(config.train, config.model.name, len(rows))
    steps = plan(config.train, config.model.name, rows, images.targets, classes)
    with keeping_statistics(upper):
        return drive(
            upper,
            batches.activations(steps, views, numbers.epochs),
            batches.stored(val, val_targets, classes),
            config,
            numbers,
            objective=objective_of(steps.targets, config.train.class_weights),
            val_targets=val_targets,
            on_epoch=caches.on_epoch,
            progress=caches.progress,
            hooks=caches.hooks,
            phase="top",
            hopeless=caches.hopeless,
        )


def freezing_point(model: keras.Model, share: float) -> Cut:
    """The last cut below which at most the fraction ``share`` of the network's computation is done."""
    places = cuts(model)
    fitting = [place for place in places if place.below <= share]
    return fitting[-1] if fitting else places[0]


def train_whole(model: keras.Model, images: Images, config: RunConfig, caches: Caches) -> History:
    """Phase ``whole``: fine-tune every layer, on augmented images, at a lower learning rate."""
    numbers = schedule(config.train, config.model.name, len(images.split.train))
    epochs = max(min(_WHOLE_LEAST, numbers.epochs), round(numbers.epochs * _WHOLE_EPOCHS))
    train = dataclasses.replace(config.train, learning_rate=numbers.learning_rate * _WHOLE_RATE, epochs=epochs)
    with keeping_statistics(model):
        return fit(
            model,
            images.pixels,
            images.targets,
            images.split,
            dataclasses.replace(config, train=train),
            on_epoch=caches.on_epoch,
            progress=caches.progress,
            hooks=caches.hooks,
            phase="whole",
            hopeless=caches.hopeless,
        )


@contextmanager
def keeping_statistics(model: keras.Model) -> Iterator[None]:
    """Batch normalization as it was pretrained: neither its statistics nor its scales change."""
    keras, _ = framework()
    frozen = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
    for layer in frozen:
        layer.trainable = False
    try:
        yield
    finally:
        for layer in frozen:
            layer.trainable = True
