"""Every setting of a run, with its default, unit, range and help."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keensight.core.effort import EFFORTS
from keensight.core.files import to_toml
from keensight.core.registry import did_you_mean
from keensight.core.task import Task
from keensight.errors import UsageError


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    unit: str = "",
) -> Any:
    """A dataclass field with range, unit and help."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices, "unit": unit})


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which images, and how they are split and resized."""

    image_size: int | None = setting(
        None, "side of the model's square input; default: a frame chosen from the images", low=8, high=1024, unit="px"
    )
    fit: str = setting(
        "auto", "what to do with another aspect ratio; auto: pad for a pretrained network, else stretch",
        choices=("auto", "stretch", "crop", "pad"),
    )  # fmt: skip
    intensity: str = setting(
        "auto",
        "gray values that become black and white in images of more than 8 bits, such as 0,4095 or -1000,400; bits: 0 "
        "and the largest value of the bit depth; auto: by the bit depth or the range of the set",
    )
    background: str = setting(
        "auto", "what transparent pixels become; auto: white, or the one on which more drawings can be seen",
        choices=("auto", "white", "gray", "black"),
    )  # fmt: skip
    val_share: float = setting(
        0.15, "fraction of images in the validation set (early stopping, calibration)", low=0.01, high=0.5
    )
    test_share: float = setting(0.15, "fraction of images in the test set, used once", low=0.01, high=0.5)
    group: str | None = setting(
        None,
        "column with a group ID (e.g. patient), or dicom:PatientID; images with the same ID are kept in the same split",
    )
    group_regex: str | None = setting(
        None,
        "regular expression searched in each relative path; its first capture group (or the whole match) is the group "
        "ID, e.g. 'patient(\\d+)'",
    )
    label_regex: str | None = setting(
        None,
        "in a folder, regular expression searched in each relative path; its first capture group (or the whole match) "
        "is the class, e.g. '([a-z]+)\\.\\d+\\.jpg' for cat.0.jpg",
    )
    label_level: str | None = setting(
        None,
        "in nested folders, which one is the class: top, leaf, or path for all of them (fruit/apple); default: top, "
        "unless another reading is as plausible",
        choices=("top", "leaf", "path"),
    )
    strict: bool = setting(False, "stop with exit code 3 if the audit reports a severe problem")
    label: str | None = setting(None, "column with the class; default: detected from the column name")
    labels: str | None = setting(
        None, "multi-label: comma-separated names of 0/1 columns, one per label; default: detected"
    )
    path: str | None = setting(None, "column with the image path; default: detected from the column name")
    val: str | None = setting(None, "second table, of the validation images, with the same columns")
    test: str | None = setting(None, "second table, of the test images, with the same columns")
    corrections: str | None = setting(
        None, "CSV file of label corrections from `keensight review`, applied before the split"
    )
    task: str = setting(
        "classify",
        "learning task; classify: multiclass or multilabel, whichever the labels are; anomaly: learn from normal "
        "images only, then flag anomalies",
        choices=("classify", *Task),
    )
    normal: str | None = setting(
        None, "with task=anomaly: comma-separated names of the normal classes; default: detected from the class names"
    )
    cache: str = setting(
        "auto", "keep decoded images on disk; auto: yes where they fit", choices=("auto", "always", "never")
    )


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Which network."""

    name: str = setting("auto", "architecture; `keensight models` lists them")
    weights: str = setting(
        "imagenet",
        "initial weights: imagenet (where available), none, a .keras or .pth file, or run:FOLDER for the weights of an "
        "earlier run",
    )
    width: int | None = setting(
        None, "channels of the first stage; default: set by the architecture", low=4, high=512, unit="channels"
    )
    dropout: float | None = setting(
        None, "dropout rate before the last layer; default: set by the architecture", low=0.0, high=0.9
    )


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How the network is trained."""

    effort: str = setting("standard", "how much time to spend", choices=tuple(EFFORTS))
    epochs: int | None = setting(
        None, "number of epochs; default: chosen from effort and dataset size", low=1, high=1000
    )
    batch_size: int | None = setting(
        None, "batch size; default: 128, smaller for small sets", low=1, high=4096, unit="images"
    )
    halve_batch: bool = setting(False, "train with half the batch size, as often as needed, if memory is exhausted")
    optimizer: str = setting(
        "auto",
        "optimizer (sgd: with Nesterov momentum); auto: set by the architecture",
        choices=("auto", "sgd", "adamw"),
    )
    learning_rate: float | None = setting(
        None,
        "peak learning rate; default: set by the architecture, times batch_size/128",
        low=1e-7,
        high=10.0,
    )
    schedule: str = setting("one-cycle", "learning-rate schedule", choices=("one-cycle", "cosine", "constant"))
    weight_decay: float = setting(5e-3, "decoupled weight decay of kernels", low=0.0, high=1.0)
    label_smoothing: float = setting(
        0.1, "label smoothing: probability spread over the other classes; not for multi-label sets", low=0.0, high=0.5
    )
    ema: float = setting(
        0.995, "momentum of the exponential moving average of the weights; 0: off", low=0.0, high=0.99999
    )
    class_weights: bool = setting(False, "class imbalance: weight each class (or label) by its inverse frequency")
    logit_adjustment: float | None = setting(
        None, "class imbalance: multiple of each class's log frequency that is subtracted from its logit; 0: off; "
        "default: chosen by macro F1 on held-out images; of pretrained networks",
        low=0.0, high=2.0,
    )  # fmt: skip
    patience: int | None = setting(
        None, "early stopping: epochs without a better validation loss (multi-label: mAP); default: a "
        "third of the epochs, "
        "at least 5",
        low=1, high=1000,
    )  # fmt: skip
    precision: str = setting(
        "auto",
        "numeric precision while training; auto: the faster one on this machine (float16: on older GPUs)",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    engine: str = setting(
        "auto", "what computes frozen layers; gpu: TensorFlow on a GPU; auto: OpenVINO if installed, else LiteRT, or a "
        "GPU that is faster in a timed step",
        choices=("auto", "litert", "openvino", "gpu"),
    )  # fmt: skip
    threads: int | None = setting(
        None, "CPU threads; default: all available, or half if measured faster",
        low=1, high=256,
    )  # fmt: skip
    seed: int = setting(0, "random seed", low=0, high=2**31 - 1)
    label_check: str = setting(
        "auto", "look for label errors after training; auto: not with quick effort, and from scratch "
        "only from 15 epochs on",
        choices=("auto", "yes", "no"),
    )  # fmt: skip
    tensorboard: bool = setting(False, "write TensorBoard events into the run")
    evaluate_on: str = setting(
        "test",
        "images that the finished model is evaluated on; validation: the test set is not used, for models that are "
        "compared to choose one of them (as the trials of keensight tune are); the run then has no report",
        choices=("test", "validation"),
    )
    checkpoint_minutes: float = setting(
        2.0, "longest time between two checkpoints, from which a stopped training continues (keensight train "
        "--resume); there are more at the end of epochs, as far as they take under 2% of the time; 0: after each step",
        low=0.0, high=1440.0, unit="minutes",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Random changes of training images; never part of the saved model."""

    enabled: bool = setting(True, "use data augmentation")
    flip: str = setting(
        "auto", "random flips; auto: none if flipped images look like other classes (digits, signs, sides)",
        choices=("auto", "none", "horizontal", "both"),
    )  # fmt: skip
    crop: float | None = setting(
        None, "random resized crop: smallest area, as a fraction of the image; 1: no cropping; default: set by the "
        "architecture",
        low=0.05, high=1.0,
    )  # fmt: skip
    shift: float = setting(0.08, "largest shift, as a fraction of the side", low=0.0, high=0.5)
    zoom: float = setting(0.0, "largest change of scale", low=0.0, high=0.9)
    rotate: float = setting(0.0, "largest rotation", low=0.0, high=180.0, unit="degrees")
    erase: float | None = setting(
        None, "random erasing: largest side of the box, as a fraction of the side; default: set by the architecture",
        low=0.0, high=0.9,
    )  # fmt: skip
    color: str = setting(
        "auto", "random brightness, contrast and saturation; auto: only for color images",
        choices=("auto", "none", "light", "strong"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """When the model predicts and when it abstains; chosen on the validation set, kept in the bundle."""

    target_precision: float | None = setting(
        None, "minimum precision to guarantee, with 90% confidence: the model abstains on images below a confidence "
        "threshold; default: never",
        low=0.01, high=1.0,
    )  # fmt: skip
    target_coverage: float | None = setting(
        None, "fraction of images to predict, most confident first; default: all", low=0.01, high=1.0
    )
    set_level: float = setting(
        0.9,
        "conformal prediction: fraction of prediction sets that must contain the true class; 0: no sets",
        low=0.0,
        high=0.999,
    )
    ood: bool = setting(True, "abstain on out-of-distribution images")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """All settings. A run's ``config.toml`` contains them resolved, without those that the run did not use.

    Examples:
        >>> config = ks.RunConfig().with_values({"train.epochs": 5, "augment.flip": "none"})
        >>> config.train.epochs, config.train.effort
        (5, 'standard')
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    augment: AugmentConfig = AugmentConfig()
    decision: DecisionConfig = DecisionConfig()

    def to_toml(self, without_effect: Collection[str] = ()) -> str:
        """Write this configuration as TOML that ``--config`` can read.

        Args:
            without_effect: Names such as ``train.epochs`` that a run did not use. A comment lists them; when the file
                is read again, they have their defaults, which again have no effect.
        """
        sections = {
            name: {key: value for key, value in dataclasses.asdict(getattr(self, name)).items()
                   if f"{name}.{key}" not in without_effect}
            for name in _SECTIONS
        }  # fmt: skip
        note = "\n".join(f"# No effect on this run: {', '.join(names)}" for names in _by_section(without_effect))
        return f"{note}\n\n{to_toml(sections)}" if note else to_toml(sections)

    def by_name(self) -> dict[str, Any]:
        """Every setting by its full name, such as ``train.epochs``."""
        return {
            f"{section}.{name}": value
            for section, given in dataclasses.asdict(self).items()
            for name, value in given.items()
        }

    def with_values(self, values: Mapping[str, Any]) -> RunConfig:
        """Return a copy with changed settings, such as ``{"train.epochs": 5}``; text is converted.

        Raises:
            UsageError: a name does not exist or a value is not allowed.
        """
        changed: dict[str, dict[str, Any]] = {}
        for dotted, value in values.items():
            if dotted in RETIRED:
                warnings.warn(f"{dotted} has no effect any more: {RETIRED[dotted]}", DeprecationWarning, stacklevel=2)
                continue
            described = find_setting(dotted)
            changed.setdefault(described.section, {})[described.name] = described.convert(value)
        sections = {name: dataclasses.replace(getattr(self, name), **new) for name, new in changed.items()}
        return dataclasses.replace(self, **sections)


def _by_section(names: Collection[str]) -> list[list[str]]:
    return [found for section in _SECTIONS if (found := [name for name in names if name.startswith(f"{section}.")])]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as help, documentation and validation need it."""

    section: str
    name: str
    kind: type
    optional: bool
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    unit: str

    @property
    def dotted(self) -> str:
        """The full name, such as ``train.epochs``."""
        return f"{self.section}.{self.name}"

    @property
    def option(self) -> str:
        """The keyword that Python functions take, such as ``epochs``."""
        return _OPTIONS.get(self.dotted, self.name)

    @property
    def expected(self) -> str:
        """The allowed values, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is bool:
            return "true or false"
        words = {int: "a whole number", float: "a number", str: "text"}[self.kind]
        if self.low is not None and self.high is not None:
            words += f" from {self.low:g} to {self.high:g}"
        return words + (f" ({self.unit})" if self.unit else "")

    def convert(self, value: Any) -> Any:
        """Convert ``value`` (text or a TOML value) to this setting's type.

        Raises:
            UsageError: it is not allowed.
        """
        if value is None or (value in ("", "auto", "none") and self.optional and not self.choices):
            if self.optional:
                return None
            raise self._refusal(value)
        try:
            converted = self._parse(value)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise self._refusal(value) from error
        outside = isinstance(converted, (int, float)) and not (
            (self.low is None or converted >= self.low) and (self.high is None or converted <= self.high)
        )
        if outside or (self.choices and converted not in self.choices):
            raise self._refusal(value)
        return converted

    def _parse(self, value: Any) -> Any:
        if self.kind is bool:
            return _TRUTH[str(value).lower()]
        if self.kind is int and float(value) != int(float(value)):
            raise ValueError(value)
        return self.kind(float(value)) if self.kind is int else self.kind(value)

    def _refusal(self, value: Any) -> UsageError:
        return UsageError(f"{self.dotted} cannot be {value!r}", f"expected {self.expected}; {self.help}")


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

_OPTIONS = {"model.name": "model", "augment.enabled": "augment"}
"""Keywords that are not the setting's own name."""

_SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "augment": AugmentConfig,
    "decision": DecisionConfig,
}


def settings() -> Iterator[Setting]:
    """Every setting, in order."""
    for section, cls in _SECTIONS.items():
        hints = typing.get_type_hints(cls)
        for f in dataclasses.fields(cls):
            options = [option for option in typing.get_args(hints[f.name]) if option is not type(None)]
            yield Setting(
                section=section, name=f.name, kind=options[0] if options else hints[f.name],
                optional=bool(options), default=f.default, help=f.metadata["help"], low=f.metadata["low"],
                high=f.metadata["high"], choices=f.metadata["choices"], unit=f.metadata["unit"],
            )  # fmt: skip


RETIRED = {
    "train.frozen": "fine-tuning trains every layer",
    "train.views": "fine-tuning augments every image again in each epoch",
}
"""Settings of earlier versions, which are ignored, and why."""


def find_setting(dotted: str) -> Setting:
    """Find a setting by its full name.

    Raises:
        UsageError: there is no such setting; the hint suggests the nearest name.
    """
    known = {s.dotted: s for s in settings()}
    if dotted not in known:
        raise UsageError(
            f"there is no setting {dotted!r}", did_you_mean(dotted, list(known), "docs/settings.md lists all settings")
        )
    return known[dotted]


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, str]:
    """Parse ``("train.epochs=5",)`` to ``{"train.epochs": "5"}``.

    Raises:
        UsageError: an item has no ``=``.
    """
    pairs: dict[str, str] = {}
    for item in assignments:
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--set {item!r} has no '='", "write it like --set train.epochs=5")
        pairs[name.strip()] = value.strip()
    return pairs


def read_config(path: Path) -> dict[str, Any]:
    """Read a TOML file of settings as ``{"train.epochs": 5}``.

    Raises:
        UsageError: the file is missing, is not TOML, or contains a setting that does not exist.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"the config file {path} cannot be read: {error}", "give a TOML file") from error
    values: dict[str, Any] = {}
    for section, content in tree.items():
        if not isinstance(content, dict):
            raise UsageError(f"{path}: {section!r} is outside a section", "put it in a section such as [train]")
        values.update({f"{section}.{name}": value for name, value in content.items()})
    for dotted in values.keys() - RETIRED.keys():
        find_setting(dotted)
    return values
