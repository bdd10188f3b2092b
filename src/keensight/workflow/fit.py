"""Training a network on a split: ``ks.fit``, what it is fed with, and what a whole training shares with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from keensight.core.config import RETIRED, RunConfig
from keensight.core.config import settings as known_settings
from keensight.core.effort import EFFORTS
from keensight.core.options import FitOptions, with_options
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Epoch, History, Split
from keensight.core.registry import did_you_mean
from keensight.core.training_state import Checkpoints
from keensight.errors import InterruptedRun, UsageError
from keensight.workflow.features import Ties, caches, images_of
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source, configure, open

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keensight.core.decoded import Pixels
    from keensight.nets.training.augment import Augmentation
    from keensight.nets.training.hooks import Hooks
    from keensight.nets.training.job import Team
    from keensight.nets.training.transfer import Transferred


def batches(
    data: Source,
    split: Split,
    pixels: Pixels,
    *,
    epochs: int = 1,
    config: RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
) -> tf.data.Dataset:
    """Return the training set as tf.data: shuffled, augmented, a pure function of the seed.

    This is what :func:`fit` trains a network from scratch on; use it to look at augmented images, or for a training
    loop of your own.

    Args:
        data: The image set, or what :func:`open` takes.
        split: Its split.
        pixels: Its decoded images.
        epochs: How many epochs the dataset lasts.
        config: Settings; None: the defaults.
        settings: Changes to them, such as ``{"augment.rotate": 10}``.

    Returns:
        A dataset of (uint8 images (n, height, width, 3), one-hot (or 0/1) float32 targets (n, classes), float32
        sample weights (n,)), of known cardinality.

    Examples:
        >>> images, targets, weights = next(iter(ks.batches(data, split, pixels)))
        >>> images.shape[1:], targets.shape[1]
        (TensorShape([16, 16, 3]), 2)
    """
    from keensight.nets.training import batches
    from keensight.nets.training.fit import plan

    chosen, data = configure(config, settings), open(data)
    steps = plan(chosen.train, "cnn", split.part("train"), data.truth(), len(data.labels))
    return batches.training(steps, pixels, augmentation(chosen, data, split, pixels).config, epochs)


@with_options(FitOptions)
def fit(  # noqa: PLR0913 - public options, by keyword
    model: keras.Model,
    data: Source,
    split: Split,
    pixels: Pixels,
    *,
    config: RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    progress: Progress | None = None,
    **options: Unpack[FitOptions],
) -> History:
    """Train a Keras model in place and leave it with its best weights.

    Args:
        model: Any functional or sequential Keras model from uint8 images to logits, such as :func:`build` makes. The
            input of its last layer, ``logits`` or a dense one without activation, is the embedding.
        data: The image set, or what :func:`open` takes.
        split: Its split; only train and val are used.
        pixels: Its decoded images.
        config: Settings; None: the defaults.
        settings: Changes to them, such as ``{"augment.flip": "none"}``.
        callbacks: Keras callbacks, called as by ``keras.Model.fit``: ``on_train_begin`` and ``_end``,
            ``on_epoch_begin`` and ``_end``, ``on_train_batch_begin`` and ``_end``, with epochs counted from 0 through
            all phases; ``model.stop_training`` ends the training. Their ``model`` is ``model``, with the weights of
            the last finished epoch. Not called are ``on_test_*`` and ``on_predict_*``; what would set the learning
            rate or resume a training is refused. As ``model`` need not be compiled, callbacks that monitor an accuracy
            want ``mode="max"``.
        on_epoch: Called with each epoch's metrics, such as :func:`keensight.show.live_curves` draws.
        progress: Where to report.
        **options: Settings of the sections ``train`` and ``augment`` by their names, such as ``epochs=5``.

    Returns:
        The epochs; ``history`` and ``epoch`` are those of Keras' ``History``.

    Raises:
        UsageError: an option or a callback has no effect here; or the model does not fit the images, has another
            number of outputs than there are classes, or ends in a softmax or sigmoid.
        TrainingError: the loss became NaN or infinite.
        InterruptedRun: Ctrl-C, or a notebook's stop button; after its first epoch, the model has its best weights.

    Examples:
        >>> network = ks.build(data, pixels.spec, "cnn", width=8)
        >>> history = ks.fit(network, data, split, pixels, epochs=2, batch_size=16, flip="none")
        >>> history.epoch, len(history.history["val_loss"])
        ([0, 1], 2)
    """
    from keensight.nets.embeddings import embedding
    from keensight.nets.models.backbones import ARCHITECTURES
    from keensight.nets.training.fit import TrainingInterrupted
    from keensight.nets.training.hooks import Hooks
    from keensight.nets.training.trainable import check_trainable

    _check_options({**(settings or {}), **options})
    chosen = configure(config, settings, **options)
    data = open(data)
    check_trainable(model, data.labels.names, pixels.take(split.part("train")[:_LOOKED_AT]))
    if embedding(model) is None:
        shown(progress).say(
            f"{model.name} does not end in a dense layer on a vector: it has no embeddings, so out-of-distribution "
            f"detection and ks.enrol are not available"
        )
    if chosen.model.name == "auto":
        chosen = chosen.with_values({"model.name": model.name if model.name in ARCHITECTURES else "cnn"})
    if chosen.train.precision == "auto":
        chosen = chosen.with_values({"train.precision": "float32"})
    chosen = dataclasses.replace(chosen, augment=augmentation(chosen, data, split, pixels).config)
    try:
        hooks = Hooks(callbacks, model)
        hooks.begin()
        done = run_fit(model, data, split, pixels, chosen, on_epoch=on_epoch, hooks=hooks, progress=shown(progress))
        hooks.end()
        return done.history
    except TrainingInterrupted as stop:
        last, best = len(stop.history.epochs), stop.history.best_epoch
        raise InterruptedRun(
            f"stopped by the user after epoch {last}; the model has the weights of epoch {best}, the best so far",
            "use the model as it is, or call ks.fit again",
        ) from None


_LOOKED_AT = 8
_ELSEWHERE = {
    "data": "it belongs to ks.open, ks.image_spec and ks.split",
    "decision": "it belongs to ks.calibrate",
    "model.width": "it belongs to ks.build",
    "model.dropout": "it belongs to ks.build",
    "train.threads": "it belongs to ks.train",
    "train.engine": "it belongs to ks.train",
    "train.label_check": "it belongs to ks.train; ks.check_labels finds label errors",
    "train.tensorboard": "it belongs to ks.train",
    "train.checkpoint_minutes": "it belongs to ks.train",
    "train.evaluate_on": "it belongs to ks.train",
}
"""Settings, or whole sections, that :func:`fit` does not use, and where they belong."""


def _check_options(given: Mapping[str, Any]) -> None:
    """Refuse options that would be ignored."""
    dotted = {setting.option: setting.dotted for setting in known_settings()}
    dotted |= {name.partition(".")[2]: name for name in RETIRED}
    for name, value in given.items():
        setting = dotted.get(name, name)
        place = _ELSEWHERE.get(setting) or _ELSEWHERE.get(setting.partition(".")[0])
        if place and value is not None:
            raise UsageError(f"{name} has no effect on ks.fit", place)
        if "." not in setting:
            raise UsageError(f"ks.fit has no option {name!r}", did_you_mean(name, list(FitOptions.__annotations__)))


def run_fit(  # noqa: PLR0913 - callbacks by keyword
    model: keras.Model,
    dataset: Dataset,
    split: Split,
    pixels: Pixels,
    config: RunConfig,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    tensorboard: Path | None = None,
    hooks: Hooks | None = None,
    checkpoints: Checkpoints | None = None,
    team: Team | None = None,
    refit: bool = False,
    tied: Ties = (),
    progress: Progress,
) -> Transferred:
    """Train from scratch or by transfer learning, depending on the architecture; no ``auto`` is left in ``config``.

    With a ``team``, worker processes make the training steps. A cross-validation keeps what is ``tied`` together.
    """
    from keensight.nets.training.fit import fit as train_from_scratch
    from keensight.nets.training.job import fit_together
    from keensight.nets.training.transfer import Transferred, transfer

    if transfers(config):
        images = images_of(dataset, split, pixels, tied)
        shop = dataclasses.replace(caches(progress, on_epoch, hooks), checkpoints=checkpoints, team=team)
        return transfer(model, images, config, shop, refit=refit)
    if team is not None:
        history = fit_together(model, dataset.truth(), split, config, team, on_epoch=on_epoch, progress=progress)
        return Transferred(history, None)
    history = train_from_scratch(
        model, pixels, dataset.truth(), split, config,
        on_epoch=on_epoch, tensorboard=tensorboard, hooks=hooks, progress=progress, checkpoints=checkpoints,
    )  # fmt: skip
    return Transferred(history, None)


def transfers(config: RunConfig) -> bool:
    """Whether training with these settings starts from pretrained weights."""
    from keensight.nets.models.backbones import ARCHITECTURES

    known = config.model.name in ARCHITECTURES and ARCHITECTURES[config.model.name].pretrained
    return known and config.model.weights != "none"


def head_only(config: RunConfig) -> bool:
    """Whether a training with these settings fits nothing but the last layer of a pretrained network."""
    return transfers(config) and not EFFORTS[config.train.effort].tunes


def augmentation(config: RunConfig, dataset: Dataset, split: Split, pixels: Pixels) -> Augmentation:
    """Augmentation settings with every ``auto`` resolved by the training images, and the reasons."""
    from keensight.data.flip_evidence import mirror_evidence
    from keensight.nets.models.backbones import ARCHITECTURES
    from keensight.nets.training.augment import resolve

    given = config.augment
    own = ARCHITECTURES["cnn" if config.model.name == "auto" else config.model.name]
    given = dataclasses.replace(
        given,
        crop=own.crop if given.crop is None else given.crop,
        erase=own.erase if given.erase is None else given.erase,
    )
    if head_only(config):
        given = dataclasses.replace(given, enabled=False)  # each image is used once, unaugmented
    asked = given.enabled and given.flip == "auto"
    evidence = mirror_evidence(pixels, split.part("train"), dataset.combinations()) if asked else None
    return resolve(given, dataset.labels, grey_share(pixels, split), evidence)


def grey_share(pixels: Pixels, split: Split) -> float:
    """Fraction of images without color among at most 64 training images, 0 to 1."""
    rows = split.part("train")
    images = pixels.take(rows[:: max(1, len(rows) // 64)][:64]).astype(np.int16)
    spread = (images.max(axis=-1) - images.min(axis=-1)).mean(axis=(1, 2))
    return float((spread < _GRAY).mean())


_GRAY = 4  # levels between the channels: one or two in gray JPEG photographs
