"""Adopt a Keras model that was trained elsewhere: a verified bundle, an evaluation, a report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from keensight.core.audit import AuditReport
from keensight.core.config import RunConfig
from keensight.core.deprecation import renamed
from keensight.core.options import ColumnOptions, with_options
from keensight.core.progress import Logged, Progress
from keensight.core.records import Dataset, Fit, History, ImageSpec, LabelSet, Split
from keensight.core.task import Task
from keensight.errors import DataError, UsageError
from keensight.workflow.bundle import versions
from keensight.workflow.calibrate import check as check_decision
from keensight.workflow.finish import Trained, finish
from keensight.workflow.prepare import Prepared, prepare_data
from keensight.workflow.prepare import split as split_set
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source, configure, open
from keensight.workflow.train import recorded
from keensight.workflow.unused_settings import without_effect

if TYPE_CHECKING:
    import keras

    from keensight.core.decoded import Pixels
    from keensight.nets.adopt import Adopted
    from keensight.nets.classifier import Classifier
    from keensight.store.run import Run

_PROBED, _COMPARED = 200, 16
_VAL_SHARE = 0.2
_CHANCE, _BETTER = 2.0, 0.2
"""A normalization is doubted if the accuracy is below twice chance, or another one is better by this much."""


@renamed(labels="class_names")
@with_options(ColumnOptions)
def adopt(  # noqa: PLR0913 - public options, by keyword
    model: keras.Model,
    source: Source,
    *,
    class_names: Sequence[str] | None = None,
    normalisation: str = "none",
    fit: Fit = "stretch",
    split: Split | None = None,
    settings: Mapping[str, Any] | None = None,
    run: str | Path | None = None,
    command: str = "",
    progress: Progress | None = None,
    **options: Unpack[ColumnOptions],
) -> Run:
    """Adopt a Keras model that was trained elsewhere: bundle, self-test, evaluation on the test set, report.

    The model becomes part of a graph that takes uint8 pixels and normalizes them itself; a copy of it is compared
    with the original before anything else. Its training images are unknown: give the splits that it was trained with,
    in the source or as ``split``. Without splits, all images are assumed to be new to it: 20% become the validation
    set, the rest is measured.

    Args:
        model: Functional or sequential, built of stock layers, of one input (height, width[, 1 or 3]) in numbers, and
            one output: a softmax (a sigmoid, for one of two classes or for several labels an image), or logits.
        source: See :func:`open`.
        class_names: Names of the classes in the order of the outputs; None: those of the source, in its order.
        normalisation: The normalization of the model's training: ``none`` (pixels from 0 to 255, also where it
            scales them itself), ``0..1``, ``-1..1``, ``imagenet`` (from 0 to 1, less ImageNet's mean, by its
            deviation) or ``caffe`` (BGR less ImageNet's mean); see ``keras.applications``' ``preprocess_input``.
        fit: What happens to images of another aspect ratio: ``stretch``, ``crop`` or ``pad``.
        split: The split; None: that of the source.
        settings: The decision rule: settings of the section ``decision``, such as ``{"decision.target_precision":
            0.95}``.
        run: Folder of the run; None: a new one under ``runs/``.
        command: The command line, for the record.
        progress: Where to report.
        **options: How the source is read (see :func:`open`).

    Returns:
        The finished run.

    Raises:
        UsageError: the model cannot be taken in: another number of outputs than classes, custom layers, randomness at
            inference, an input of unknown size. Or a setting is none of ``decision``.
        DataError: the images cannot be used, or have classes that are not in ``class_names``.
        GateError: the copy does not reproduce the model's predictions.

    Examples:
        >>> keras, _ = ks.framework()
        >>> network = keras.Sequential([
        ...     keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")
        ... ])
        >>> run = ks.adopt(network, "photos/", class_names=["day", "night"], normalisation="0..1")
        >>> run.state
        'finished'
    """
    from keensight.data.background import with_appearance
    from keensight.nets import adopt as nets
    from keensight.store.create_run import create_run

    started, progress = time.perf_counter(), shown(progress)
    _check_settings(settings or {})
    dataset = _named(open(source, progress=progress, **options), class_names)
    adopted = nets.adopt(model, len(dataset.labels), normalisation, dataset.task)
    height, width, _ = adopted.model.input_shape[1:]
    config = _config(model.name, height, width, fit, settings or {})
    check_decision(config.decision, dataset.task)
    handle = create_run(
        None if run is None else Path(run), name=dataset.name, source=dataset.name, model=model.name,
        command=command, seed=config.train.seed, versions=versions(),
        config_toml=config.to_toml(without_effect(config, dataset, "adopted")),
    )  # fmt: skip
    progress = Logged(progress, handle.log)
    with recorded(handle):
        if class_names is None:
            _say(progress, _order(dataset))
        divide = _parts if split is None else partial(_as_given, split)
        spec = with_appearance(ImageSpec(height, width, fit), dataset)
        prepared = prepare_data(dataset, spec, config, progress, divide=divide)
        pixels, findings, dealt = prepared.pixels, prepared.findings, prepared.split
        if split is None and (learned := _learned(dataset, dealt)):
            _say(progress, learned)
            dealt = dataclasses.replace(dealt, method=" ".join([dealt.method, *learned]))
        handle.save_dataset(dataset)
        handle.save_audit(findings)
        handle.save_split(dealt, dataset)
        classifier = _classifier(adopted, dataset, pixels)
        _say(progress, _lacking(classifier, dealt))
        _compare(model, adopted, classifier, prepared, normalisation, progress)
        words = nets.in_words(normalisation)
        history = History((), 0, "trained elsewhere")
        trained = Trained(classifier, history, dataset, dealt, pixels, findings, config, words)
        return finish(handle, trained, progress, started)


def _named(dataset: Dataset, class_names: Sequence[str] | None) -> Dataset:
    """Reorder the dataset's classes by the model's outputs."""
    if class_names is None:
        return dataset
    names = LabelSet(tuple(str(name) for name in class_names))
    unknown = sorted({name for sample in dataset.samples for name in sample.classes} - set(names.names))
    if unknown:
        raise DataError(
            f"{dataset.name} has classes that class_names does not contain: {', '.join(unknown[:10])}",
            f"class_names: {', '.join(names.names[:20])}; remove images of other classes",
        )
    return dataclasses.replace(dataset, labels=names)


def _check_settings(settings: Mapping[str, Any]) -> None:
    others = [name for name in settings if not name.startswith("decision.")]
    if others:
        raise UsageError(
            f"nothing is trained, so the setting {others[0]} has no effect", "use settings of the section decision"
        )


def _config(name: str, height: int, width: int, fit: str, settings: Mapping[str, Any]) -> RunConfig:
    """Settings for an adopted model: nothing is trained, and label errors are not checked."""
    return configure(
        settings={
            "model.name": name, "model.weights": "none", "data.image_size": height if height == width else None,
            "data.fit": fit, "train.effort": "quick", "train.label_check": "no", "augment.enabled": False,
            "augment.flip": "none", **settings,
        }
    )  # fmt: skip


def _parts(dataset: Dataset, findings: AuditReport) -> Split:
    """The source's splits; without training images, all images are assumed to be new to the model."""
    if any(sample.split == "train" for sample in dataset.samples):
        return split_set(dataset, audit=findings)
    unusable = findings.unusable(dataset)
    rows = [i for i, sample in enumerate(dataset.samples) if sample.error is None and i not in unusable]
    given = {part: tuple(i for i in rows if dataset.samples[i].split == part) for part in ("val", "test")}
    if given["val"] and given["test"]:
        return Split((), given["val"], given["test"], "Validation and test set as predefined in the source.")
    bare = dataclasses.replace(dataset, samples=tuple(dataclasses.replace(s, split=None) for s in dataset.samples))
    dealt = split_set(bare, audit=findings, val_share=_VAL_SHARE, test_share=_VAL_SHARE)
    return Split(
        (), dealt.val, tuple(sorted((*dealt.test, *dealt.train))),
        f"{_VAL_SHARE:.0%} of the images, by a hash of each image's content, for calibration and decisions; the "
        f"others for testing. The model is assumed not to have been trained on any of them.",
    )  # fmt: skip


def _as_given(split: Split, dataset: Dataset, findings: AuditReport) -> Split:
    unusable = findings.unusable(dataset)
    kept = {part: tuple(i for i in getattr(split, part) if i not in unusable) for part in ("train", "val", "test")}
    if not kept["val"] or not kept["test"]:
        raise DataError("the split has no validation or no test images", "add images to both")
    return Split(**kept, method=split.method)


def _classifier(adopted: Adopted, dataset: Dataset, pixels: Pixels) -> Classifier:
    from keensight.assess.thresholds import DEFAULT
    from keensight.nets.classifier import Classifier

    thresholds = (DEFAULT,) * len(dataset.labels) if dataset.task == Task.MULTILABEL else None
    return Classifier(adopted.model, dataset.labels, pixels.spec, thresholds=thresholds)


def _compare(
    model: keras.Model,
    adopted: Adopted,
    classifier: Classifier,
    prepared: Prepared,
    normalisation: str,
    progress: Progress,
) -> None:
    """Compare copy and original, then the given normalization with the others."""
    from keensight.nets import adopt as nets

    dataset, rows = prepared.dataset, prepared.split.part("val")
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _PROBED)).astype(np.int64)]
    images = prepared.pixels.take(rows)
    worst = nets.check_parity(model, adopted, classifier, images[:_COMPARED], normalisation)
    lines = [f"the copy with built-in normalization reproduces {model.name} (largest difference {worst:.1g})"]
    if adopted.dropped:
        lines.append(f"removed, because only training needs them: {', '.join(adopted.dropped)}")
    if dataset.task == Task.MULTICLASS and "int" not in str(model.inputs[0].dtype):
        reached = nets.accuracies(model, adopted.end, images, dataset.targets()[rows])
        lines += _doubts(reached, normalisation, len(rows), len(dataset.labels))
    _say(progress, lines)


def _doubts(reached: dict[str, float], normalisation: str, n: int, classes: int) -> list[str]:
    """A warning if another normalization fits the model far better, or none does."""
    best = max(reached, key=lambda name: reached[name])
    figures = f"on {n:,} validation images normalization {normalisation!r} gives an accuracy of "
    figures += f"{reached[normalisation]:.3f}"
    if reached[best] > reached[normalisation] + _BETTER:
        return [f"{figures}, {best!r} would give {reached[best]:.3f}: was the model trained with that?"]
    if reached[best] < _CHANCE / classes and classes > _CHANCE:
        return [f"{figures}, hardly better than chance: are the labels in the order of the model's outputs?"]
    return []


def _order(dataset: Dataset) -> list[str]:
    names = dataset.labels.names
    if dataset.kind not in ("folder", "split folders") or list(names) == sorted(names):
        return []
    return [
        f"the outputs are assumed to be {', '.join(names[:5])}, ... in this order; Keras' own loaders sort "
        f"alphabetically ({', '.join(sorted(names)[:5])}, ...): give class_names=[...] if the model learned so"
    ]


def _learned(dataset: Dataset, split: Split) -> list[str]:
    """A warning for each split taken from the training images, which the model may have been trained on."""
    samples = dataset.samples
    if all(sample.split != "train" for sample in samples):
        return []
    val = sum(samples[i].split != "val" for i in split.val)
    test = sum(samples[i].split != "test" for i in split.test)
    lines = []
    if val:
        lines.append(
            f"The validation set, {val:,} images, was taken from the training images: if the model was trained on "
            f"them, the calibration and other choices are overconfident."
        )
    if test:
        lines.append(
            f"The test set, {test:,} images, was taken from the training images: if the model was trained on them, "
            f"the results are too optimistic."
        )
    return lines


def _lacking(classifier: Classifier, split: Split) -> list[str]:
    if classifier.embeds and split.train:
        return []
    why = "no training images are available" if classifier.embeds else "the network has no last dense layer"
    return [f"{why}: out-of-distribution images are not detected, and no class can be added"]


def _say(progress: Progress, lines: Sequence[str]) -> None:
    for line in lines:
        progress.say(line)
