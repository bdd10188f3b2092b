"""How large the model's input should be."""

from __future__ import annotations

import typing

import numpy as np

from keensight.core.records import Dataset, Fit, ImageSpec
from keensight.errors import DataError, UsageError

_SMALLEST, _OWN_SIZE, _LARGEST = 8, 96, 128


def choose_spec(data: Dataset, image_size: int | None = None, fit: str = "stretch") -> ImageSpec:
    """Choose the input size of a network that learns from scratch.

    Given: a square of that side. Left out: the images' own size where they share one of at most 96 px;
    else a square of their median shorter side, rounded to a multiple of 8 and at most 128 px.

    Args:
        data: The image set.
        image_size: Side in pixels, or None to choose.
        fit: What to do with another aspect ratio (``stretch``, ``crop``, ``pad``).

    Raises:
        DataError: no image could be read.
        UsageError: ``fit`` is none of the three.
    """
    if fit not in typing.get_args(Fit):
        raise UsageError(f"fit cannot be {fit!r}", "expected stretch, crop or pad")
    kind = typing.cast(Fit, fit)
    infos = [sample.info for sample in data.samples if sample.info is not None]
    if not infos:
        raise DataError(f"{data.name}: not one image could be read", "run `keensight inspect` to see the reasons")
    if image_size is not None:
        return ImageSpec(image_size, image_size, kind)
    sizes = {(info.height, info.width) for info in infos}
    if len(sizes) == 1 and max(next(iter(sizes))) <= _OWN_SIZE:
        height, width = next(iter(sizes))
        return ImageSpec(max(height, _SMALLEST), max(width, _SMALLEST), kind)
    median = float(np.median([min(info.height, info.width) for info in infos]))
    side = int(np.clip(8 * round(median / 8), _SMALLEST, _LARGEST))
    return ImageSpec(side, side, kind)
