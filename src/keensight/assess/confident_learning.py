"""Find label errors: labels that are improbable for calibrated models not trained on the image.

Probabilities are scaled by a temperature (Guo et al. 2017, "On calibration of modern neural networks") that is fitted
together with a rate of random label noise, so that wrong labels are not mistaken for model uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.folds import deal
from keensight.core.labels import DETECTABLE, AccuracyRange
from keensight.core.progress import Progress, Silent
from keensight.errors import DataError

FOLDS = 5
_COMPONENTS = 256
_BASIS_IMAGES = 10_000
_STRENGTH = 200.0
"""Inverse regularization strength: the best from 60 to 600 on planted errors in photographs."""
_STEPS = 300
_RIGHT_COSTS = 1.5
"""Suspects maximize their number minus 1.5 times the expected number of right labels among them. Of 1.25, 1.5 and 2 it
lost little precision on random errors and little recall on errors between similar classes."""
_CHANCE = 0.01
"""Probability below which this number of improbable labels is not explained by right labels."""
_DOUBTFUL = 30
_POSSIBLE = 0.01
"""Noise rate for the fraction of detectable errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """Assessment of each label by the probabilities."""

    probabilities: NDArray[np.float64]
    """Shape (n, classes): calibrated probabilities of each image's true class."""
    suggested: NDArray[np.int64]
    """Shape (n,): the most probable class other than the given one."""
    suspects: NDArray[np.int64]
    """Rows whose label is likely wrong, the most suspicious first."""
    doubtful: NDArray[np.int64]
    """The next least probable labels, at most 30; they may well be right."""
    precision: float | None
    """Estimated fraction of the suspects whose label is wrong; None: no suspects."""
    detectable: float
    """If 1% of the labels were wrong at random: the fraction of those that could be distinguished from genuine
    confusions."""
    joint: NDArray[np.float64]
    """Shape (classes, classes): estimated number of images; row = given class, column = class it belongs to."""


def out_of_fold(
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Class probabilities of each image, by a model trained without its group (out of fold).

    Multinomial logistic regression on principal components (at most 256) of the standardized features. Whole groups are
    assigned to the folds, class by class.

    Args:
        features: Float (n, d), from a network that has not learned these labels.
        targets: Class numbers, shape (n,).
        groups: Shape (n,); images with the same number are in one fold.
        classes: Number of classes.
        seed: Random seed of the folds.
        progress: Where to report.

    Returns:
        float64 (n, classes), rows that sum to 1; a class that a model has not seen has probability 0.

    Raises:
        DataError: a fold would have no group, or a model no second class.
    """
    from sklearn.linear_model import LogisticRegression

    fold = deal(targets, groups, FOLDS, seed)
    parts = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(FOLDS)]
    if any(len(held) == 0 or len(np.unique(targets[train])) < 2 for train, held in parts):
        raise DataError(
            f"{len(targets):,} images are too few for a label check",
            f"give at least two classes and {FOLDS} images or groups of each",
        )
    inputs = _components(features, seed)
    found = np.zeros((len(targets), classes))
    with (progress or Silent()).task("checking labels", len(targets)) as task:
        for train, held in parts:
            model = LogisticRegression(C=_STRENGTH / len(train), max_iter=_STEPS, tol=1e-3)
            model.fit(inputs[train], targets[train])
            found[np.ix_(held, model.classes_)] = model.predict_proba(inputs[held])
            task.advance(len(held))
    return found


def _components(features: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Standardized features on their first principal axes, the first of unit variance; float32 (n, 256 at most)."""
    from sklearn.decomposition import PCA

    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    some = np.random.default_rng(seed).permutation(len(features))[:_BASIS_IMAGES]
    standard = (features[some] - mean) / scale
    count = min(_COMPONENTS, *standard.shape)
    basis = PCA(count, svd_solver="randomized", random_state=seed).fit(standard)
    axes = basis.components_ / scale
    # Folded into the axes, to avoid a second copy of all features.
    rows: NDArray[np.float32] = (features @ axes.T - mean @ axes.T).astype(np.float32)
    rows /= rows[:, 0].std() + 1e-6
    return rows


def judge(probabilities: NDArray[Any], targets: NDArray[np.int64]) -> Judgement:
    """Find labels that are less probable than right labels of these classes would be.

    If the calibrated probabilities are correct, the expected number of right labels with a probability of at most t is
    known: the sum of all probabilities up to t, over all images and classes. It is large for many or similar classes.
    Labels are suspects, the least probable first, up to the t where their number exceeds 1.5 times the expected one by
    most; there are none if chance (Poisson) would give as many in more than 1 of 100 sets, or if the classes are so
    similar that less than 60% of random wrong labels could be distinguished from right ones: there the probabilities
    are true for the set as a whole only, and their excess is mostly errors of the models.

    Args:
        probabilities: Float (n, classes), out of fold.
        targets: The given classes, shape (n,).
    """
    counts = np.bincount(targets, minlength=probabilities.shape[1])
    noise, found = _calibrated(probabilities, targets, int((counts > 0).sum()))
    rows = np.arange(len(targets))
    given = found[rows, targets]
    others = found.copy()
    others[rows, targets] = -1.0
    order = np.argsort(given, kind="stable")
    order = order[given[order] < others[order].max(axis=1)]
    honest = (1 - noise) * _sums(found, given[order], found)
    detectable = _detectable(found[:, counts > 0])
    count = _excess(honest) if detectable >= DETECTABLE else 0
    return Judgement(
        probabilities=found,
        suggested=others.argmax(axis=1),
        suspects=order[:count],
        doubtful=order[count : count + _DOUBTFUL],
        precision=float(1 - honest[count - 1] / count) if count else None,
        detectable=detectable,
        joint=_joint(found, targets, noise, counts),
    )


def _calibrated(
    probabilities: NDArray[Any], targets: NDArray[np.int64], classes: int
) -> tuple[float, NDArray[np.float64]]:
    """The noise rate (labels drawn at random, including the right one) and the probabilities of the true classes.

    Maximum likelihood of (1 - noise) p + noise / classes, where p is the softmax of the logs over a temperature.
    """
    from scipy.optimize import minimize

    logs = np.log(np.maximum(probabilities, 1e-12))
    some = np.random.default_rng(0).permutation(len(targets))[:_BASIS_IMAGES]
    few, own = logs[some], targets[some]

    def loss(point: NDArray[np.float64]) -> float:
        given = _softmax(few * np.exp(point[0]))[np.arange(len(few)), own]
        noise = _sigmoid(point[1])
        return float(-np.log((1 - noise) * given + noise / classes).mean())

    best = minimize(loss, [0.7, -3.0], method="Nelder-Mead", bounds=[(-2, 2.5), (-12, 0)], options={"xatol": 1e-2})
    return _sigmoid(best.x[1]), _softmax(logs * np.exp(best.x[0]))


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaled: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return scaled


def _sums(
    probabilities: NDArray[np.float64], limits: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For each of the ascending limits: the sum of the weights with a probability of at most the limit."""
    bins = np.searchsorted(limits, probabilities.ravel(), side="left")
    sums: NDArray[np.float64] = np.bincount(bins, weights=weights.ravel(), minlength=len(limits) + 1)[:-1].cumsum()
    return sums


def _excess(honest: NDArray[np.float64]) -> int:
    """Number of suspects among the least probable labels, given the expected right ones among the first 1, 2, ..."""
    from scipy.stats import poisson

    if not len(honest):
        return 0
    count = int((np.arange(1, len(honest) + 1) - _RIGHT_COSTS * honest).argmax()) + 1
    return count if poisson.sf(count - 1, honest[count - 1]) <= _CHANCE else 0


def _detectable(probabilities: NDArray[np.float64]) -> float:
    """The fraction of random wrong labels below the highest limit at which 1% of them would equal the right ones."""
    n, classes = probabilities.shape
    limits = np.geomspace(1e-9, 0.5, 60)
    honest = _sums(probabilities, limits, probabilities)
    # A random wrong label is a class with the probability that the class is not the true one.
    wrong = _sums(probabilities, limits, 1 - probabilities) / max(classes - 1, 1)
    able = _POSSIBLE * wrong >= honest
    return float(wrong[able].max() / n) if able.any() else 0.0


def _joint(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64], noise: float, counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Expected number of images of each given class (row) that belong to each class (column) if labels are noisy."""
    rows, classes = np.arange(len(targets)), int((counts > 0).sum())
    given = probabilities[rows, targets]
    random = noise / classes / ((1 - noise) * given + noise / classes)
    belongs = probabilities * random[:, None]
    belongs[rows, targets] += 1 - random
    joint = np.zeros((len(counts), len(counts)))
    np.add.at(joint, targets, belongs)
    return joint


def accuracy_range(
    predicted: NDArray[np.int64], given: NDArray[np.int64], suggested: NDArray[np.int64], suspect: NDArray[np.bool_]
) -> AccuracyRange:
    """The accuracy on a split if some of its suspects are mislabeled and their suggested class is right.

    Args:
        predicted: Predicted classes, shape (n,).
        given: The labels, shape (n,).
        suggested: Suggested classes, shape (n,); used for suspects only.
        suspect: Which labels are suspects, shape (n,).
    """
    n = len(given)
    right = predicted == given
    lost, won = int((right & suspect).sum()), int((suspect & (predicted == suggested)).sum())
    hits = int(right.sum())
    return AccuracyRange(
        n=n,
        suspects=int(suspect.sum()),
        measured=hits / n,
        low=(hits - lost) / n,
        high=(hits + won) / n,
        corrected=(hits - lost + won) / n,
    )
