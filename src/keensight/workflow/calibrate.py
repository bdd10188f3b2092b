"""Choices after training, on images that the model was not fitted to: temperature, thresholds, decision rule."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.config import DecisionConfig, RunConfig
from keensight.core.effort import EFFORTS
from keensight.core.progress import Progress
from keensight.core.records import Split
from keensight.core.task import Task
from keensight.errors import UsageError
from keensight.workflow.features import Features
from keensight.workflow.measure import EvaluationSet, probabilities_of
from keensight.workflow.progress import shown
from keensight.workflow.prototypes import known_of
from keensight.workflow.steps import Source, open

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.classifier import Classifier


def check(config: DecisionConfig, task: Task) -> None:
    """Refuse contradictory settings before any work.

    Raises:
        UsageError: two targets are given, or one for a multi-label set.
    """
    asked = [name for name in ("target_precision", "target_coverage") if getattr(config, name) is not None]
    if len(asked) > 1:
        raise UsageError(
            "a target precision and a target coverage were both given",
            "one threshold can reach only one target: give one",
        )
    if asked and task == Task.MULTILABEL:
        raise UsageError(
            f"decision.{asked[0]} is for single-label sets, and this is a multi-label set",
            "remove it: each label has its own threshold",
        )


def calibrate(  # noqa: PLR0913 - public options, by keyword
    classifier: Classifier,
    data: Source,
    split: Split,
    pixels: Pixels,
    *,
    target_precision: float | None = None,
    target_coverage: float | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """Calibrate a classifier on the validation set, as :func:`train` does.

    This sets the temperature; for single-label sets a decision rule and prediction sets, for multi-label sets
    thresholds; and, if the network ends in a dense layer, out-of-distribution detection.

    Args:
        classifier: A trained classifier.
        data: The image set, or what :func:`open` takes.
        split: Its split; the test set is not used.
        pixels: Its decoded images.
        target_precision: Target fraction of predictions that are right; the model abstains on less confident ones.
        target_coverage: Target fraction of images with a prediction.
        progress: Where to report.

    Raises:
        UsageError: both targets are given, or one for a multi-label set.
        DataError: the validation set is empty.

    Examples:
        >>> network = ks.build(data, pixels.spec, "cnn", width=8)
        >>> history = ks.fit(network, data, split, pixels, epochs=2)
        >>> model = ks.calibrate(ks.Classifier(network, data.labels, pixels.spec), data, split, pixels)
        >>> model.temperature > 0
        True
    """
    config = DecisionConfig(target_precision=target_precision, target_coverage=target_coverage)
    progress = shown(progress)
    data = open(data, progress=progress)
    check(config, data.task)
    images = EvaluationSet(data, split.part("val"), pixels, data.truth(), "val")
    found = decide(classifier.changed(temperature=1.0), images, config, progress)
    if not found.embeds or not split.train:
        return found
    return found.changed(subspace=known_of(found, data, split, pixels, progress=progress).subspace())


def decide(
    classifier: Classifier,
    images: EvaluationSet,
    config: DecisionConfig,
    progress: Progress,
    features: Features | None = None,
) -> Classifier:
    """Set the temperature and, depending on the task, label thresholds or the decision rule.

    Args:
        classifier: The trained classifier, its temperature 1.
        images: Images that it was not fitted to: the validation set, or those of a cross-validation.
        config: The targets.
        progress: Where to report.
        features: Faster access to features than through the classifier.
    """
    from keensight.assess.calibration import at_temperature, fit_temperature

    targets, groups = images.targets, images.clusters()
    raw = images.held_out
    if raw is None:
        raw = probabilities_of(classifier, images.rows, images.pixels, progress, features)
    temperature = fit_temperature(raw, targets, groups)
    progress.say(_confidence_words(temperature, len(targets)))
    probabilities = at_temperature(raw, temperature)
    calibrated = classifier.changed(temperature=temperature)
    if images.dataset.task == Task.MULTILABEL:
        return _with_thresholds(calibrated, probabilities, targets, progress)
    return _with_rule(calibrated, probabilities, targets, config, progress)


def _confidence_words(temperature: float, n: int) -> str:
    from keensight.assess.calibration import FEWEST

    if n < FEWEST or temperature == 1:
        return f"confidence not calibrated: no clear benefit on {n:,} held-out images"
    return f"confidence calibrated on {n:,} held-out images (temperature {temperature:.2f})"


def _with_thresholds(
    classifier: Classifier, probabilities: NDArray[Any], targets: NDArray[Any], progress: Progress
) -> Classifier:
    from keensight.assess.thresholds import choose_thresholds

    thresholds = choose_thresholds(probabilities, targets)
    progress.say(
        f"thresholds chosen on {len(targets):,} held-out images: {min(thresholds):.2f} to {max(thresholds):.2f}"
    )
    return classifier.changed(thresholds=thresholds)


def _with_rule(
    classifier: Classifier,
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    config: DecisionConfig,
    progress: Progress,
) -> Classifier:
    from keensight.assess.abstention import choose
    from keensight.assess.calibration import FEWEST

    level = config.set_level if config.set_level and len(targets) >= FEWEST else None
    decision = choose(
        probabilities, targets, precision=config.target_precision, coverage=config.target_coverage, set_level=level
    )
    decision = dataclasses.replace(decision, threshold=float(np.float32(decision.threshold)))
    if decision.target is not None and decision.asked is not None and decision.reached is not None:
        progress.say(_words(decision.target, decision.asked, decision.reached, decision.threshold, decision.n))
    return classifier.changed(decision=decision)


def _words(target: str, asked: float, reached: float, threshold: float, n: int) -> str:
    rule = f"decision threshold {threshold:.3f}, chosen on {n:,} held-out images"
    if target == "coverage":
        return f"{rule}: {reached:.1%} of them get a prediction (target {asked:.1%})"
    if reached >= asked:
        return f"{rule}: with 90% confidence, at least {asked:.1%} of the predictions on new images are right"
    return (
        f"{rule}: no threshold guarantees a precision of {asked:.1%}; this one guarantees {reached:.1%} with 90% "
        f"confidence. More validation images or a better model would help"
    )


def mirrored_if_it_pays(
    classifier: Classifier, images: EvaluationSet, progress: Progress, features: Features | None = None
) -> Classifier:
    """Use test-time augmentation (averaging with the mirror image, at twice the cost) if it helps.

    Args:
        classifier: The trained classifier.
        images: The validation set.
        progress: Where to report.
        features: Faster access to features than through the classifier.
    """
    double = classifier.changed(mirror=True)
    plain, both = (
        probabilities_of(candidate, images.rows, images.pixels, progress, features)
        for candidate in (classifier, double)
    )
    return double if mirror_pays(plain, both, images.targets, progress) else classifier


def averages_mirror_images(config: RunConfig) -> bool:
    """Whether averaging with the mirror image is to be tried: the class does not depend on left and right."""
    return EFFORTS[config.train.effort].mirror and config.augment.flip in ("horizontal", "both")


def mirror_pays(plain: NDArray[Any], double: NDArray[Any], targets: NDArray[Any], progress: Progress) -> bool:
    """Whether probabilities (n, classes) averaged with those of mirror images, ``double``, are better: a lower loss,
    and no lower accuracy (multi-label: mean average precision)."""
    from keensight.nets.training.losses import objective_of

    objective = objective_of(targets)
    reached = []
    for probabilities in (plain, double):
        loss, accuracy = objective.score(probabilities, targets)
        ranking = objective.ranking(probabilities, targets)
        reached.append((accuracy if ranking is None else ranking, loss))
    (plain_right, plain_loss), (double_right, double_loss) = reached
    pays = double_loss < plain_loss and double_right >= plain_right
    metric = "accuracy" if targets.ndim == 1 else "mAP"
    progress.say(
        f"test-time augmentation (mirror images): {'on' if pays else 'off'} (validation {metric} {double_right:.1%} "
        f"with, {plain_right:.1%} without)"
    )
    return pays
