"""What ``quick``, ``standard`` and ``best`` mean, wherever time can be spent or saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """One value of ``train.effort``.

    Example:
        >>> EFFORTS["quick"].tunes
        False
    """

    epochs: float
    """From scratch: how many times as many epochs as ``standard``."""
    tuning: float
    """From pretrained weights: on how many images (with repetition) the whole network is trained, as a multiple of
    ``standard``; 0: its head alone, which needs each image once."""
    tuning_least: int
    """The fewest epochs of that: at a high learning rate, a few steps do harm."""
    side: float
    """Input of a pretrained network, as a fraction of the side that it was pretrained on: what an epoch costs grows
    with its square."""
    race_epochs: int
    """Minimum epochs of a network from scratch in a comparison with a pretrained one: fewer are not informative.
    If they would take too long, there is no comparison."""
    heatmaps: int
    """Misclassified images that get a heatmap, at most: each costs up to two passes through the network."""
    shortcuts: bool
    """Whether the audit checks for shortcuts, which takes some seconds."""
    label_check: bool
    """Whether label errors are looked for where ``train.label_check`` is ``auto``."""
    mirror: bool
    """Whether averaging the predictions of an image and its mirror image is tried."""

    @property
    def tunes(self) -> bool:
        """Whether more of a pretrained network is trained than its head."""
        return self.tuning > 0


EFFORTS: Mapping[str, Effort] = {
    "quick": Effort(
        epochs=0.4, tuning=0.0, tuning_least=1, side=1.0, race_epochs=10, heatmaps=12, shortcuts=False,
        label_check=False, mirror=False,
    ),
    "standard": Effort(
        epochs=1.0, tuning=1.0, tuning_least=2, side=5 / 7, race_epochs=3, heatmaps=200, shortcuts=True,
        label_check=True, mirror=True,
    ),
    "best": Effort(
        epochs=2.5, tuning=1.5, tuning_least=5, side=6 / 7, race_epochs=3, heatmaps=200, shortcuts=True,
        label_check=True, mirror=True,
    ),
}  # fmt: skip
