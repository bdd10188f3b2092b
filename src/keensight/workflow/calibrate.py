"""What the validation part decides once the network is trained: temperature, thresholds, when to answer at all."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.config import DecisionConfig
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Split, group_numbers
from keensight.core.task import Task
from keensight.errors import UsageError
from keensight.workflow.evaluate import probabilities_of
from keensight.workflow.features import Features
from keensight.workflow.prototypes import known_of
from keensight.workflow.steps import Source, open, shown

if TYPE_CHECKING:
    from keensight.data.cache import Pixels
    from keensight.nets.classifier import Classifier


def check(config: DecisionConfig, task: Task) -> None:
    """Refuse settings that contradict one another, before any work.

    Raises:
        UsageError: two targets are given, or one for a multi-label set.
    """
    asked = [name for name in ("target_precision", "target_coverage") if getattr(config, name) is not None]
    if len(asked) > 1:
        raise UsageError("a precision and a coverage were both asked for", "one threshold keeps one promise: give one")
    if asked and task == Task.MULTILABEL:
        raise UsageError(
            f"decision.{asked[0]} is for images of one class each, and these have any number of labels",
            "leave it out: each label has a threshold of its own",
        )


def calibrate(
    classifier: Classifier,
    data: Source,
    split: Split,
    pixels: Pixels,
    *,
    target_precision: float | None = None,
    target_coverage: float | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """The classifier with all that the validation part decides, as :func:`train` does it at its end.

    A temperature; for one class an image a rule for answers and prediction sets, for several labels their thresholds;
    and, where the network ends in a dense layer, what tells images unlike the training images.

    Args:
        classifier: A trained classifier.
        data: The image set, or what :func:`open` takes.
        split: Its split; the test part is not looked at.
        pixels: Its decoded images.
        target_precision: Share of the answers that shall be right; less sure images get none.
        target_coverage: Share of the images that shall get an answer.
        progress: Where to report.

    Raises:
        UsageError: both targets are given, or one for a multi-label set.
        DataError: the validation part is empty.

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
    found = decide(classifier.changed(temperature=1.0), data, split, pixels, config, None, progress)
    if not found.embeds or not split.train:
        return found
    return found.changed(subspace=known_of(found, data, split, pixels, progress=progress).subspace())


def decide(
    classifier: Classifier,
    dataset: Dataset,
    split: Split,
    pixels: Pixels,
    config: DecisionConfig,
    features: Features | None,
    progress: Progress,
    groups: NDArray[np.int64] | None = None,
) -> Classifier:
    """The classifier with a temperature and, by the kind of the set, thresholds of its labels or a rule for answers.

    Args:
        classifier: The trained classifier, its temperature 1.
        dataset: The image set.
        split: Its split; only the validation part is looked at.
        pixels: Its decoded images.
        config: What is asked for.
        features: A way to features that is quicker than the classifier's own.
        progress: Where to report.
        groups: Number of each validation image's group, in the order of the validation part; None: the groups that
            the set gives.
    """
    from keensight.assess.calibration import at_temperature, fit_temperature

    rows = split.part("val")
    targets = dataset.truth()[rows]
    raw = probabilities_of(classifier, rows, pixels, progress, features)
    if groups is None:
        groups = group_numbers([dataset.samples[int(row)].group for row in rows])
    temperature = fit_temperature(raw, targets, groups)
    progress.say(_confidence_words(temperature, len(rows)))
    probabilities = at_temperature(raw, temperature)
    calibrated = classifier.changed(temperature=temperature)
    if dataset.task == Task.MULTILABEL:
        return _with_thresholds(calibrated, probabilities, targets, progress)
    return _with_rule(calibrated, probabilities, targets, config, progress)


def _confidence_words(temperature: float, n: int) -> str:
    from keensight.assess.calibration import FEWEST

    if n < FEWEST or temperature == 1:
        return f"confidence left as it is: {n:,} validation images do not show that a temperature helps"
    return f"confidence calibrated on the validation set (temperature {temperature:.2f})"


def _with_thresholds(
    classifier: Classifier, probabilities: NDArray[Any], targets: NDArray[Any], progress: Progress
) -> Classifier:
    from keensight.assess.thresholds import choose_thresholds

    thresholds = choose_thresholds(probabilities, targets)
    progress.say(
        f"thresholds chosen on {len(targets):,} validation images: {min(thresholds):.2f} to {max(thresholds):.2f}"
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
    rule = f"answers need a probability of {threshold:.3f}, chosen on {n:,} validation images"
    if target == "coverage":
        return f"{rule}: {reached:.1%} of them reach it ({asked:.1%} were asked for)"
    if reached >= asked:
        return f"{rule}: with a confidence of 90 %, {asked:.1%} of the answers on new images are right"
    return (
        f"{rule}: no threshold makes {asked:.1%} of the answers right beyond doubt; this one makes {reached:.1%}, with "
        "a confidence of 90 %. More validation images, or a better model, would allow more"
    )


def mirrored_if_it_pays(
    classifier: Classifier,
    dataset: Dataset,
    split: Split,
    pixels: Pixels,
    progress: Progress,
    features: Features | None = None,
) -> Classifier:
    """The classifier, or one that averages the logits of an image and of its mirror image, at twice the cost.

    It is taken where the loss on the validation part is lower and the accuracy (of a multi-label set: the mean average
    precision) no lower.

    Args:
        classifier: The trained classifier.
        dataset: The image set.
        split: Its split; only the validation part is looked at.
        pixels: Its decoded images.
        progress: Where to report.
        features: A way to features that is quicker than the classifier's own.
    """
    from keensight.nets.training.losses import objective_of

    double = classifier.changed(mirror=True)
    rows = split.part("val")
    targets = dataset.truth()[rows]
    objective = objective_of(targets)
    reached = []
    for candidate in (classifier, double):
        probabilities = probabilities_of(candidate, rows, pixels, progress, features)
        loss, accuracy = objective.score(probabilities, targets)
        ranking = objective.ranking(probabilities, targets)
        reached.append((accuracy if ranking is None else ranking, loss))
    (plain_right, plain_loss), (double_right, double_loss) = reached
    pays = double_loss < plain_loss and double_right >= plain_right
    figure = "accuracy" if targets.ndim == 1 else "mAP"
    progress.say(
        f"mirror images: {'averaged' if pays else 'not averaged'} (val {figure} {double_right:.4f} against "
        f"{plain_right:.4f}, loss {double_loss:.4f} against {plain_loss:.4f})"
    )
    return double if pays else classifier
