"""What a study searches: the user's dimensions, and a default space for each kind of training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

from keensight.core.config import RunConfig, Setting, find_setting, settings
from keensight.core.records import Dataset
from keensight.core.registry import did_you_mean
from keensight.core.study import Dimension, Kind
from keensight.core.task import Task
from keensight.errors import UsageError
from keensight.workflow.fit import head_only, transfers
from keensight.workflow.unused_settings import without_effect

Space: TypeAlias = Mapping[str, str | tuple[float, float] | Sequence[Any]]
"""Setting to a range, ``"1e-4..1e-2"`` or ``(1e-4, 1e-2)``, or to values, ``"sgd,adamw"`` or ``["sgd", "adamw"]``."""
_SECTIONS = ("model", "train", "augment")
_FIXED = frozenset({
    "train.effort", "train.threads", "train.seed", "train.label_check", "train.tensorboard", "train.evaluate_on",
    "train.checkpoint_minutes", "train.halve_batch",
})  # fmt: skip
"""Settings of these sections that do not change what is learned, or change the study itself."""
_IMAGES = ("data.image_size", "data.fit", "data.intensity", "data.background")


def searchable() -> list[str]:
    """Names of the settings that can be searched."""
    return [
        one.dotted for one in settings()
        if one.dotted in _IMAGES or (one.section in _SECTIONS and one.dotted not in _FIXED)
    ]  # fmt: skip


def parse_space(given: Space, fixed: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """Read and check the user's dimensions.

    Args:
        given: Setting to range or values.
        fixed: Settings that have been given one value.

    Raises:
        UsageError: a setting does not exist, cannot be searched, is fixed too, or a value is not allowed.
    """
    return tuple(_dimension(_searched(name, fixed), spec) for name, spec in given.items())


def parse_assignments(items: Sequence[str]) -> dict[str, str]:
    """Read ``("train.dropout=0..0.5",)`` as ``{"train.dropout": "0..0.5"}``.

    Raises:
        UsageError: an item has no ``=``, or a name occurs twice.
    """
    found: dict[str, str] = {}
    for item in items:
        name, equals, spec = (piece.strip() for piece in item.partition("="))
        if not equals or not spec:
            raise UsageError(
                f"--space {item!r} is not a setting and its values",
                "write a range, as in --space train.learning_rate=1e-4..1e-2, or values, as in "
                "--space train.optimizer=sgd,adamw",
            )
        if name in found:
            raise UsageError(f"--space has {name} twice", "give each setting once")
        found[name] = spec
    return found


def _searched(name: str, fixed: Mapping[str, Any]) -> Setting:
    known = searchable()
    setting = find_setting(name)
    if name not in known:
        raise UsageError(
            f"{name} cannot be searched: it does not change what a model learns, or would make trials incomparable",
            f"set it for all trials: --set {name}=...; {did_you_mean(name, known)}",
        )
    if name in fixed:
        raise UsageError(f"{name} is both fixed and searched", f"give it in --set or in --space ({name}), not in both")
    return setting


def _dimension(setting: Setting, spec: Any) -> Dimension:
    if isinstance(spec, tuple) and len(spec) == 2 and all(map(_is_number, spec)):
        return _range(setting, *spec)
    if isinstance(spec, str):
        low, dots, high = (piece.strip() for piece in spec.partition(".."))
        if dots:
            return _range(setting, low, high)
        spec = [piece.strip() for piece in spec.split(",")]
    if not isinstance(spec, Iterable):
        raise UsageError(
            f"{setting.dotted} has only one value to try", f"give two or more, a range, or --set {setting.dotted}=..."
        )
    choices = tuple(dict.fromkeys(setting.convert(value) for value in spec))
    if len(choices) < 2:
        raise UsageError(
            f"{setting.dotted} has only one value to try", f"give two or more, a range, or --set {setting.dotted}=..."
        )
    return Dimension(setting.dotted, choices=choices)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _range(setting: Setting, low: Any, high: Any) -> Dimension:
    if setting.kind not in (int, float):
        raise UsageError(
            f"{setting.dotted} has no range", f"list values: --space {setting.dotted}=A,B; {setting.expected}"
        )
    first, last = setting.convert(low), setting.convert(high)
    if first is None or last is None or first >= last:
        raise UsageError(
            f"the range {low}..{high} of {setting.dotted} is empty", f"write LOW..HIGH, {setting.expected}"
        )
    return Dimension(setting.dotted, low=first, high=last, whole=setting.kind is int)


def kind_of(config: RunConfig) -> Kind:
    """How a network is trained with these settings; ``model.name`` is not ``auto``."""
    if not transfers(config):
        return "from scratch"
    return "head" if head_only(config) else "fine-tuning"


def search_space(
    config: RunConfig, dataset: Dataset, given: Sequence[Dimension], fixed: Mapping[str, Any]
) -> tuple[Dimension, ...]:
    """The default space of a kind of training, or the user's dimensions in its place.

    Args:
        config: The settings of all trials, with the name of the model.
        dataset: The image set.
        given: The user's dimensions; where there are any, they are searched alone.
        fixed: Settings that were given one value, which are not searched.

    Raises:
        UsageError: one of the user's dimensions has no effect on this kind of training.
    """
    if given:
        _refuse_unused(config, dataset, given)
        return tuple(given)
    return tuple(one for one in _defaults(config, dataset) if one.name not in fixed)


def _refuse_unused(config: RunConfig, dataset: Dataset, given: Sequence[Dimension]) -> None:
    names = {one.name for one in given}
    if "model.name" in names or "model.weights" in names:  # they decide what has an effect
        return
    kind = kind_of(config)
    if kind == "head":
        config = dataclasses.replace(config, augment=dataclasses.replace(config.augment, enabled=False))
    unused = [name for name in without_effect(config, dataset) if name in names]
    if kind == "head" and "augment.enabled" in names:
        unused.append("augment.enabled")
    if kind != "from scratch" and "model.width" in names:
        unused.append("model.width")
    if unused:
        raise UsageError(
            f"{unused[0]} has no effect here: {_HOW[kind]}",
            "search another setting, or choose another --effort or --model",
        )


_HOW: Mapping[Kind, str] = {
    "head": "only the head of a pretrained network is trained (--effort quick)",
    "fine-tuning": "a pretrained network is fine-tuned",
    "from scratch": "the network is trained from scratch",
}


def _defaults(config: RunConfig, dataset: Dataset) -> list[Dimension]:
    kind = kind_of(config)
    if kind == "head":
        return [*_images(config), *_balance(dataset), Dimension("data.fit", choices=("auto", "crop", "stretch"))]
    if kind == "fine-tuning":
        return [
            Dimension("train.learning_rate", low=1e-4, high=5e-3),
            Dimension("train.weight_decay", low=1e-4, high=5e-2),
            Dimension("train.epochs", low=2, high=10, whole=True),
            *([Dimension("train.label_smoothing", low=0.0, high=0.2)] if dataset.task == Task.MULTICLASS else []),
            Dimension("model.dropout", low=0.0, high=0.5),
            Dimension("augment.crop", low=0.3, high=1.0),
            Dimension("augment.color", choices=("auto", "none", "light", "strong")),
        ]
    return [
        Dimension("train.optimizer", choices=("auto", "sgd", "adamw")),
        Dimension("train.learning_rate", low=5e-4, high=0.2),
        Dimension("train.weight_decay", low=1e-4, high=5e-2),
        *([Dimension("train.label_smoothing", low=0.0, high=0.2)] if dataset.task == Task.MULTICLASS else []),
        Dimension("model.width", choices=(None, 16, 24, 48, 64)),
        Dimension("model.dropout", low=0.0, high=0.5),
        Dimension("augment.erase", low=0.0, high=0.6),
        Dimension("augment.shift", low=0.0, high=0.2),
    ]


def _images(config: RunConfig) -> list[Dimension]:
    """Image sizes around that of the pretraining, and the pretrained networks that are installed."""
    from keensight.nets.models.backbones import ARCHITECTURES, installed

    own = ARCHITECTURES[config.model.name]
    side = own.side or 224
    sides = [32 * round(side * fraction / 32) for fraction in (0.57, 0.71, 0.86, 1.0, 1.14)]
    found = [Dimension("data.image_size", choices=(None, *sides))]
    names = tuple(dict.fromkeys([own.name, *installed()]))
    if len(names) > 1:
        found.append(Dimension("model.name", choices=names))
    return found


def _balance(dataset: Dataset) -> list[Dimension]:
    """What is done about rare classes."""
    if dataset.task == Task.MULTILABEL:
        return [Dimension("train.class_weights", choices=(False, True))]
    return [
        Dimension("train.class_weights", choices=(False, True)),
        Dimension("train.logit_adjustment", choices=(None, 0.0, 0.5, 1.0)),
    ]
