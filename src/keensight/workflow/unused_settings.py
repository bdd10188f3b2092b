"""Settings without effect on a run: its ``config.toml`` contains only what was used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from keensight.core.config import RunConfig, settings
from keensight.core.records import Dataset
from keensight.core.task import Task
from keensight.data.background import transparent_rows
from keensight.data.intensity import deep_rows
from keensight.workflow.fit import head_only, transfers

Kind = Literal["classifier", "detector", "adopted"]

_STEPS = (
    "train.epochs", "train.batch_size", "train.optimizer", "train.learning_rate", "train.schedule",
    "train.weight_decay", "train.label_smoothing", "train.ema", "train.patience", "train.precision", "model.dropout",
    "train.checkpoint_minutes", "train.halve_batch",
)  # fmt: skip
"""Settings of stepwise training; a logistic-regression head on frozen features does not use them."""


def without_effect(config: RunConfig, dataset: Dataset, kind: Kind = "classifier") -> tuple[str, ...]:
    """Names of the settings that this run did not use, such as ``train.epochs``, in order.

    Args:
        config: The settings, resolved.
        dataset: The image set.
        kind: The kind of run; ``adopted``: a network that was trained elsewhere.
    """
    of_kind = _of_classifier(config, dataset) if kind == "classifier" else _untrained(kind)
    unused = {*_split(dataset), *_images(dataset), *of_kind}
    return tuple(one.dotted for one in settings() if one.dotted in unused)


def _split(dataset: Dataset) -> Iterator[str]:
    given = {sample.split for sample in dataset.samples}
    if given & {"val", "test"}:
        yield "data.val_share"
    if "test" in given:
        yield "data.test_share"


def _images(dataset: Dataset) -> Iterator[str]:
    if not deep_rows(dataset):
        yield "data.intensity"
    if not transparent_rows(dataset):
        yield "data.background"


def _of_classifier(config: RunConfig, dataset: Dataset) -> Iterator[str]:
    if dataset.task == Task.MULTILABEL:
        yield from ("decision.set_level", "train.logit_adjustment")
    if not transfers(config):
        yield from ("train.logit_adjustment", "train.engine")
    else:
        yield "train.tensorboard"
        if head_only(config):
            yield from _STEPS
    if not config.augment.enabled:
        yield from (one.dotted for one in settings() if one.section == "augment" and one.name != "enabled")


def _untrained(kind: Kind) -> Iterator[str]:
    """For a run without training: the seed still determines the split."""
    sections = ("train", "augment", "decision") if kind == "detector" else ("train", "augment")
    used = ("train.seed", "train.engine") if kind == "detector" else ("train.seed",)
    yield from (one.dotted for one in settings() if one.section in sections and one.dotted not in used)
    yield from ("model.width", "model.dropout")
    if kind == "adopted":
        yield "model.weights"
