"""The settings of :mod:`keensight.core.config` as typed keywords of the Python functions.

``TypedDict`` tells type checkers and editors what :func:`with_options` tells Python itself, ``help`` and Jupyter's Tab;
a contract test holds both to the settings.
"""

from __future__ import annotations

import inspect
import textwrap
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, TypeVar

from keensight.core.config import Setting, settings

Function = TypeVar("Function", bound=Callable[..., Any])


class ColumnOptions(TypedDict, total=False):
    """Where a source says what each image is and which images belong together."""

    label: str | None
    path: str | None
    group: str | None
    group_regex: str | None
    label_regex: str | None
    label_level: Literal["top", "leaf", "path"] | None


class SourceOptions(ColumnOptions, total=False):
    """How a source is read."""

    labels: str | Sequence[str] | None
    val: str | None
    test: str | None


class FitOptions(TypedDict, total=False):
    """How the weights are found: sections ``train`` and ``augment`` of the settings, as far as ``fit`` uses them."""

    effort: Literal["quick", "standard", "best"]
    epochs: int | None
    batch_size: int | None
    optimizer: Literal["auto", "sgd", "adamw"]
    learning_rate: float | None
    schedule: Literal["one-cycle", "cosine", "constant"]
    weight_decay: float
    label_smoothing: float
    ema: float
    class_weights: bool
    logit_adjustment: float | None
    patience: int | None
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    seed: int
    augment: bool
    flip: Literal["auto", "none", "horizontal", "both"]
    crop: float | None
    shift: float
    zoom: float
    rotate: float
    erase: float | None
    color: Literal["auto", "none", "light", "strong"]


class DataOptions(SourceOptions, total=False):
    """How images are read, sized and split."""

    corrections: str | None
    image_size: int | None
    fit: Literal["auto", "stretch", "crop", "pad"]
    intensity: str
    background: Literal["auto", "white", "gray", "black"]
    val_share: float
    test_share: float
    cache: Literal["auto", "always", "never"]


class CurveOptions(DataOptions, total=False):
    """The settings that ``learning_curve`` uses."""

    model: str
    seed: int


class SeedsOptions(DataOptions, FitOptions, total=False):
    """Every setting of a run but the task, which has to be classification."""

    strict: bool
    model: str
    weights: str
    width: int | None
    dropout: float | None
    engine: Literal["auto", "litert", "openvino", "gpu"]
    threads: int | None
    label_check: Literal["auto", "yes", "no"]
    halve_batch: bool
    tensorboard: bool
    checkpoint_minutes: float
    target_precision: float | None
    target_coverage: float | None
    set_level: float
    ood: bool


class TrainOptions(SeedsOptions, total=False):
    """Every setting of a run."""

    task: Literal["classify", "multiclass", "multilabel", "anomaly"]
    normal: str | None
    evaluate_on: Literal["test", "validation"]


def with_options(options: type) -> Callable[[Function], Function]:
    """Give a function that ends in ``**options: Unpack[...]`` a signature and a docstring with each of them.

    Args:
        options: The ``TypedDict`` that is unpacked.
    """

    def described(function: Function) -> Function:
        known = {setting.option: setting for setting in settings()}
        hints = typing.get_type_hints(options)
        signature = inspect.signature(function)
        given = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=known[name].default, annotation=hint)
            for name, hint in hints.items()
        ]
        function.__signature__ = signature.replace(parameters=[*given, *keywords])  # type: ignore[attr-defined]
        lines = [f"{name}: {_help(known[name])}." for name in hints]
        section = "\n".join(textwrap.fill(line, 116, subsequent_indent="    ") for line in lines)
        text = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = f"{text}\n\nOptions:\n{textwrap.indent(section, '    ')}\n"
        return function

    return described


def _help(setting: Setting) -> str:
    return setting.help if setting.default is None else f"{setting.help} (default {setting.default!r})"
