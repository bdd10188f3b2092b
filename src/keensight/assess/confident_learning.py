"""Find label errors: labels that are improbable for calibrated models not trained on the image.

Probabilities are scaled by a temperature (Guo et al. 2017, "On calibration of modern neural networks") that is fitted
together with a rate of random label noise, so that wrong labels are not mistaken for model uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.folds import deal
from keensight.core.labels import DETECTABLE, AccuracyRange
from keensight.core.progress import Progress, Silent
from keensight.errors import DataError

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FOLDS = 5
_COMPONENTS = 256
_BASIS_IMAGES = 10_000
_STRENGTH = 200.0
"""Inverse regularization strength: the best from 60 to 600 on planted errors in photographs."""
_LABEL_STRENGTH = 1000.0
"""The same where a label is present or absent: of 60 to 20,000 the highest mean average precision."""
_STEPS = 300
_RIGHT_COSTS = 1.5
"""Suspects maximize their number minus 1.5 times the expected number of right labels among them. Of 1.25, 1.5 and 2 it
lost little precision on random errors and little recall on errors between similar classes."""
_UNUSUAL = 0.02
"""The fraction of the models' errors that is as improbable as a wrong label: unusual images, such as a car from behind.
Of 0 to 0.1 the lowest at which correct labels gave no suspects."""
_CHANCE = 0.01
"""Probability below which this number of improbable labels is not explained by right labels."""
_DOUBTFUL = 30
_POSSIBLE = 0.01
"""Noise rate for the fraction of detectable errors."""
_POSSIBLE_LABELS = 0.02
"""The same for the labels that are present: of 0.01 to 0.025, the lowest that found errors between crops and diseases
of leaves; at 1% of all pairs, the check of many rare labels was too confident."""


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
    """If 1% of the labels were wrong at random (multi-label: 2% of those present missing, and as many wrongly there):
    the fraction of those that could be distinguished from genuine confusions."""
    wrong: NDArray[np.float64]
    """Shape (n,): estimated probability that the label is wrong."""
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
    parts = _parts(targets, groups, seed)
    if any(len(held) == 0 or len(np.unique(targets[train])) < 2 for train, held in parts):
        raise _too_few(len(targets), "two classes", "of each")
    inputs = _components(features, seed)
    found = np.zeros((len(targets), classes))
    with (progress or Silent()).task("checking labels", len(targets)) as task:
        for train, held in parts:
            model = _regression(inputs, targets, train, _STRENGTH)
            found[np.ix_(held, model.classes_)] = model.predict_proba(inputs[held])
            task.advance(len(held))
    return found


def out_of_fold_labels(
    features: NDArray[np.float32],
    indicators: NDArray[np.uint8],
    groups: NDArray[np.int64],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Probability that each image has each label, by models trained without its group (out of fold).

    As :func:`out_of_fold`, with one regression for each label (present or absent) and the same folds for all.

    Args:
        features: Float (n, d), from a network that has not learned these labels.
        indicators: Shape (n, labels): 1 if the image has the label, else 0.
        groups: Shape (n,); images with the same number are in one fold.
        seed: Random seed of the folds.
        progress: Where to report.

    Returns:
        float64 (n, labels); 0.5 (no opinion) for a label that a model has only seen present, or only absent.

    Raises:
        DataError: a fold would have no group.
    """
    kinds: NDArray[np.int64] = np.unique(indicators, axis=0, return_inverse=True)[1].reshape(-1)
    parts = _parts(kinds, groups, seed)
    if any(len(held) == 0 for _, held in parts):
        raise _too_few(len(indicators), "one label", "with it and without it")
    inputs = _components(features, seed)
    found = np.full(indicators.shape, 0.5)
    with (progress or Silent()).task("checking labels", len(indicators)) as task:
        for train, held in parts:
            for label in range(indicators.shape[1]):
                present = indicators[:, label]
                if present[train].any() and not present[train].all():
                    model = _regression(inputs, present, train, _LABEL_STRENGTH)
                    found[held, label] = model.predict_proba(inputs[held])[:, 1]
            task.advance(len(held))
    return found


def _parts(
    kinds: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each fold the rows to train on and the rows held out."""
    fold = deal(kinds, groups, FOLDS, seed)
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(FOLDS)]


def _too_few(images: int, what: str, which: str) -> DataError:
    return DataError(
        f"{images:,} images are too few for a label check",
        f"give at least {what} and {FOLDS} images or groups {which}",
    )


def _regression(
    inputs: NDArray[np.float32], targets: NDArray[Any], train: NDArray[np.int64], strength: float
) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength / len(train), max_iter=_STEPS, tol=1e-3)
    return model.fit(inputs[train], targets[train])


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


def judge(probabilities: NDArray[Any], targets: NDArray[np.int64], possible: float = _POSSIBLE) -> Judgement:
    """Find labels that are less probable than right labels of these classes would be.

    If the calibrated probabilities are correct, the expected number of right labels with a probability of at most t is
    known: the sum of all probabilities up to t, over all images and classes. It is large for many or similar classes.
    Unusual images are added to it: 2% of the images that the models get wrong are expected to look as if their label
    were wrong at random.

    Labels are suspects, the least probable first, up to the t where their number exceeds 1.5 times the expected one by
    most; there are none if chance (Poisson) would give as many in more than 1 of 100 sets, or if the classes are so
    similar that less than 60% of random wrong labels could be distinguished from right ones: there the probabilities
    are true for the set as a whole only, and their excess is mostly errors of the models.

    Args:
        probabilities: Float (n, classes), out of fold.
        targets: The given classes, shape (n,).
        possible: The rate of random wrong labels that ought to be distinguishable.
    """
    counts = np.bincount(targets, minlength=probabilities.shape[1])
    noise, found = _calibrated(probabilities, targets, int((counts > 0).sum()))
    rows = np.arange(len(targets))
    given = found[rows, targets]
    others = found.copy()
    others[rows, targets] = -1.0
    order = np.argsort(given, kind="stable")
    order = order[given[order] < others[order].max(axis=1)]
    unusual = _UNUSUAL * float(1 - found.max(axis=1).mean())
    honest = (1 - noise) * _sums(found, given[order], found) + unusual * _random(found[:, counts > 0], given[order])
    detectable = _detectable(found[:, counts > 0], unusual, possible)
    count = _excess(honest) if detectable >= DETECTABLE else 0
    belongs = _belongs(found, targets, noise, counts)
    return Judgement(
        probabilities=found,
        suggested=others.argmax(axis=1),
        suspects=order[:count],
        doubtful=order[count : count + _DOUBTFUL],
        precision=float(1 - honest[count - 1] / count) if count else None,
        detectable=detectable,
        wrong=1 - belongs[rows, targets],
        joint=_joint(belongs, targets),
    )


def judge_labels(probabilities: NDArray[np.float64], indicators: NDArray[np.uint8]) -> Judgement:
    """Find labels that seem to be missing or wrongly present: :func:`judge` on all pairs of image and label.

    As most pairs are easy where labels are rare, the errors that ought to be distinguishable are fewer than 1% of the
    pairs: 2% of the labels that are present are missing, and as many wrongly there.

    Args:
        probabilities: Float (n, labels), of presence, out of fold.
        indicators: Shape (n, labels): 1 if the image has the label, else 0.

    Returns:
        Pair i * labels + j is image i and label j; class 0 is absent, class 1 present.
    """
    present = probabilities.reshape(-1)
    fractions = indicators.mean(axis=0)
    possible = 2 * _POSSIBLE_LABELS * float(np.minimum(fractions, 1 - fractions).mean())
    return judge(np.stack([1 - present, present], axis=1), indicators.reshape(-1).astype(np.int64), possible)


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


def _random(probabilities: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected number with a probability of at most each limit, if every label were wrong at random."""
    # A random wrong label is a class with the probability that the class is not the true one.
    wrong: NDArray[np.float64] = _sums(probabilities, limits, 1 - probabilities) / max(probabilities.shape[1] - 1, 1)
    return wrong


def _detectable(probabilities: NDArray[np.float64], unusual: float, possible: float) -> float:
    """The fraction of random wrong labels below the highest limit at which they would equal the right ones, if this
    fraction of labels were wrong."""
    limits = np.geomspace(1e-9, 0.5, 60)
    wrong = _random(probabilities, limits)
    able = (possible - unusual) * wrong >= _sums(probabilities, limits, probabilities)
    return float(wrong[able].max() / len(probabilities)) if able.any() else 0.0


def _belongs(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64], noise: float, counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Probability that each image belongs to each class, given its label, if labels are noisy; (n, classes)."""
    rows, classes = np.arange(len(targets)), int((counts > 0).sum())
    given = probabilities[rows, targets]
    random = noise / classes / ((1 - noise) * given + noise / classes)
    belongs = probabilities * random[:, None]
    belongs[rows, targets] += 1 - random
    return belongs


def _joint(belongs: NDArray[np.float64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Expected number of images of each given class (row) that belong to each class (column)."""
    classes = belongs.shape[1]
    joint = np.zeros((classes, classes))
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
