"""Choose the network by image size and number of images, or else by a short comparison on validation images."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core.config import RunConfig
from keensight.core.effort import EFFORTS
from keensight.core.progress import Progress
from keensight.core.records import Dataset, ImageSpec, Split
from keensight.core.task import Task
from keensight.workflow.fit import augmentation, run_fit
from keensight.workflow.prepare import input_spec
from keensight.workflow.steps import build, image_spec, prepare

if TYPE_CHECKING:
    from keensight.nets.models.backbones import Choice

_PHOTOGRAPH, _TINY = 96, 40
_MANY = 20_000
_RACE_TRAIN, _RACE_VAL = 1500, 500
_RACE_PIXELS = 3e7
"""Number of pixels for training from scratch in a comparison: one to two minutes on two CPUs."""
_RACE_MOST = 20


def choose_model(
    dataset: Dataset,
    split: Split,
    config: RunConfig,
    progress: Progress,
    use_threads: Callable[[int | None], object] | None = None,
) -> Choice:
    """Resolve ``model.name``.

    Photographs (median shorter side of 96 px or more) are for the pretrained network. Tiny images (40 px at
    most) in great number (20,000 or more) are for one trained from scratch. In between, both are trained briefly on up
    to 1,500 images, and the one with better accuracy on up to 500 validation images is chosen; the pretrained one in a
    tie, or if the time does not let the other see its images 3 times (``quick``: 10 times). Settings that no pretrained
    network can follow (``model.weights=none``, a ``model.width``, an input below its smallest side) leave only the
    others.

    Args:
        dataset: The image set.
        split: Its split; the test set is not touched.
        config: Settings as given.
        progress: Where to report.
        use_threads: Sets the number of threads, before anything is computed; None: chosen as always.
    """
    from keensight.data.input_size import median_side
    from keensight.nets.models.backbones import DEFAULT_PRETRAINED, Choice

    settled = _settled(dataset, len(split.train), config)
    if settled is not None:
        return settled
    side, scratch = round(median_side(dataset)), _scratch(dataset, len(split.train), config)
    few, shares = _few(dataset, split)
    passes, least = _race_epochs(few, shares, config, scratch.name), EFFORTS[config.train.effort].race_epochs
    if passes < least:
        what = (
            f"comparing it with {scratch.name} ({least} epochs) would take too long for --effort {config.train.effort}"
        )
        return Choice(DEFAULT_PRETRAINED, f"images of {side} px; {what}")
    (use_threads or _use_threads)(config.train.threads)
    return _race(few, shares, config, (DEFAULT_PRETRAINED, scratch.name), progress)


def _use_threads(asked: int | None) -> None:
    from keensight.data.cache import cache_directory
    from keensight.nets import runtime

    runtime.use_threads(asked, cache_directory() / "threads.json")


def likely_model(dataset: Dataset, config: RunConfig) -> str:
    """The most likely choice of :func:`choose_model`, before there is a split."""
    from keensight.nets.models.backbones import DEFAULT_PRETRAINED

    learned_from = 1 - config.data.val_share - config.data.test_share
    settled = _settled(dataset, round(learned_from * len(dataset)), config)
    return DEFAULT_PRETRAINED if settled is None else settled.name


def _settled(dataset: Dataset, count: int, config: RunConfig) -> Choice | None:
    """The choice by settings, image size and number of images; None: a comparison is needed."""
    from keensight.data.input_size import median_side
    from keensight.nets.models.backbones import ARCHITECTURES, DEFAULT_PRETRAINED, Choice

    if config.model.name != "auto":
        return Choice(ARCHITECTURES[config.model.name].name, "as set")
    side = round(median_side(dataset))
    too_small = (config.data.image_size or _PHOTOGRAPH) < ARCHITECTURES[DEFAULT_PRETRAINED].min_side
    if config.model.weights == "none" or config.model.width is not None or too_small:
        return _scratch(dataset, count, config)
    if side >= _PHOTOGRAPH:
        return Choice(DEFAULT_PRETRAINED, f"pretrained; images are large enough: {side} px")
    return _scratch(dataset, count, config) if side <= _TINY and count >= _MANY else None


def _scratch(dataset: Dataset, count: int, config: RunConfig) -> Choice:
    from keensight.nets.models.backbones import from_scratch

    return from_scratch(count, config.data.image_size or min(image_spec(dataset).shape[:2]))


def _race_epochs(few: Dataset, split: Split, config: RunConfig, scratch: str) -> int:
    """Number of epochs for training from scratch in a comparison."""
    spec = _race_spec(few, config, scratch)
    return int(_RACE_PIXELS / (max(1, len(split.train)) * spec.height * spec.width))


def _race_spec(few: Dataset, config: RunConfig, name: str) -> ImageSpec:
    return input_spec(few, config, name, "standard")


def _race(few: Dataset, split: Split, config: RunConfig, names: tuple[str, str], progress: Progress) -> Choice:
    from keensight.nets.models.backbones import Choice

    started = time.perf_counter()
    reached = {name: _reached(name, few, split, config, progress) for name in names}
    reached_by = ", ".join(f"{name} {accuracy:.3f}" for name, accuracy in reached.items())
    seconds = time.perf_counter() - started
    measured = "accuracy" if few.task == Task.MULTICLASS else "mAP"
    return Choice(
        max(reached, key=lambda name: reached[name]),
        f"validation {measured} after a short training on {len(split.train):,} images ({seconds:.0f} s): {reached_by}",
    )


def _few(dataset: Dataset, split: Split) -> tuple[Dataset, Split]:
    """An evenly spaced sample of the training and validation sets, as a separate dataset."""
    train, val = _spread(split.part("train"), _RACE_TRAIN), _spread(split.part("val"), _RACE_VAL)
    samples = tuple(dataset.samples[int(row)] for row in (*train, *val))
    numbers = range(len(samples))
    shares = Split(tuple(numbers[: len(train)]), tuple(numbers[len(train) :]), (), "a sample for comparing models")
    return dataclasses.replace(dataset, samples=samples), shares


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    chosen: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64)]
    return chosen


def _reached(name: str, dataset: Dataset, split: Split, config: RunConfig, progress: Progress) -> float:
    """Validation accuracy (of a multi-label set: mean average precision) after a short training."""
    from keensight.nets import runtime

    spec = _race_spec(dataset, config, name)
    pixels = prepare(dataset, spec, progress=progress)
    train_rows, val_rows = (tuple(row for row in rows if row not in pixels.errors) for rows in (split.train, split.val))
    split = dataclasses.replace(split, train=train_rows, val=val_rows)
    epochs = min(_RACE_MOST, _race_epochs(dataset, split, config, name))
    train = dataclasses.replace(config.train, effort="quick", epochs=epochs, precision="float32", optimizer="auto")
    model_config = dataclasses.replace(config.model, name=name, width=None)
    runtime.configure(seed=config.train.seed)
    model = build(dataset, spec, name, weights=config.model.weights)
    settings = dataclasses.replace(config, model=model_config, train=train)
    settings = dataclasses.replace(settings, augment=augmentation(settings, dataset, split, pixels).config)
    history = run_fit(model, dataset, split, pixels, settings, progress=progress).history
    return history.epochs[history.best_epoch - 1].reached
