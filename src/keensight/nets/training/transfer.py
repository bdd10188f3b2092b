"""Transfer learning in up to two phases; the second is discarded, or left early, where it does certainly worse.

``head``: a linear head on frozen features, regularized by cross-validation. ``whole``: fine-tuning of every layer, on
augmented images; the weights are then averaged with those before. Batch normalization always keeps its pretrained
statistics: a few thousand images give no better ones.
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
from keensight.nets.runtime import framework, full_float32
from keensight.nets.training import batches
from keensight.nets.training.fit import TrainingInterrupted, settled
from keensight.nets.training.head import adjust, head_inputs, train_head
from keensight.nets.training.images import Caches, Images, features
from keensight.nets.training.job import Before
from keensight.nets.training.linear_head import fold
from keensight.nets.training.losses import objective_of
from keensight.nets.training.tuning import train_whole
from keensight.nets.training.verdict import hopeless, judge, solved

if TYPE_CHECKING:
    import keras


_FRACTIONS = (0.75, 1.0, 0.5)
"""Fractions of the fine-tuned weights in the average with those before; the first one, unless another is certainly
better."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Training and validation images, predicted by heads that were fitted without them (5-fold cross-validation)."""

    rows: NDArray[np.int64]
    """Dataset indices, shape (n,)."""
    plain: NDArray[np.float32]
    """Logits before the adjustment to the class frequencies, (n, classes)."""
    offsets: NDArray[np.float32]
    """What that subtracts, (classes,)."""

    @property
    def logits(self) -> NDArray[np.float32]:
        """Logits as the model gives them, (n, classes)."""
        return self.plain - self.offsets


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
    tunes = EFFORTS[config.train.effort].tunes
    inputs = head_inputs(model, images, config, caches)
    chosen = inputs.chosen(caches.progress)
    # A discriminant analysis has larger weights: while the features change, its logits run away.
    alone = dataclasses.replace(chosen, discriminant=0.0)
    history = train_head(model, inputs, alone if tunes else chosen, caches, everything=refit and not tunes)
    if tunes:
        history = _tuned(model, history, images, config, caches)
    if history.tuned:
        return Transferred(history, None)
    if tunes:
        fold(model, inputs.head(chosen, everything=refit))
    offsets = adjust(model, inputs, chosen, config, caches)
    return Transferred(history, HeldOut(inputs.rows, chosen.logits, offsets) if refit else None)


def _tuned(model: keras.Model, history: History, images: Images, config: RunConfig, caches: Caches) -> History:
    """Phase ``whole``, if it can pay."""
    if caches.hooks is not None and caches.hooks.stops:
        return dataclasses.replace(history, stopped="callback")
    if solved(history.epochs[-1].reached, len(images.split.val)):
        caches.progress.say("whole: skipped, too few validation images are wrong to show an improvement")
        return history
    val = Examination.by_head(model, images, caches)
    return _kept_unless_worse(model, history, partial(train_whole, model, images, config), val, caches)


def reached(logits: NDArray[Any], targets: NDArray[Any]) -> float:
    """Accuracy of logits (n, classes); of several labels mean average precision."""
    ranking = objective_of(targets).ranking(logits, targets)
    return float((logits.argmax(axis=1) == targets).mean()) if ranking is None else ranking


@dataclass(frozen=True)
class Examination:
    """A model's logits of the validation images, (n, classes), and what these images are."""

    logits: NDArray[Any]
    targets: NDArray[Any]
    again: Callable[[], NDArray[Any]]
    """Gives the logits of the model as it is now."""

    @property
    def reached(self) -> float:
        """Accuracy; of several labels mean average precision."""
        return reached(self.logits, self.targets)

    @classmethod
    def by_head(cls, model: keras.Model, images: Images, caches: Caches) -> Examination:
        """After phase ``head``: from the features that are known."""
        rows, targets = images.part("val")
        kernel, bias = model.get_layer("logits").get_weights()
        plain = batches.plain(rows, targets, len(bias), images.pixels)
        found = features(model, images, rows, caches) @ kernel + bias

        def again() -> NDArray[Any]:
            if framework()[0].backend.backend() == "tensorflow":
                model.jit_compile = False  # as in training
            with full_float32():  # as the features are
                return np.asarray(model.predict(plain, verbose=0))

        return cls(found, targets, again)


def _averaged(model: keras.Model, before: list[NDArray[Any]], val: Examination) -> tuple[Examination, float]:
    """Average fine-tuned weights with those before (WiSE-FT, Wortsman et al. 2022); the model has the result.

    Returns:
        What the result reaches, and the fraction of the fine-tuned weights.
    """
    after = model.get_weights()

    def tried(fraction: float) -> Examination:
        model.set_weights([old + fraction * (new - old) for old, new in zip(before, after, strict=True)])
        return dataclasses.replace(val, logits=val.again())

    chosen, *others = _FRACTIONS
    found = tried(chosen)
    for fraction in others:
        other = tried(fraction)
        verdict = judge(found.logits, other.logits, val.targets)
        if verdict.kept and verdict.certain:
            found, chosen = other, fraction
    return tried(chosen), chosen


def _kept_unless_worse(
    model: keras.Model,
    before: History,
    phase: Callable[[Caches], History],
    val: Examination,
    caches: Caches,
) -> History:
    """Run one more phase; if it did certainly worse on the validation set, restore the old weights.

    On the 13 rows of fine-tuning in benchmarks/notes.md the average with the old weights had a higher test accuracy,
    also where the validation images said otherwise.
    """
    weights, offset = model.get_weights(), len(before.epochs)
    best = before.epochs[before.best_epoch - 1]

    def counted(epoch: Epoch) -> Epoch:
        return dataclasses.replace(epoch, epoch=epoch.epoch + offset)

    try:
        after = phase(
            dataclasses.replace(
                caches,
                on_epoch=lambda epoch: caches.on_epoch(counted(epoch)),
                hopeless=lambda reached, epochs: hopeless(reached, epochs, best.reached, len(val.targets)),
                before=Before(best.reached, len(val.targets)),
            )
        )
    except TrainingInterrupted as stop:
        after = stop.history
    except KeyboardInterrupt:  # before the phase's first epoch was finished
        model.set_weights(weights)
        raise TrainingInterrupted(dataclasses.replace(before, stopped="interrupted")) from None
    tuned, fraction = _averaged(model, weights, val)
    verdict = judge(val.logits, tuned.logits, val.targets)
    kept = verdict.kept or not verdict.certain
    caches.progress.say(
        f"{after.epochs[0].phase}: {'kept' if kept else 'discarded'}, validation {tuned.reached:.1%}, "
        f"{val.reached:.1%} before"
        + ("" if verdict.certain else f" (not certain: {len(val.targets):,} images are too few)")
    )
    if kept:
        caches.progress.detail(f"weights: {fraction:.0%} fine-tuned, {1 - fraction:.0%} as they were before")
    else:
        model.set_weights(weights)
    epochs = (*before.epochs, *map(counted, after.epochs))
    best_epoch = after.best_epoch + offset if kept else before.best_epoch
    return settled(History(epochs, best_epoch, after.stopped))
