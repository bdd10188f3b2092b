"""Transfer learning in up to three phases; a phase that does worse is discarded, or left early.

``head``: a logistic head on frozen features, regularized by cross-validation. ``top``: fine-tuning of the upper layers,
on activations of the lower layers that are computed once. ``whole``: fine-tuning of every layer, on augmented images.
Batch normalization always keeps its pretrained statistics: a few thousand images give no better ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.config import RunConfig
from keensight.core.effort import EFFORTS
from keensight.core.records import Epoch, History
from keensight.nets.training import batches
from keensight.nets.training.fit import TrainingInterrupted, settled
from keensight.nets.training.head import adjust, head_inputs, train_head
from keensight.nets.training.images import Caches, Images, features
from keensight.nets.training.linear_head import fold
from keensight.nets.training.tuning import train_top, train_whole
from keensight.nets.training.verdict import falling, judge, solved

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Training and validation images, predicted by heads that were fitted without them (5-fold cross-validation)."""

    rows: NDArray[np.int64]
    """Dataset indices, shape (n,)."""
    logits: NDArray[np.float32]
    """Shape (n, classes)."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """The result of :func:`transfer`."""

    history: History
    """The epochs of all phases; the model has the weights of ``best_epoch``."""
    held_out: HeldOut | None
    """Where the head was fitted to the validation images too: what to calibrate on in their place."""


def transfer(
    model: keras.Model, images: Images, config: RunConfig, caches: Caches, *, refit: bool = False
) -> Transferred:
    """Train a pretrained network in place, in the phases of ``train.effort``.

    Args:
        model: From ``build``: uint8 images to logits (n, classes), with ``features`` below ``logits``.
        images: Images and split; the test set is not touched.
        config: Settings with no ``auto`` left.
        caches: Caches and progress.
        refit: If no layer below the head is trained in the end, fit the head to the validation images too: its
            regularization is cross-validated and leaves them nothing else to decide.

    Raises:
        TrainingError: the loss became NaN or infinite.
        TrainingInterrupted: the user interrupted, after the head; the model has the best weights so far.
    """
    phases = EFFORTS[config.train.effort].phases[1:]
    inputs = head_inputs(model, images, config, caches)
    chosen = inputs.chosen(caches.progress)
    history = train_head(model, inputs, chosen, caches, everything=refit and not phases)
    if phases:
        history = _tuned(model, history, images, config, caches)
    if history.tuned:
        return Transferred(history, None)
    if refit and phases:
        fold(model, inputs.head(chosen.strength, everything=True))
    offsets = adjust(model, inputs, chosen, config, caches)
    return Transferred(history, HeldOut(inputs.rows, chosen.logits - offsets) if refit else None)


def _tuned(model: keras.Model, history: History, images: Images, config: RunConfig, caches: Caches) -> History:
    """The phases after the head, as far as they pay."""
    tune = {"top": train_top, "whole": train_whole}
    val = Examination.by_head(model, images, caches)
    for phase in EFFORTS[config.train.effort].phases[1:]:
        if _stopped(caches):
            return dataclasses.replace(history, stopped="callback")
        if solved(history.epochs[history.best_epoch - 1].reached, len(images.split.val)):
            caches.progress.say(f"{phase}: skipped, too few validation images are wrong to show an improvement")
            break
        history, val = _kept_if_better(model, history, partial(tune[phase], model, images, config), val, caches)
    return history


@dataclass(frozen=True)
class Examination:
    """A model's logits of the validation images, (n, classes), and what these images are."""

    logits: NDArray[Any]
    targets: NDArray[Any]
    again: Callable[[], NDArray[Any]]
    """Gives the logits of the model as it is now."""

    @classmethod
    def by_head(cls, model: keras.Model, images: Images, caches: Caches) -> Examination:
        """After phase ``head``: from the features that are known."""
        rows, targets = images.part("val")
        kernel, bias = model.get_layer("logits").get_weights()
        plain = batches.plain(rows, targets, len(bias), images.pixels)
        found = features(model, images, rows, caches) @ kernel + bias
        return cls(found, targets, lambda: model.predict(plain, verbose=0))


def _stopped(caches: Caches) -> bool:
    """Whether a callback of the user's has ended the training."""
    return caches.hooks is not None and caches.hooks.stops


def _kept_if_better(
    model: keras.Model,
    before: History,
    phase: Callable[[Caches], History],
    val: Examination,
    caches: Caches,
) -> tuple[History, Examination]:
    """Run one more phase; if it did worse on the validation set, restore the old weights."""
    weights, offset = model.get_weights(), len(before.epochs)
    best = before.epochs[before.best_epoch - 1]

    def counted(epoch: Epoch) -> Epoch:
        return dataclasses.replace(epoch, epoch=epoch.epoch + offset)

    try:
        after = phase(
            dataclasses.replace(
                caches,
                on_epoch=lambda epoch: caches.on_epoch(counted(epoch)),
                hopeless=lambda reached: falling(reached, best.reached, len(val.targets)),
            )
        )
    except TrainingInterrupted as stop:
        after = stop.history
    except KeyboardInterrupt:  # before the phase's first epoch was finished
        model.set_weights(weights)
        raise TrainingInterrupted(dataclasses.replace(before, stopped="interrupted")) from None
    reached = after.epochs[after.best_epoch - 1]
    tuned = dataclasses.replace(val, logits=val.again())
    verdict = judge(val.logits, tuned.logits, val.targets)
    if verdict.kept:
        val = tuned
    else:
        model.set_weights(weights)
    caches.progress.say(
        f"{reached.phase}: {'kept' if verdict.kept else 'discarded'}, validation {reached.reached:.1%}, "
        f"{best.reached:.1%} before"
        + ("" if verdict.certain else f" (not certain: {len(val.targets):,} images are too few)")
    )
    epochs = (*before.epochs, *map(counted, after.epochs))
    best_epoch = after.best_epoch + offset if verdict.kept else before.best_epoch
    return settled(History(epochs, best_epoch, after.stopped)), val
