"""The learning curve of a classifier head on frozen features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from keensight.core.comparison import CurvePoint, LearningCurve
from keensight.core.options import CurveOptions, with_options
from keensight.core.progress import Progress, Silent
from keensight.core.records import Dataset, Split
from keensight.core.task import Task
from keensight.errors import DataError, UsageError
from keensight.workflow.features import caches, images_of
from keensight.workflow.prepare import input_spec, open_source, prepare_data
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source, build, configure

if TYPE_CHECKING:
    from keensight.core.config import RunConfig

SHARES = ((1 / 8, 4), (1 / 4, 3), (1 / 2, 3), (1.0, 1))
"""Fraction of the training set, and number of random subsets."""
_FEWEST = 64


@with_options(CurveOptions)
def learning_curve(
    source: Source,
    *,
    config: RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **options: Unpack[CurveOptions],
) -> LearningCurve:
    """Train on an eighth, a quarter, half and all of the training set, and extrapolate the curve.

    A logistic head on frozen features of a pretrained network, each feature computed once. It is evaluated on the
    validation set; the head's regularization is cross-validated on the training images; the test set is not used.

    Args:
        source: What ``train`` takes.
        config: Settings; None: the defaults.
        settings: Changes to them.
        progress: Where to report.
        **options: As for :func:`train`; ``model`` must be pretrained.

    Raises:
        DataError: it is a multi-label set, or there are too few training images for an eighth of them to say anything.
        UsageError: the model has no pretrained weights.

    Examples:
        >>> curve = ks.learning_curve("photos/", image_size=32)
        >>> [point.images for point in curve.points]
        [12, 23, 44, 88]
    """
    from keensight.data.audit.duplicates import ties
    from keensight.data.units import clusters, unit_numbers
    from keensight.nets.models.backbones import ARCHITECTURES, DEFAULT_PRETRAINED
    from keensight.nets.training.images import features, levels_of

    chosen, progress = configure(config, settings, **options), shown(progress)
    name = DEFAULT_PRETRAINED if chosen.model.name == "auto" else chosen.model.name
    if not ARCHITECTURES[name].pretrained:
        raise UsageError(f"{name} has no pretrained weights, which the learning curve needs", "remove --model")
    dataset, _ = open_source(source, chosen, progress)
    if dataset.task == Task.MULTILABEL:
        raise DataError(
            f"{dataset.name} is a multi-label set, and a learning curve needs one class per image",
            "for the curve of one label, name its column of 0 and 1, if it has one: --label COLUMN (label= in Python)",
        )
    spec = input_spec(dataset, chosen, name, "quick")
    prepared = prepare_data(dataset, spec, chosen, progress)
    pixels, split = prepared.pixels, prepared.split
    train, val = split.part("train"), split.part("val")
    if len(train) < _FEWEST:
        raise DataError(f"{len(train)} training images are too few for a learning curve", f"use at least {_FEWEST}")
    model = build(dataset, spec, name)
    found = features(model, images_of(dataset, split, pixels), np.concatenate([train, val]), caches(progress))
    tied = ties(prepared.findings, dataset)
    units = unit_numbers(dataset.samples, train, tied)
    wrong = _points(dataset, split, units, found, levels_of(model), chosen.train.seed, progress)
    return _curve(dataset, name, clusters(dataset.samples, val, tied), wrong)


def _points(  # noqa: PLR0913 - arrays and what they belong to
    dataset: Dataset,
    split: Split,
    units: NDArray[np.int64],
    features: NDArray[np.float32],
    levels: Sequence[int],
    seed: int,
    progress: Progress,
) -> list[tuple[int, NDArray[np.bool_]]]:
    """For each fraction, the mean number of images, and the misclassified validation images (draws, val)."""
    from keensight.nets.training.head import HeadInputs

    train, val = split.part("train"), split.part("val")
    targets, classes = dataset.targets(), len(dataset.labels)
    known, unseen = features[: len(train)], features[len(train) :]
    points = []
    with progress.task("training on fewer images", sum(draws for _, draws in SHARES), "trainings") as task:
        for share, draws in SHARES:
            chosen = [draw(targets[train], units, share, seed + number) for number in range(draws)]
            rows = []
            for some in chosen:
                rows_of, own, even = train[some], targets[train[some]], np.ones(len(some), np.float32)
                inputs = HeadInputs(rows_of, known[some], own, units[some], even, len(some), classes, levels)
                head = inputs.head(inputs.chosen(Silent()), everything=True)
                rows.append(head.logits(unseen).argmax(axis=1) != targets[val])
                task.advance(1)
            points.append((round(float(np.mean([len(some) for some in chosen]))), np.stack(rows)))
    return points


def draw(targets: NDArray[np.int64], units: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    """Positions of about a fraction of the images of each class, in whole units (groups, duplicates).

    Args:
        targets: Class numbers, shape (n,).
        units: Number of the unit of each image, shape (n,); a unit counts for the class of its first image.
        fraction: Above 0, at most 1.
        seed: Random seed.
    """
    if fraction == 1:
        return np.arange(len(targets))
    rng = np.random.default_rng([seed, round(1 / fraction)])
    _, first, number = np.unique(units, return_index=True, return_inverse=True)
    sizes, classes = np.bincount(number), targets[first]
    taken = []
    for label in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == label))
        held = np.cumsum(sizes[members])
        taken.append(members[: int(np.searchsorted(held, fraction * held[-1])) + 1])
    return np.flatnonzero(np.isin(number, np.concatenate(taken)))


def _curve(
    dataset: Dataset, model: str, groups: NDArray[np.int64] | None, points: list[tuple[int, NDArray[np.bool_]]]
) -> LearningCurve:
    from keensight.assess.learning_curve import doubling

    (floor, factor, exponent), gain = doubling(
        np.array([images for images, _ in points], dtype=np.float64), [wrong for _, wrong in points], groups
    )
    shown_points = tuple(CurvePoint(images, tuple(float(1 - row.mean()) for row in wrong)) for images, wrong in points)
    return LearningCurve(dataset.name, model, points[0][1].shape[1], shown_points, floor, factor, exponent, gain)
