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
    from keensight.core.config import RunConfig
    from keensight.core.progress import Silent
    from keensight.data.audit.duplicates import ties
    from keensight.nets.training.images import features as features_of
    from keensight.nets.training.images import levels_of
    from keensight.workflow.augmented_copies import tie_augmented_copies
    from keensight.workflow.features import caches, images_of

    columns = read(table)
    grouped = len(set(columns["group"])) < len(columns["path"])
    data = ks.open(table, group="group" if grouped else None)
    spec = ks.image_spec(data, model=NETWORK, effort="quick")
    pixels, network = ks.prepare(data, spec), ks.build(data, spec, NETWORK)
    found = ks.audit(data, pixels=pixels, probes=False, progress=Silent())
    split, config = ks.split(data, audit=found), RunConfig().with_values({"model.name": NETWORK})
    found, split = tie_augmented_copies(data, pixels, found, split, config, Silent())
    images = images_of(data, split, pixels, ties(found, data))

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
