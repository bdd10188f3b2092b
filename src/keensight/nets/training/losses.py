"""The two objectives: single-label (softmax) and multi-label (sigmoid). The targets determine which one: class numbers
(n,), or indicators (n, classes) of 0 and 1. All differences between the two are here; networks, batches and training
phases are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keensight.core.prototypes import softmax
from keensight.core.task import Task
from keensight.nets.runtime import framework

_FLOOR = 1e-7


class Objective(Protocol):
    """Interface of an objective."""

    def loss(self, smoothing: float) -> Any:
        """A Keras loss from logits (n, classes)."""
        ...

    def accuracy(self) -> Any:
        """A Keras metric called ``accuracy``, from logits."""
        ...

    def right(self, truth: Any, logits: Any) -> Any:
        """The same of each image, (n,), on either backend."""
        ...

    def terms(self, truth: Any, logits: Any) -> tuple[Any, Any]:
        """TensorFlow: the loss terms, (n, 1) or (n, classes), and the probabilities (n, classes)."""
        ...

    def weigh(self, targets: NDArray[Any], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weights of the loss terms, (n, 1) or (n, classes), from one weight per class."""
        ...

    def probabilities(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Logits (n, classes) to probabilities."""
        ...

    def score(self, probabilities: NDArray[Any], targets: NDArray[Any]) -> tuple[float, float]:
        """Mean loss in nats and accuracy."""
        ...

    def ranking(self, scores: NDArray[Any], targets: NDArray[Any]) -> float | None:
        """Mean average precision of scores (n, classes); None for single-label models."""
        ...


@dataclass(frozen=True)
class Softmax:
    """Single-label: softmax and cross-entropy."""

    def loss(self, smoothing: float) -> Any:
        """Cross-entropy."""
        return framework()[0].losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)

    def accuracy(self) -> Any:
        """Fraction of images whose most probable class is right."""
        return framework()[0].metrics.CategoricalAccuracy(name="accuracy")

    def right(self, truth: Any, logits: Any) -> Any:
        """1 where the most probable class is right."""
        return framework()[0].metrics.categorical_accuracy(truth, logits)

    def terms(self, truth: Any, logits: Any) -> tuple[Any, Any]:
        """Cross-entropy of each image, (n, 1)."""
        tf = framework()[1]
        return tf.nn.softmax_cross_entropy_with_logits(truth, logits)[:, None], tf.nn.softmax(logits)

    def weigh(self, targets: NDArray[Any], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """By each image's class."""
        return np.asarray(weights[targets][:, None])

    def probabilities(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Softmax."""
        return softmax(logits)

    def score(self, probabilities: NDArray[Any], targets: NDArray[Any]) -> tuple[float, float]:
        """Cross-entropy, and the fraction of images whose most probable class is right."""
        loss = -np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12)).mean()
        return float(loss), float((probabilities.argmax(axis=1) == targets).mean())

    def ranking(self, scores: NDArray[Any], targets: NDArray[Any]) -> float | None:
        """None: accuracy is used instead."""
        return None


@dataclass(frozen=True)
class Sigmoid:
    """Multi-label: a sigmoid and a binary cross-entropy per label.

    Labels are not smoothed: with most labels absent from most images, smoothing would lift every probability that
    should be near 0, and thresholds are chosen on probabilities.
    """

    weights: NDArray[np.float32] | None = None
    """Weight of an absent and of a present label, (2, classes); None: all 1."""

    def loss(self, smoothing: float) -> Any:
        """Binary cross-entropy, mean over the labels."""
        keras, _ = framework()
        if self.weights is None:
            return keras.losses.BinaryCrossentropy(from_logits=True)
        ops, (absent, present) = keras.ops, self.weights

        class Weighted(keras.losses.Loss):  # type: ignore[misc, name-defined]
            def call(self, truth: Any, logits: Any) -> Any:
                terms = ops.binary_crossentropy(truth, logits, from_logits=True)
                return ops.mean(terms * (truth * present + (1.0 - truth) * absent), axis=-1)

        return Weighted()

    def accuracy(self) -> Any:
        """Fraction of (image, label) pairs that are right at a probability of 0.5, which is a logit of 0."""
        return framework()[0].metrics.MeanMetricWrapper(self.right, name="accuracy")

    def right(self, truth: Any, logits: Any) -> Any:
        """The fraction for each image."""
        ops = framework()[0].ops
        return ops.mean(ops.cast(ops.equal(truth > 0.5, logits >= 0.0), "float32"), axis=-1)

    def terms(self, truth: Any, logits: Any) -> tuple[Any, Any]:
        """Binary cross-entropy of each image and label, (n, classes)."""
        tf = framework()[1]
        return tf.nn.sigmoid_cross_entropy_with_logits(truth, logits), tf.nn.sigmoid(logits)

    def weigh(self, targets: NDArray[Any], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """By presence and absence of each label; ``weights`` are not used, as images have no single class."""
        if self.weights is None:
            return np.ones((len(targets), 1), np.float32)
        return np.asarray(np.where(targets == 1, self.weights[1], self.weights[0]), np.float32)

    def probabilities(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Sigmoid."""
        found: NDArray[Any] = 0.5 * (1.0 + np.tanh(0.5 * logits))
        return found

    def score(self, probabilities: NDArray[Any], targets: NDArray[Any]) -> tuple[float, float]:
        """Binary cross-entropy over images and labels, and the fraction of pairs that are right at 0.5."""
        right = np.where(targets == 1, probabilities, 1.0 - probabilities)
        loss = -np.log(np.maximum(right, _FLOOR)).mean()
        return float(loss), float(((probabilities >= 0.5) == (targets == 1)).mean())

    def ranking(self, scores: NDArray[Any], targets: NDArray[Any]) -> float | None:
        """Mean average precision over the labels that occur; 0 if none occurs."""
        from sklearn.metrics import average_precision_score

        present = targets.any(axis=0)
        if not present.any():
            return 0.0
        return float(average_precision_score(targets[:, present], scores[:, present], average="macro"))


OBJECTIVES: Mapping[Task, type[Softmax] | type[Sigmoid]] = {Task.MULTICLASS: Softmax, Task.MULTILABEL: Sigmoid}


def objective_of(targets: NDArray[Any], balanced: bool = False) -> Objective:
    """Choose the objective for targets: class numbers (n,) or indicators (n, classes).

    Args:
        targets: Targets of the training set.
        balanced: Weight presence and absence of each label by inverse frequency, with mean 1 over the images. (Class
            weights are passed to the loss as sample weights.)
    """
    if targets.ndim == 1:
        return Softmax()
    present = targets.sum(axis=0, dtype=np.int64)
    both = np.maximum(np.stack([len(targets) - present, present]), 1)
    return Sigmoid((len(targets) / (2.0 * both)).astype(np.float32) if balanced else None)


def rows(targets: NDArray[Any], classes: int) -> NDArray[np.float32]:
    """Targets for the loss, float32 (n, classes): one-hot, or the indicators themselves."""
    if targets.ndim == 2:
        return targets.astype(np.float32)
    return np.asarray(np.eye(classes, dtype=np.float32)[targets])


def image_weights(targets: NDArray[Any], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """One weight per image, (n,): that of its class; 1 for multi-label sets."""
    return np.ones(len(targets), np.float32) if targets.ndim == 2 else np.asarray(weights[targets])
