"""Phase ``whole`` of transfer learning: fine-tuning of every layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from keensight.core.config import RunConfig
from keensight.core.records import History
from keensight.nets.runtime import framework
from keensight.nets.training import batches
from keensight.nets.training.fit import drive, plan, schedule
from keensight.nets.training.images import Caches, Images
from keensight.nets.training.job import Job, Plan, together
from keensight.nets.training.losses import objective_of

if TYPE_CHECKING:
    import keras


_HEAD_RATE = 0.1
"""Learning rate of the head, which is fitted already, as a fraction of that of the layers below it."""


def train_whole(model: keras.Model, images: Images, config: RunConfig, caches: Caches) -> History:
    """Phase ``whole``: fine-tune every layer, on augmented images."""
    rows = images.split.part("train")
    val_rows, val_targets = images.part("val")
    classes = int(model.output_shape[-1])
    numbers = dataclasses.replace(schedule(config.train, config.model.name, len(rows)), head_rate=_HEAD_RATE)
    steps = plan(config.train, config.model.name, rows, images.targets, classes)
    if caches.team is not None:
        wanted = Plan(config, numbers, "whole", classes, caches.before)
        with keeping_statistics(model):
            return together(
                caches.team, Job(model, rows, images.split.part("val"), images.targets, wanted),
                on_epoch=caches.on_epoch, progress=caches.progress,
            )  # fmt: skip
    with keeping_statistics(model):
        return drive(
            model,
            partial(batches.training, steps, images.pixels, config.augment, numbers.epochs),
            batches.plain(val_rows, val_targets, classes, images.pixels),
            config,
            numbers,
            objective=objective_of(steps.targets, config.train.class_weights),
            val_targets=val_targets,
            on_epoch=caches.on_epoch,
            progress=caches.progress,
            hooks=caches.hooks,
            phase="whole",
            hopeless=caches.hopeless,
            checkpoints=caches.checkpoints,
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
