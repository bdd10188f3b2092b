"""What would more images give: the learning curve of a quick head on frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.comparison import CurvePoint, LearningCurve
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.errors import DataError, UsageError
from keensight.workflow.features import images_of, workshop
from keensight.workflow.steps import Source, build, configure, image_spec, open, prepare, shown, split

if TYPE_CHECKING:
    from keensight.core.config import RunConfig

SHARES = ((1 / 8, 4), (1 / 4, 3), (1 / 2, 3), (1.0, 1))
"""Share of the training part, and how often it is drawn."""
_FEWEST = 64


def learning_curve(
    source: Source,
    *,
    config: RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **shortcuts: Any,
) -> LearningCurve:
    """Train the quick way on an eighth, a quarter, half and all of the training part, and extend the curve.

    A logistic head on frozen features of a pretrained network, each feature computed once and remembered. It is
    measured on the validation part, which also chose the head's penalty; the test part is not looked at.

    Args:
        source: What ``train`` takes.
        config: Settings; None: the defaults.
        settings: Changes to them.
        progress: Where to report.
        **shortcuts: As for ``train``; ``model`` must be pretrained (left out: the default one).

    Raises:
        DataError: there are too few training images for an eighth of them to say anything.
        UsageError: the model has no pretrained weights.
    """
    from keensight.nets.backbones import ARCHITECTURES, DEFAULT_PRETRAINED
    from keensight.nets.transfer import features

    chosen, show = configure(config, settings, **shortcuts), shown(progress)
    name = DEFAULT_PRETRAINED if chosen.model.name == "auto" else chosen.model.name
    if not ARCHITECTURES[name].pretrained:
        raise UsageError(f"{name} has no pretrained weights, which the learning curve needs", "leave --model out")
    table = chosen.data
    data = open(
        source,
        label=table.label,
        labels=table.labels,
        path=table.path,
        group=table.group,
        group_regex=table.group_regex,
        progress=show,
    )
    spec = image_spec(data, table.image_size, table.fit, model=name, effort="quick")
    pixels = prepare(data, spec, progress=show)
    parts = split(data, val_share=table.val_share, test_share=table.test_share, seed=chosen.train.seed)
    train, val = (np.array([r for r in parts.part(p) if int(r) not in pixels.errors]) for p in ("train", "val"))
    if len(train) < _FEWEST:
        raise DataError(
            f"{len(train)} training images are too few for a learning curve", f"give {_FEWEST} or more of them"
        )
    model = build(data, spec, name)
    found = features(model, images_of(data, parts, pixels), np.concatenate([train, val]), workshop(show))
    wrong = _points(data, train, val, found, chosen.train.seed, show)
    return _curve(data, name, len(val), wrong)


def _points(
    data: Dataset, train: NDArray[np.int64], val: NDArray[np.int64], features: NDArray[np.float32], seed: int,
    show: Progress,
) -> list[tuple[int, NDArray[np.bool_]]]:  # fmt: skip
    """For each share the mean number of images, and which validation images were wrong in each draw (draws, val)."""
    from keensight.nets.logistic import fit_head

    targets, classes = data.targets(), len(data.labels)
    known, unseen = features[: len(train)], features[len(train) :]
    points = []
    with show.task("learning from fewer images", sum(draws for _, draws in SHARES), "trainings") as task:
        for share, draws in SHARES:
            chosen = [draw(data, train, share, seed + number) for number in range(draws)]
            rows = []
            for some in chosen:
                head = fit_head(known[some], targets[train[some]], unseen, targets[val], classes)
                rows.append(head.logits(unseen).argmax(axis=1) != targets[val])
                task.advance(1)
            points.append((round(float(np.mean([len(some) for some in chosen]))), np.stack(rows)))
    return points


def draw(data: Dataset, train: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Places in ``train`` of about a share of it: whole groups where there are such, else of each class alike."""
    if share == 1:
        return np.arange(len(train))
    rng = np.random.default_rng([seed, round(1 / share)])
    samples = [data.samples[int(row)] for row in train]
    keys = np.array([sample.label if sample.group is None else f"group {sample.group}" for sample in samples])
    if any(sample.group is not None for sample in samples):
        names = rng.permutation(np.unique(keys))
        sizes = np.cumsum([(keys == name).sum() for name in names])
        return np.flatnonzero(np.isin(keys, names[: int(np.searchsorted(sizes, share * len(train))) + 1]))
    taken = [
        rng.permutation(np.flatnonzero(keys == name))[: max(1, round(share * float((keys == name).sum())))]
        for name in np.unique(keys)
    ]
    return np.sort(np.concatenate(taken))


def _curve(data: Dataset, model: str, val: int, points: list[tuple[int, NDArray[np.bool_]]]) -> LearningCurve:
    from keensight.assess.growth import doubling

    (floor, factor, exponent), gain = doubling(
        np.array([images for images, _ in points], dtype=np.float64), [wrong for _, wrong in points]
    )
    shown_points = tuple(CurvePoint(images, tuple(float(1 - row.mean()) for row in wrong)) for images, wrong in points)
    return LearningCurve(data.name, model, val, shown_points, floor, factor, exponent, gain)
