"""Phase ``head`` of transfer learning: a linear head on features, each computed once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.config import RunConfig
from keensight.core.progress import Progress
from keensight.core.records import Epoch, History
from keensight.nets.training import discriminant
from keensight.nets.training.fit import class_weights
from keensight.nets.training.images import Caches, Images, features, levels_of
from keensight.nets.training.linear_head import (
    Chosen,
    Head,
    averaged,
    choose_strength,
    deal_folds,
    fit_head,
    fold,
    score,
)
from keensight.nets.training.logit_adjustment import choose_adjustment
from keensight.nets.training.losses import objective_of

if TYPE_CHECKING:
    import keras


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

    def chosen(self, progress: Progress, *, validated: bool = False) -> Chosen:
        """The settings of the head, by cross-validation on all images, or ``validated``: by the validation images
        alone, because the network below was fitted to the others.

        Features that were fitted to the training images have too small a covariance there for a discriminant analysis,
        and it is of one class an image.
        """
        fold = np.where(np.arange(len(self.rows)) < self.train, -1, 0) if validated else None
        levels, weights = self.levels, self.weights
        chosen = choose_strength(
            self.features, self.targets, self.classes, units=self.units, levels=levels, weights=weights, fold=fold,
            progress=progress,
        )  # fmt: skip
        if validated or self.targets.ndim == 2:
            return chosen
        fold = deal_folds(self.targets, self.units, discriminant.FOLDS)
        other = discriminant.out_of_fold(
            self.features, self.targets, self.classes, fold=fold, levels=levels, weights=weights
        )
        scale = discriminant.calibrating_scale(other, chosen.logits, self.targets)
        logits = averaged(chosen.logits, other, scale)
        return Chosen(chosen.strength, logits, score(logits, self.targets)[0], scale)

    def validation(self) -> HeadInputs:
        """Of the validation images alone."""
        rest = slice(self.train, None)
        return dataclasses.replace(
            self, rows=self.rows[rest], features=self.features[rest], targets=self.targets[rest],
            units=self.units[rest], weights=self.weights[rest], train=0,
        )  # fmt: skip

    def head(self, chosen: Chosen, *, everything: bool) -> Head:
        """The head, fitted to the training images or to all."""
        some = slice(None) if everything else slice(self.train)
        fitted, known = (self.features[some], self.targets[some], self.classes), self.weights[some]
        head = fit_head(*fitted, chosen.strength, levels=self.levels, weights=known)
        if not chosen.discriminant:
            return head
        other = discriminant.fit_discriminant(*fitted, levels=self.levels, weights=known)
        return head.averaged(other, chosen.discriminant)


def head_inputs(model: keras.Model, images: Images, config: RunConfig, caches: Caches) -> HeadInputs:
    """Features, targets and weights of the training and validation images."""
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
    """Phase ``head``: a linear head on features, each computed once, folded into the last layer: the average of
    logistic regression and discriminant analysis, of several labels logistic regression alone.

    With ``everything`` its validation scores are those of the cross-validation, over all images.
    """
    started = time.perf_counter()
    head = inputs.head(chosen, everything=everything)
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


def adjust(
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
            f"rare classes: logit adjustment {found.strength:g}, on held-out images: macro F1 {f1:.1%} without, "
            f"{better:.1%} with; accuracy {accuracy:.1%} without, {changed:.1%} with"
        )
    return found.offsets
