"""Predictions of a classifier on an evaluation set, and metrics from them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.evaluation import Evaluated, Evaluation
from keensight.core.interval import Interval
from keensight.core.predictions import Predictions
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.workflow.caveats import LEVEL
from keensight.workflow.features import Features

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.classifier import Answers, Classifier


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSet:
    """The images that a classifier is evaluated or calibrated on."""

    dataset: Dataset
    rows: NDArray[np.int64]
    """Their indices into ``dataset.samples``, shape (n,)."""
    pixels: Pixels
    truth: NDArray[Any]
    """The classifier's class numbers, or indicators, of every sample of the dataset."""
    split: str
    """The name of the split, such as ``test``."""
    ties: Sequence[Sequence[int]] = ()
    """Samples that show the same thing: every interval counts them as one image."""
    seen: Collection[int] = ()
    """Samples with a duplicate or near-duplicate in another split."""
    held_out: NDArray[np.float32] | None = None
    """Their probabilities at temperature 1, (n, classes), by models that were fitted without them, where the classifier
    itself was fitted to them; None: it was not."""

    @property
    def targets(self) -> NDArray[Any]:
        """Class numbers, shape (n,), or indicators, (n, labels)."""
        return np.asarray(self.truth[self.rows])

    def clusters(self) -> NDArray[np.int64] | None:
        """What counts as one image (groups, duplicates, ``ties``), shape (n,); None: each stands for itself."""
        from keensight.data.units import clusters

        return clusters(self.dataset.samples, self.rows, self.ties)


def measure(
    classifier: Classifier, images: EvaluationSet, progress: Progress, features: Features | None = None
) -> Evaluated:
    """Predict images and score the predictions.

    With ``features``, only the last layer is computed, from precomputed features. Without the images that were
    ``seen`` in another split, a second accuracy is computed.
    """
    started = time.perf_counter()
    answers = answers_of(classifier, images.rows, images.pixels, progress, features)
    if images.held_out is not None:
        answers = type(answers)(_calibrated(classifier, images.held_out), *answers[1:])
    groups = images.clusters()
    unlike = classifier.ood_fields(answers.ood_scores, ~answers.unknown)
    seconds = time.perf_counter() - started
    evaluation = _scored(classifier, answers.probabilities, images, groups, unlike.get("odd"))
    evaluation = dataclasses.replace(evaluation, seconds=seconds)
    copied = np.isin(images.rows, list(images.seen))
    if copied.any():
        cleaned = None if copied.all() else _cleaned(classifier, answers.probabilities, images.targets, copied, groups)
        evaluation = dataclasses.replace(evaluation, cleaned=cleaned, seen=int(copied.sum()))
    paths = tuple(images.dataset.samples[int(row)].path for row in images.rows)
    predictions = Predictions(
        paths, classifier.labels, answers.probabilities, thresholds=classifier.thresholds, decision=classifier.decision,
        indices=images.rows, truth=images.targets, clusters=groups, **unlike,
    )  # fmt: skip
    return Evaluated.of(evaluation, predictions, images.dataset)


def _scored(
    classifier: Classifier,
    probabilities: NDArray[np.float32],
    images: EvaluationSet,
    groups: NDArray[np.int64] | None,
    odd: NDArray[np.bool_] | None,
) -> Evaluation:
    from keensight.assess import abstention, metrics, multilabel

    labels, thresholds, targets = classifier.labels, classifier.thresholds, images.targets
    if thresholds is not None:
        return multilabel.evaluate(probabilities, targets, labels, thresholds, part=images.split, groups=groups)
    found = metrics.evaluate(
        probabilities, targets, labels, part=images.split, groups=groups,
        temperature=classifier.temperature,
    )  # fmt: skip
    rule = classifier.decision
    if rule is None:
        return found
    return dataclasses.replace(found, abstention=abstention.measure(probabilities, targets, rule, odd, groups))


def _cleaned(
    classifier: Classifier,
    probabilities: NDArray[np.float32],
    targets: NDArray[Any],
    copied: NDArray[np.bool_],
    groups: NDArray[np.int64] | None,
) -> Interval:
    """The accuracy without images that have a duplicate in another split."""
    from keensight.assess import metrics, multilabel

    if classifier.thresholds is None:
        return metrics.accuracy_without(probabilities, targets, copied, groups)
    return multilabel.accuracy_without(probabilities, targets, classifier.thresholds, copied, groups)


def validation_accuracy(
    classifier: Classifier, images: EvaluationSet, progress: Progress, features: Features | None = None
) -> Interval:
    """Accuracy on held-out images (of several labels, of images whose labels are all right), at :data:`LEVEL`."""
    from keensight.assess.intervals import share

    if images.held_out is None:
        probabilities = probabilities_of(classifier, images.rows, images.pixels, progress, features)
    else:
        probabilities = _calibrated(classifier, images.held_out)
    right = _right(probabilities, images.targets, classifier.thresholds)
    return share(right, images.clusters(), LEVEL)


def _calibrated(classifier: Classifier, held_out: NDArray[np.float32]) -> NDArray[np.float32]:
    from keensight.assess.calibration import at_temperature

    return at_temperature(held_out, classifier.temperature).astype(np.float32)


def _right(
    probabilities: NDArray[np.float32], truth: NDArray[Any], thresholds: Sequence[float] | None
) -> NDArray[np.bool_]:
    if thresholds is None:
        return np.asarray(probabilities.argmax(axis=1) == truth)
    return np.asarray(((probabilities >= np.array(thresholds)) == (truth == 1)).all(axis=1))


def probabilities_of(
    classifier: Classifier,
    rows: NDArray[np.int64],
    pixels: Pixels,
    progress: Progress,
    features: Features | None = None,
) -> NDArray[np.float32]:
    """Probabilities (n, classes) of samples, from features if available."""
    return answers_of(classifier, rows, pixels, progress, features).probabilities


def answers_of(
    classifier: Classifier,
    rows: NDArray[np.int64],
    pixels: Pixels,
    progress: Progress,
    features: Features | None = None,
) -> Answers:
    """All outputs of a classifier for samples, from features if available."""
    from keensight.nets.inputs import evaluation_batch

    if features is not None:
        mirrored = features(classifier, rows, mirror=True) if classifier.mirror else None
        return classifier.answer_vectors(features(classifier, rows), mirrored)
    size = evaluation_batch(classifier.spec.shape)
    parts = []
    with progress.task("testing", len(rows)) as task:
        for begin in range(0, len(rows), size):
            chunk = rows[begin : begin + size]
            parts.append(classifier.answer_array(pixels.take(chunk)))
            task.advance(len(chunk))
    return type(parts[0])(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
