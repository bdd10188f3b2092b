"""Transfer learning in up to three phases; a phase that does worse is discarded, or left early.

``head``: a logistic head on frozen features, regularized by cross-validation. ``top``: fine-tuning of the upper layers,
on activations of the lower layers that are computed once. ``whole``: fine-tuning of every layer, on augmented images.
Batch normalization always keeps its pretrained statistics: a few thousand images give no better ones.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core.config import RunConfig
from keensight.core.decoded import IndexedImages
from keensight.core.effort import EFFORTS
from keensight.core.files import sha256
from keensight.core.progress import Progress
from keensight.core.records import Epoch, History, Split
from keensight.nets.litert import digest, freeze
from keensight.nets.runtime import framework
from keensight.nets.training import batches
from keensight.nets.training.activations import compute_views, how_many
from keensight.nets.training.features import Known, extract, run
from keensight.nets.training.fit import TrainingInterrupted, class_weights, drive, fit, plan, schedule, settled
from keensight.nets.training.linear_head import Chosen, Head, choose_strength, fit_head, fold, score
from keensight.nets.training.logit_adjustment import choose_adjustment
from keensight.nets.training.losses import objective_of
from keensight.nets.training.split_model import Cut, cuts, halves
from keensight.nets.training.verdict import falling, judge, solved

if TYPE_CHECKING:
    import keras

    from keensight.nets.training.hooks import Hooks

_WHOLE_RATE = 0.3
"""Peak rate of the last phase, as a fraction of that of the phase before."""
_WHOLE_EPOCHS, _WHOLE_LEAST = 0.6, 3
"""Epochs of the last phase, as a fraction of those of the phase before, and at least (where that has as many)."""


@dataclass(frozen=True)
class Images:
    """The images for transfer learning."""

    pixels: IndexedImages
    targets: NDArray[Any]
    """Class number of every sample of the dataset, shape (n,), or its labels as 0 and 1, (n, classes)."""
    digests: Sequence[str]
    """Digest of the pixels of every sample."""
    units: NDArray[np.int64]
    """Number of every sample's unit, shape (n,): its images are never on both sides of a cross-validation."""
    split: Split

    def part(self, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Dataset indices and targets of a split."""
        rows = self.split.part(name)  # type: ignore[arg-type]
        return rows, self.targets[rows]

    def mirrored(self) -> Images:
        """The mirrored images."""
        names = [sha256(f"{digest} mirrored".encode()) for digest in self.digests]
        return dataclasses.replace(self, pixels=_Mirrored(self.pixels), digests=names)


@dataclass(frozen=True)
class _Mirrored:
    images: IndexedImages

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.images.shape

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self.images.take(indices)[:, :, ::-1])


@dataclass(frozen=True)
class Caches:
    """Caches of transfer learning, and where it reports."""

    known: Callable[[str, int], Known]
    """Network digest and length of a row to the cached features."""
    networks: Path | None
    """Folder of converted networks."""
    on_epoch: Callable[[Epoch], None]
    progress: Progress
    hooks: Hooks | None = None
    """The user's callbacks."""
    hopeless: Callable[[list[float]], bool] = lambda reached: False
    """Whether to leave a phase, given the accuracy (or mAP) reached after each epoch so far."""


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
    inputs = _head_inputs(model, images, config, caches)
    chosen = inputs.chosen(caches.progress)
    history = train_head(model, inputs, chosen, caches, everything=refit and not phases)
    if phases:
        history = _tuned(model, history, images, config, caches)
    if history.tuned:
        return Transferred(history, None)
    if refit and phases:
        fold(model, inputs.head(chosen.strength, everything=True))
    offsets = _adjust(model, inputs, chosen, config, caches)
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


def features_of(model: keras.Model) -> keras.Model:
    """The network up to ``features``, sharing its layers."""
    keras, _ = framework()
    return keras.Model(model.input, model.get_layer("features").output, name="features")


@dataclass(frozen=True, slots=True, eq=False)
class HeadInputs:
    """What the head is fitted to: training, then validation images."""

    rows: NDArray[np.int64]
    """Dataset indices, shape (n,)."""
    features: NDArray[np.float32]
    targets: NDArray[Any]
    units: NDArray[np.int64]
    weights: NDArray[np.float32]
    train: int
    """Number of training images."""
    classes: int
    levels: Sequence[int]
    """Number of features from each map of the network."""

    def chosen(self, progress: Progress) -> Chosen:
        """The regularization, by cross-validation on all images."""
        return choose_strength(
            self.features,
            self.targets,
            self.classes,
            units=self.units,
            levels=self.levels,
            weights=self.weights,
            progress=progress,
        )

    def head(self, strength: float, *, everything: bool) -> Head:
        """The head, fitted to the training images or to all."""
        some = slice(None) if everything else slice(self.train)
        return fit_head(
            self.features[some],
            self.targets[some],
            self.classes,
            strength,
            levels=self.levels,
            weights=self.weights[some],
        )


def _head_inputs(model: keras.Model, images: Images, config: RunConfig, caches: Caches) -> HeadInputs:
    train, val = images.split.part("train"), images.split.part("val")
    rows = np.concatenate([train, val])
    targets, classes = images.targets[rows], int(model.output_shape[-1])
    balanced = config.train.class_weights
    return HeadInputs(
        rows=rows,
        features=features(model, images, rows, caches),
        targets=targets,
        units=images.units[rows],
        weights=objective_of(targets, balanced).weigh(targets, class_weights(targets, classes, balanced)),
        train=len(train),
        classes=classes,
        levels=levels_of(model),
    )


def train_head(model: keras.Model, inputs: HeadInputs, chosen: Chosen, caches: Caches, *, everything: bool) -> History:
    """Phase ``head``: a logistic-regression head on features, each computed once, folded into the last layer.

    With ``everything`` its validation scores are those of the cross-validation, over all images.
    """
    started = time.perf_counter()
    head = inputs.head(chosen.strength, everything=everything)
    fold(model, head)
    seconds = time.perf_counter() - started
    part = inputs.train
    known, targets = (
        (inputs.features, inputs.targets) if everything else (inputs.features[:part], inputs.targets[:part])
    )
    unseen = inputs.targets if everything else inputs.targets[part:]
    logits = chosen.logits if everything else head.logits(inputs.features[part:])
    ranking = objective_of(inputs.targets).ranking(logits, unseen)
    epoch = Epoch(1, "head", 1, seconds, 0.0, *score(head.logits(known), targets), *score(logits, unseen), ranking)
    metric = "accuracy" if ranking is None else "mAP"
    how = "cross-validated" if everything else "validation"
    caches.progress.say(f"classifier head fitted: {how} {metric} {epoch.reached:.1%}")
    caches.progress.detail(f"classifier head: regularization C = {chosen.strength:.3g}")
    caches.on_epoch(epoch)
    if caches.hooks is not None:
        caches.hooks.epoch_end(epoch)
    return History((epoch,), 1)


def _adjust(
    model: keras.Model, inputs: HeadInputs, chosen: Chosen, config: RunConfig, caches: Caches
) -> NDArray[np.float32]:
    """Adjust the head's bias to the class frequencies if that helps; what was subtracted, (classes,)."""
    train = config.train
    if inputs.targets.ndim == 2 or (train.class_weights and train.logit_adjustment is None):
        return np.zeros(inputs.classes, np.float32)
    found = choose_adjustment(chosen.logits, inputs.targets, inputs.units, strength=train.logit_adjustment)
    if found.strength:
        layer = model.get_layer("logits")
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, bias - found.offsets])
        (f1, better), (accuracy, changed) = found.macro_f1, found.accuracy
        caches.progress.say(
            f"rare classes: logit adjustment {found.strength:g}, by cross-validation: macro F1 {f1:.1%} without, "
            f"{better:.1%} with; accuracy {accuracy:.1%} without, {changed:.1%} with"
        )
    return found.offsets


def features(model: keras.Model, images: Images, rows: NDArray[np.int64], caches: Caches) -> NDArray[np.float32]:
    """Features of samples, float32 (n, d), cached or computed now."""
    lower = features_of(model)
    digests = [images.digests[int(row)] for row in rows]
    known = caches.known(digest(lower), int(lower.output_shape[-1]))
    return extract(
        lambda: freeze(lower, caches.networks), images.pixels, rows, digests, known, progress=caches.progress
    )


def levels_of(model: keras.Model) -> list[int]:
    """Number of features from each map of the network."""
    layer = model.get_layer("features")
    inputs = layer.input if isinstance(layer.input, list) else [layer.output]
    return [int(tensor.shape[-1]) for tensor in inputs]


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
