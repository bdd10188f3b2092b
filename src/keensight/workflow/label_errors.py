"""Find label errors with models trained neither on the image nor on features tuned with its label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core.config import RunConfig
from keensight.core.effort import EFFORTS
from keensight.core.evaluation import Evaluated, Evaluation
from keensight.core.labels import AccuracyRange, ClassNoise, LabelSuspects, Suspect
from keensight.core.progress import Progress
from keensight.core.records import PARTS, Dataset, Split
from keensight.core.task import Task
from keensight.errors import DataError
from keensight.workflow.features import caches, images_of
from keensight.workflow.fit import transfers
from keensight.workflow.prepare import input_spec
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source, build, image_spec, open, prepare

if TYPE_CHECKING:
    from keensight.assess.confident_learning import Judgement
    from keensight.core.audit import AuditReport
    from keensight.core.decoded import Pixels

EPOCHS = 15
"""Training from scratch for at least this many epochs takes several times as long as the check."""
_STEP, _SIDES = 32, (64, 160)
"""Image sizes in pixels, if the check uses another network than the run. On Fashion-MNIST 96 px found no more than
64."""


def wanted(config: RunConfig) -> bool:
    """Whether training with these resolved settings ends with a label check."""
    if config.train.label_check != "auto":
        return config.train.label_check == "yes"
    return EFFORTS[config.train.effort].label_check and (transfers(config) or (config.train.epochs or 0) >= EPOCHS)


def check_labels(  # noqa: PLR0913 - public options, by keyword
    data: Source,
    split: Split,
    *,
    config: RunConfig | None = None,
    pixels: Pixels | None = None,
    audit: AuditReport | None = None,
    evaluation: Evaluation | None = None,
    progress: Progress | None = None,
) -> LabelSuspects:
    """Find label errors among all images of a split (see ``assess.confident_learning``).

    The probabilities come from logistic regressions, each fitted without a fifth of the images, on features of an
    ImageNet network: a network fine-tuned on the labels has memorized the wrong ones too. It is the run's initial
    network, so that transfer learning has computed most of the features before; beside a training from scratch it is
    ``efficientnet_lite0`` at twice the images' side (64 to 160 px).

    Images of a group, exact copies and the duplicates of the audit are never on both sides. Classes of fewer images or
    groups than folds are left out. In a multi-label set each pair of image and label is judged: is the label missing,
    or wrongly there? Labels that fewer images or groups than folds have, or lack, are left out; there is no accuracy
    range.

    Args:
        data: The image set, or what :func:`open` takes.
        split: Its split.
        config: Resolved settings of the run; None: the defaults.
        pixels: Its decoded images, of the size that the network of the run takes; None: decoded here.
        audit: Its audit, for near-duplicates; None: only groups and exact copies are kept together.
        evaluation: Figures of the test set with their predictions, for the accuracy range.
        progress: Where to report.

    Raises:
        DataError: there are too few images.

    Examples:
        >>> suspects = ks.check_labels(data, split, pixels=pixels)
        >>> len(suspects.suspects)
        0
    """
    from keensight.assess.confident_learning import FOLDS
    from keensight.data.audit.duplicates import ties
    from keensight.data.units import unit_numbers

    progress, chosen = shown(progress), config or RunConfig()
    data = open(data, progress=progress)
    rows = np.sort(np.concatenate([split.part(part) for part in PARTS]))
    groups = unit_numbers(data.samples, rows, () if audit is None else ties(audit, data))
    labels = np.arange(len(data.labels))
    if data.task == Task.MULTILABEL:
        labels = _large_labels(data.indicators()[rows], groups, FOLDS)
    else:
        rows, groups = _large_classes(data, rows, groups, FOLDS)
    if not len(rows) or not len(labels):
        raise DataError(
            f"{data.name}: no {data.task.noun} has {FOLDS} images or groups, too few for a label check",
            f"add images to each {data.task.noun}",
        )
    features, network = _features(data, split, rows, chosen, pixels, progress)
    method = f"calibrated {FOLDS}-fold logistic regression on {network} features"
    images = _Images(data, split, rows, groups, features, method, chosen.train.seed)
    if data.task == Task.MULTILABEL:
        return _check_pairs(images, labels, progress)
    return _check_classes(images, evaluation, progress)


@dataclass(frozen=True, slots=True, eq=False)
class _Images:
    """What is checked."""

    data: Dataset
    split: Split
    rows: NDArray[np.int64]
    """Indices of the samples, shape (n,)."""
    groups: NDArray[np.int64]
    features: NDArray[np.float32]
    method: str
    seed: int


def _check_classes(images: _Images, evaluation: Evaluation | None, progress: Progress) -> LabelSuspects:
    from keensight.assess.confident_learning import judge, out_of_fold

    data, split, rows = images.data, images.split, images.rows
    targets = data.targets()[rows]
    probabilities = out_of_fold(
        images.features, targets, images.groups, len(data.labels), seed=images.seed, progress=progress
    )
    judged = judge(probabilities, targets)
    return LabelSuspects(
        n=len(rows),
        method=images.method,
        accuracy=float((probabilities.argmax(axis=1) == targets).mean()),
        noise=float(1 - np.trace(judged.joint) / len(rows)),
        suspects=_suspects(data, split, rows, judged, judged.suspects),
        classes=_classes(data, targets, judged),
        accuracy_range=None if evaluation is None else _range(data, rows, judged, evaluation),
        doubtful=_suspects(data, split, rows, judged, judged.doubtful),
        precision=judged.precision,
        detectable=judged.detectable,
    )


def _check_pairs(images: _Images, labels: NDArray[np.int64], progress: Progress) -> LabelSuspects:
    from keensight.assess.confident_learning import judge_labels, out_of_fold_labels

    names = [images.data.labels.names[label] for label in labels]
    present = images.data.indicators()[np.ix_(images.rows, labels)]
    probabilities = out_of_fold_labels(images.features, present, images.groups, seed=images.seed, progress=progress)
    judged = judge_labels(probabilities, present)
    return LabelSuspects(
        n=len(images.rows),
        method=images.method,
        accuracy=float(((probabilities > 0.5) == present).mean()),
        noise=float(judged.wrong.mean()),
        suspects=_pairs(images, judged, judged.suspects, present, names),
        classes=_sides(judged, present, names),
        doubtful=_pairs(images, judged, judged.doubtful, present, names),
        precision=judged.precision,
        detectable=judged.detectable,
    )


def _large_labels(present: NDArray[np.uint8], groups: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Labels that enough groups have, and lack."""
    enough = [
        min(len(np.unique(groups[column == side])) for side in (0, 1)) >= least for column in np.transpose(present)
    ]
    return np.flatnonzero(enough)


def _pairs(
    images: _Images, judged: Judgement, chosen: NDArray[np.int64], present: NDArray[np.uint8], names: list[str]
) -> tuple[Suspect, ...]:
    part_of = _part_of(images.split)
    found = []
    for pair in chosen.tolist():
        image, label = divmod(pair, len(names))
        index, there = int(images.rows[image]), int(present[image, label])
        sample, sides = images.data.samples[index], (_absent(names[label]), names[label])
        chances = judged.probabilities[pair].tolist()
        words, numbers = (sides[there], sides[1 - there]), (chances[there], chances[1 - there])
        found.append(Suspect(sample.path, sample.digest, part_of[index], *words, *numbers))
    return tuple(found)


def _absent(label: str) -> str:
    return f"not {label}"


def _sides(judged: Judgement, present: NDArray[np.uint8], names: list[str]) -> tuple[ClassNoise, ...]:
    """Two rows per label: images that have it, and images that do not."""
    suspect, wrong = np.zeros(present.shape, bool), judged.wrong.reshape(present.shape)
    suspect.flat[judged.suspects] = True
    found = []
    for label, name in enumerate(names):
        for side, own, other in ((1, name, _absent(name)), (0, _absent(name), name)):
            those = present[:, label] == side
            suspects, noise = int(suspect[those, label].sum()), float(wrong[those, label].mean())
            found.append(ClassNoise(own, int(those.sum()), suspects, noise, other))
    return tuple(found)


def _large_classes(
    dataset: Dataset, rows: NDArray[np.int64], groups: NDArray[np.int64], least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    targets = dataset.targets()[rows]
    distinct = Counter(target for target, _ in set(zip(targets.tolist(), groups.tolist(), strict=True)))
    large = np.array([distinct[target] >= least for target in targets.tolist()], bool)
    return rows[large], groups[large]


def _features(
    dataset: Dataset,
    split: Split,
    rows: NDArray[np.int64],
    config: RunConfig,
    pixels: Pixels | None,
    progress: Progress,
) -> tuple[NDArray[np.float32], str]:
    """Features (n, d), and their network."""
    from keensight.data.input_size import median_side
    from keensight.nets.models.backbones import DEFAULT_PRETRAINED
    from keensight.nets.training.images import features

    own = transfers(config) and config.model.weights == "imagenet"
    name = config.model.name if own else DEFAULT_PRETRAINED
    if own:
        spec = input_spec(dataset, config, name)
    else:
        side = int(np.clip(_STEP * round(2 * median_side(dataset) / _STEP), *_SIDES))
        spec = image_spec(dataset, side, model=name, intensity=config.data.intensity, background=config.data.background)
    if pixels is None or pixels.spec != spec:
        # Caching enlarged small images would fill the disk to save little decoding.
        pixels = prepare(dataset, spec, cache="auto" if own else "never", progress=progress)
    found = features(build(dataset, spec, name), images_of(dataset, split, pixels), rows, caches(progress))
    return found, f"{name} ({spec.width}x{spec.height} px)"


def _suspects(
    dataset: Dataset, split: Split, rows: NDArray[np.int64], judged: Judgement, chosen: NDArray[np.int64]
) -> tuple[Suspect, ...]:
    part_of = _part_of(split)
    names = dataset.labels.names
    encoded = dataset.targets()[rows]
    return tuple(
        Suspect(
            path=dataset.samples[int(rows[i])].path,
            digest=dataset.samples[int(rows[i])].digest,
            part=part_of[int(rows[i])],
            given=dataset.samples[int(rows[i])].label,
            suggested=names[int(judged.suggested[i])],
            score=float(judged.probabilities[i, encoded[i]]),
            probability=float(judged.probabilities[i, judged.suggested[i]]),
        )
        for i in chosen
    )


def _part_of(split: Split) -> dict[int, str]:
    return {int(row): part for part in PARTS for row in split.part(part)}


def _classes(dataset: Dataset, targets: NDArray[np.int64], judged: Judgement) -> tuple[ClassNoise, ...]:
    suspects = Counter(targets[judged.suspects].tolist())
    counts = Counter(targets.tolist())
    found = []
    for number, label in enumerate(dataset.labels.names):
        if counts[number]:
            row = judged.joint[number].copy()
            noise, row[number] = float(1 - row[number] / row.sum()), 0.0
            mostly = dataset.labels.names[int(row.argmax())] if row.any() else ""
            found.append(ClassNoise(label, counts[number], suspects[number], noise, mostly))
    return tuple(found)


def _range(
    dataset: Dataset, rows: NDArray[np.int64], judged: Judgement, evaluation: Evaluation
) -> AccuracyRange | None:
    """The range of the test accuracy; None if the evaluation has no predictions."""
    from keensight.assess.confident_learning import accuracy_range

    if not isinstance(evaluation, Evaluated):
        return None
    suggestion = np.full(len(dataset), -1, np.int64)
    suggestion[rows[judged.suspects]] = judged.suggested[judged.suspects]
    suggested = suggestion[evaluation.rows]
    given = dataset.targets()[evaluation.rows]
    return accuracy_range(evaluation.predictions.probabilities.argmax(axis=1), given, suggested, suggested >= 0)
