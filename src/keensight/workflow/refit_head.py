"""The head, fitted once more after fine-tuning, to larger images than the network was trained on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import numpy as np

from keensight.core.files import temporary_folder
from keensight.core.progress import Progress
from keensight.core.records import ImageSpec
from keensight.workflow.calibrate import averages_mirror_images, mirror_pays
from keensight.workflow.features import caches, images_of
from keensight.workflow.finish import Trained
from keensight.workflow.fit import transfers
from keensight.workflow.steps import build, prepare

if TYPE_CHECKING:
    import keras

    from keensight.data.cache import CacheMode
    from keensight.nets.training.images import Caches


def refit_head(trained: Trained, spec: ImageSpec, progress: Progress) -> Trained:
    """Fit the head of a fine-tuned network again, on ``spec``; kept only if it is better on the validation set.

    Fine-tuning takes each image often, and so takes it small; a head takes each image once, so it can take it large.
    The network below serves both (Touvron et al. 2019, "Fixing the train-test resolution discrepancy"). Kept, the head
    is fitted to the validation images too, and calibrated on their logits by a head that was not.

    Args:
        trained: The results of training.
        spec: The network's input from now on, at least as large as that of the training.
        progress: Where to report.
    """
    if trained.history.stopped == "interrupted" or not (trained.history.tuned and transfers(trained.config)):
        return trained
    with temporary_folder() as folder:
        from keensight.nets.training.features import Remembered

        remembered = Remembered()  # the features of a network of this run alone
        shop = dataclasses.replace(caches(progress), known=lambda network, values: remembered, networks=folder)
        return _refitted(trained, spec, shop)


def _refitted(trained: Trained, spec: ImageSpec, shop: Caches) -> Trained:
    from keensight.nets.classifier import Classifier
    from keensight.nets.training.head import adjust, head_inputs
    from keensight.nets.training.images import features
    from keensight.nets.training.linear_head import fold
    from keensight.nets.training.losses import objective_of
    from keensight.nets.training.transfer import Examination, HeldOut
    from keensight.nets.training.verdict import judge

    dataset, split, config, progress = trained.dataset, trained.split, trained.config, shop.progress
    before = Examination.by_head(trained.classifier.keras_model, images_of(dataset, split, trained.pixels), shop)
    pixels = trained.pixels
    if spec != pixels.spec:
        pixels = prepare(dataset, spec, cache=cast("CacheMode", config.data.cache), progress=progress)
    images, network = images_of(dataset, split, pixels), _of_size(trained, spec)
    inputs = head_inputs(network, images, config, shop)
    chosen, val = inputs.chosen(progress, validated=True), inputs.validation()
    head = inputs.head(chosen.strength, everything=False)
    after = dataclasses.replace(before, logits=head.logits(val.features))
    verdict = judge(before.logits, after.logits, val.targets)
    progress.say(
        f"head fitted again at {spec.width}x{spec.height} px: {'kept' if verdict.kept else 'discarded'}, "
        f"validation {after.reached:.1%}, {before.reached:.1%} before"
    )
    if not verdict.kept:
        return trained
    logits, mirror = after.logits, False
    if averages_mirror_images(config):
        mirrored = head.logits(features(network, images.mirrored(), val.rows, shop))
        double = (logits + mirrored) / np.float32(2)
        probabilities = objective_of(val.targets).probabilities
        mirror = mirror_pays(probabilities(logits), probabilities(double), val.targets, progress)
        logits = double if mirror else logits
    fold(network, inputs.head(chosen.strength, everything=True))
    offsets = adjust(network, val, dataclasses.replace(chosen, logits=logits), config, shop)
    old = trained.classifier
    classifier = Classifier(network, old.labels, spec, thresholds=old.thresholds, mirror=mirror)
    held_out = HeldOut(val.rows, logits - offsets)
    return dataclasses.replace(trained, classifier=classifier, pixels=pixels, held_out=held_out)


def _of_size(trained: Trained, spec: ImageSpec) -> keras.Model:
    """The trained network for another size of images: its weights do not depend on that."""
    net = trained.config.model
    network = build(trained.dataset, spec, net.name, width=net.width, dropout=net.dropout, weights="none")
    network.set_weights(trained.classifier.keras_model.get_weights())
    return network
