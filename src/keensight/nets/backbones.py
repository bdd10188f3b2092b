"""The table of architectures. It imports no framework, so that listing is instant."""

from __future__ import annotations

from dataclasses import dataclass

from keensight.core.registry import Registry


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network that ``build`` can make."""

    name: str
    description: str
    pretrained: bool
    width: int
    """Channels of the first stage."""
    dropout: float
    min_side: int
    """Smallest side of the input that it takes, in pixels."""
    learning_rate: float
    """Peak rate of SGD at a batch of 128 images."""
    passes: int
    """Images (with repetition) that ``--effort standard`` shows it; sets the number of epochs."""


ARCHITECTURES: Registry[Architecture] = Registry("model")
for _architecture in (
    Architecture(
        "cnn",
        "the classic: convolution, pooling, dense; small and quick, good to learn from",
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
        passes=920_000,
    ),
):
    ARCHITECTURES.register(_architecture.name, _architecture)


@dataclass(frozen=True, slots=True)
class Choice:
    """A model and why it was taken."""

    name: str
    reason: str


def choose(name: str, n_train: int, side: int) -> Choice:
    """Resolve ``auto`` to an architecture.

    Args:
        name: An architecture or ``auto``.
        n_train: Images in the training part.
        side: Shorter side of the input, in pixels.

    Raises:
        UsageError: there is no such architecture.
    """
    if name != "auto":
        return Choice(ARCHITECTURES[name].name, "as asked")
    cost = n_train * side * side
    if cost <= _LIGHT_WORK:
        return Choice("resnet", f"{n_train:,} training images of {side} px are few enough for the residual network")
    return Choice("cnn", f"{n_train:,} training images of {side} px would keep the residual network busy for long")


# About 20,000 images of 32 px: a residual network's standard training then takes some 20 minutes on 2 cores.
_LIGHT_WORK = 20_000 * 32 * 32
