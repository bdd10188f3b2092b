"""Suspected label errors: confident learning on probabilities that come from models which did not see the image.

Northcutt, Jiang, Chuang 2021, "Confident learning: estimating uncertainty in dataset labels", JAIR 70.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.labels import AccuracyRange
from keensight.core.progress import Progress, Silent
from keensight.errors import DataError

FOLDS = 5
_COMPONENTS = 256
_BASIS_IMAGES = 10_000
_STRENGTH = 200.0
"""Inverse strength of the penalty on the mean loss: of 60 to 600 the best at planted errors in photographs."""
_STEPS = 300
_DOUBTFUL = 0.1
"""Self-confidence from which on no label is suspect."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What the probabilities say of each label."""

    scores: NDArray[np.float64]
    """Shape (n,): self-confidence, the probability of the given class; the lowest are the most suspicious."""
    suggested: NDArray[np.int64]
    """Shape (n,): the most probable class other than the given one."""
    suspects: NDArray[np.int64]
    """Rows whose label is likely wrong, the most suspicious first."""
    joint: NDArray[np.float64]
    """Shape (classes, classes): estimated number of images; row = given class, column = class it belongs to."""


def out_of_fold(
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: int,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Class probabilities of each image, by a model that saw neither it nor any image of its group.

    Multinomial logistic regression on principal components (at most 256) of the standardised features. Whole groups
    are dealt out to the folds, class by class.

    Args:
        features: Float (n, d), from a network that has not learned these labels.
        targets: Class numbers, shape (n,).
        groups: Shape (n,); images of one number are in one fold.
        classes: Number of classes.
        folds: Number of models.
        seed: Another seed gives other folds.
        progress: Where to report.

    Returns:
        float64 (n, classes), rows that sum to 1; a class that a model has not seen has probability 0.

    Raises:
        DataError: a fold would have no group, or a model no second class.
    """
    from sklearn.linear_model import LogisticRegression

    fold = _deal(targets, groups, folds, seed)
    parts = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(folds)]
    if any(len(held) == 0 or len(np.unique(targets[train])) < 2 for train, held in parts):
        raise DataError(
            f"{len(targets):,} images are too few to check their labels",
            f"give at least two classes and {folds} images or groups of each",
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


def _deal(targets: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each image, shape (n,): groups in random order, sorted by the class of their first image, in turn."""
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    order = np.lexsort((np.random.default_rng(seed).random(len(first)), targets[first]))
    turn = np.empty(len(first), np.int64)
    turn[order] = np.arange(len(first)) % folds
    dealt: NDArray[np.int64] = turn[number]
    return dealt


def _components(features: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Standardised features on their first principal axes, the first of unit variance; float32 (n, 256 at most)."""
    from sklearn.decomposition import PCA

    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    some = np.random.default_rng(seed).permutation(len(features))[:_BASIS_IMAGES]
    standard = (features[some] - mean) / scale
    count = min(_COMPONENTS, *standard.shape)
    basis = PCA(count, svd_solver="randomized", random_state=seed).fit(standard)
    axes = basis.components_ / scale
    # Folded into the axes, so that no second copy of all features is made.
    rows: NDArray[np.float32] = (features @ axes.T - mean @ axes.T).astype(np.float32)
    rows /= rows[:, 0].std() + 1e-6
    return rows


def judge(probabilities: NDArray[Any], targets: NDArray[np.int64]) -> Judgement:
    """Confident learning: how many labels of each class are wrong, and which they likely are.

    An image counts as one of class j if its probability of j reaches the mean that the images labelled j have; where
    several classes do, the most probable one is taken. These counts, each row scaled to the number of its images, are
    the confident joint, whose off-diagonal estimates the wrong labels of each class. As many are suspect, those with
    the lowest self-confidence (the paper's "prune by class"), but none with a self-confidence of 0.1 or more: where
    classes look alike the joint counts honest confusions too.

    Args:
        probabilities: Float (n, classes), out of fold.
        targets: The given classes, shape (n,).
    """
    n, classes = probabilities.shape
    given = probabilities[np.arange(n), targets].astype(np.float64)
    counts = np.bincount(targets, minlength=classes)
    means = np.bincount(targets, weights=given, minlength=classes) / np.maximum(counts, 1)
    reached = np.where(probabilities >= np.where(counts > 0, means, np.inf), probabilities, -1.0)
    confident = reached.max(axis=1) >= 0
    joint = _joint(targets[confident], reached.argmax(axis=1)[confident], counts)
    others = np.array(probabilities, np.float64)
    others[np.arange(n), targets] = -1.0
    return Judgement(given, others.argmax(axis=1), _least_confident(given, targets, joint), joint)


def _least_confident(
    given: NDArray[np.float64], targets: NDArray[np.int64], joint: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Of each class as many rows as have wrong labels, those with the lowest self-confidence; the lowest first."""
    order = np.argsort(given, kind="stable")
    wrong = np.round(joint.sum(axis=1) - np.diag(joint)).astype(np.int64)
    places = [order[targets[order] == number][: wrong[number]] for number in range(len(joint))]
    chosen: NDArray[np.int64] = np.sort(np.concatenate(places))
    chosen = chosen[given[chosen] < _DOUBTFUL]
    ranked: NDArray[np.int64] = chosen[np.argsort(given[chosen], kind="stable")]
    return ranked


def _joint(given: NDArray[np.int64], likely: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The confident joint with rows that sum to the number of images of each given class."""
    classes = len(counts)
    found = np.bincount(given * classes + likely, minlength=classes**2).reshape(classes, classes).astype(np.float64)
    found[found.sum(axis=1) == 0] = np.eye(classes)[found.sum(axis=1) == 0]
    scaled: NDArray[np.float64] = found / found.sum(axis=1, keepdims=True) * counts[:, None]
    return scaled


def accuracy_range(
    predicted: NDArray[np.int64], given: NDArray[np.int64], suggested: NDArray[np.int64], suspect: NDArray[np.bool_]
) -> AccuracyRange:
    """The accuracy on a part if some of its suspects are mislabelled and their suggested class is right.

    Args:
        predicted: Classes that the model named, shape (n,).
        given: The labels, shape (n,).
        suggested: What to read instead, shape (n,); looked at for suspects only.
        suspect: Which labels are suspect, shape (n,).
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
