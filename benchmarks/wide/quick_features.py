"""The features that `quick` fits its head to, of one set of the wide bench."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from baselines import NETWORK, read
from numpy.typing import NDArray

import keensight as ks

PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class QuickFeatures:
    """By name of the split."""

    vectors: Mapping[str, NDArray[np.float32]]
    targets: Mapping[str, NDArray[np.int64]]
    units: Mapping[str, NDArray[np.int64]]
    """Images with the same number belong together."""
    classes: int
    levels: list[int]
    """Number of features from each map of the network."""
    frame: tuple[int, int]
    """Height and width of the input."""


def quick_features(table: Path) -> QuickFeatures:
    """Compute them as `quick` does; they stay in Keensight's cache."""
    from keensight.core.progress import Silent
    from keensight.nets.training.images import features as features_of
    from keensight.nets.training.images import levels_of
    from keensight.workflow.features import caches, images_of

    columns = read(table)
    grouped = len(set(columns["group"])) < len(columns["path"])
    data = ks.open(table, group="group" if grouped else None)
    spec = ks.image_spec(data, model=NETWORK, effort="quick")
    pixels, split = ks.prepare(data, spec), ks.split(data)
    images, network = images_of(data, split, pixels), ks.build(data, spec, NETWORK)

    def each(value: Any) -> dict[str, Any]:
        return {name: value(split.part(name)) for name in PARTS}

    return QuickFeatures(
        each(lambda rows: features_of(network, images, rows, caches(Silent()))),
        each(lambda rows: data.targets()[rows]),
        each(lambda rows: images.units[rows]),
        len(data.labels),
        levels_of(network),
        (spec.height, spec.width),
    )
