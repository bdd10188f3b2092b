"""How large the model's input should be."""

from __future__ import annotations

import typing

import numpy as np

from keensight.core.records import Dataset, Fit, ImageSpec
from keensight.errors import DataError, UsageError

_SMALLEST, _OWN_SIZE, _LARGEST = 8, 96, 128
_PRETRAINED_SMALLEST, _STEP = 96, 32


def choose_spec(
    data: Dataset, image_size: int | None = None, fit: str = "stretch", *, pretrained: int | None = None
) -> ImageSpec:
    """Choose the input size of a network.

    Given: a square of that side. Left out, for a network that learns from scratch: the images' own size where
    they share one of at most 96 px; else a square of their median shorter side, rounded to a multiple of 8 and
    at most 128 px. For a pretrained one: ``pretrained``, or where the images are smaller than half of that,
    twice their median shorter side, as its filters look for larger things than small images show.

    Args:
        data: The image set.
        image_size: Side in pixels, or None to choose.
        fit: What to do with another aspect ratio (``stretch``, ``crop``, ``pad``).
        pretrained: Largest side for a pretrained network, in pixels; None: it learns from scratch.

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
    median = median_side(data)
    if pretrained is not None:
        wanted = _STEP * round(2 * median / _STEP)
        side = int(np.clip(wanted, min(_PRETRAINED_SMALLEST, pretrained), pretrained))
        return ImageSpec(side, side, kind)
    sizes = {(info.height, info.width) for info in infos}
    if len(sizes) == 1 and max(next(iter(sizes))) <= _OWN_SIZE:
        height, width = next(iter(sizes))
        return ImageSpec(max(height, _SMALLEST), max(width, _SMALLEST), kind)
    side = int(np.clip(8 * round(median / 8), _SMALLEST, _LARGEST))
    return ImageSpec(side, side, kind)


def median_side(data: Dataset) -> float:
    """Median of the images' shorter sides, in pixels; 0 where no image could be read."""
    sides = [min(sample.info.height, sample.info.width) for sample in data.samples if sample.info is not None]
    return float(np.median(sides)) if sides else 0.0
