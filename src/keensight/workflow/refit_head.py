"""The head, fitted once more after the training of a pretrained network, to larger images than that took."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Progress
from keensight.core.records import ImageSpec
from keensight.workflow.calibrate import averages_mirror_images, mirror_pays
from keensight.workflow.features import caches, caches_of_a_run, images_of
from keensight.workflow.finish import Trained
from keensight.workflow.fit import transfers
from keensight.workflow.steps import build, prepare

if TYPE_CHECKING:
    import keras

    from keensight.data.cache import CacheMode
    from keensight.nets.training.images import Caches, Images
    from keensight.nets.training.linear_head import Head


def refit_head(trained: Trained, spec: ImageSpec, progress: Progress) -> Trained:
    """Fit the head of a transferred network again, on ``spec``; kept only if it is better on unseen images.

    Fine-tuning takes each image often, and so takes it small; a head takes each image once, so it can take it large.
    The network below serves both (Touvron et al. 2019, "Fixing the train-test resolution discrepancy"). Kept, the head
    is fitted to the validation images too, and calibrated on the logits of heads that were not.

    Args:
        trained: The results of training.
        spec: The network's input from now on, at least as large as that of the training.
        progress: Where to report.
    """
    if trained.history.stopped == "interrupted" or not transfers(trained.config):
        return trained
    if not trained.history.tuned and spec == trained.pixels.spec:
        return trained
    with caches_of_a_run(progress) if trained.history.tuned else nullcontext(caches(progress)) as shop:
        return _refitted(trained, spec, shop)


def _refitted(trained: Trained, spec: ImageSpec, shop: Caches) -> Trained:
    from keensight.data.audit.duplicates import ties
    from keensight.nets.classifier import Classifier
    from keensight.nets.training.head import adjust, head_inputs
    from keensight.nets.training.linear_head import fold
    from keensight.nets.training.transfer import HeldOut, reached
    from keensight.nets.training.verdict import judge

    dataset, split, config, progress = trained.dataset, trained.split, trained.config, shop.progress
    before = _logits_before(trained, shop)
    pixels = trained.pixels
    if spec != pixels.spec:
        pixels = prepare(dataset, spec, cache=cast("CacheMode", config.data.cache), progress=progress)
    images = images_of(dataset, split, pixels, ties(trained.findings, dataset))
    network = _of_size(trained, spec)
    inputs = head_inputs(network, images, config, shop)
    tuned = trained.history.tuned
    chosen, unseen = inputs.chosen(progress, validated=tuned), inputs.validation() if tuned else inputs
    head = inputs.head(chosen, everything=False) if tuned else None
    logits = chosen.logits if head is None else head.logits(unseen.features)
    kept = judge(before, logits, unseen.targets).kept
    progress.say(
        f"head fitted again at {spec.width}x{spec.height} px: {'kept' if kept else 'discarded'}, "
        f"{'validation' if tuned else 'cross-validated'} {reached(logits, unseen.targets):.1%}, "
        f"{reached(before, unseen.targets):.1%} before"
    )
    if not kept:
        return trained
    mirror = False
    if head is not None and averages_mirror_images(config):
        logits, mirror = _averaged(head, network, images, unseen.rows, logits, shop)
    fold(network, inputs.head(chosen, everything=True))
    offsets = adjust(network, unseen, dataclasses.replace(chosen, logits=logits), config, shop)
    old = trained.classifier
    classifier = Classifier(network, old.labels, spec, thresholds=old.thresholds, mirror=mirror)
    held_out = HeldOut(unseen.rows, logits, offsets)
    return dataclasses.replace(trained, classifier=classifier, pixels=pixels, held_out=held_out)


def _logits_before(trained: Trained, shop: Caches) -> NDArray[Any]:
    """Logits of the images that the head is judged on: of a cross-validation, or after fine-tuning the validation
    images."""
    from keensight.nets.training.transfer import Examination

    if not trained.history.tuned:
        assert trained.held_out is not None, "a head on frozen features is cross-validated"
        return trained.held_out.plain  # neither head is adjusted to the class frequencies yet
    images = images_of(trained.dataset, trained.split, trained.pixels)
    return Examination.by_head(trained.classifier.keras_model, images, shop).logits


def _averaged(
    head: Head, network: keras.Model, images: Images, rows: NDArray[np.int64], logits: NDArray[Any], shop: Caches
) -> tuple[NDArray[Any], bool]:
    """Logits averaged with those of the mirror images if that helps, and whether it does."""
    from keensight.nets.training.images import features
    from keensight.nets.training.losses import objective_of

    double = (logits + head.logits(features(network, images.mirrored(), rows, shop))) / np.float32(2)
    targets = images.targets[rows]
    probabilities = objective_of(targets).probabilities
    pays = mirror_pays(probabilities(logits), probabilities(double), targets, shop.progress)
    return (double, True) if pays else (logits, False)


def _of_size(trained: Trained, spec: ImageSpec) -> keras.Model:
    """The trained network for another size of images: its weights do not depend on that."""
    net = trained.config.model
    network = build(trained.dataset, spec, net.name, width=net.width, dropout=net.dropout, weights="none")
    network.set_weights(trained.classifier.keras_model.get_weights())
    return network
