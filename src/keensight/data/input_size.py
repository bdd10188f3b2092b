"""Choose the size of the model's input."""

from __future__ import annotations

import typing
from collections.abc import Sequence

import numpy as np

from keensight.core.records import Dataset, Fit, ImageInfo, ImageSpec
from keensight.errors import DataError, UsageError

_SMALLEST, _OWN_SIZE, _LARGEST = 8, 96, 128
_PRETRAINED_SMALLEST, _STEP, _SHAPE_STEP = 96, 32, 16
_SQUARE, _LONGEST = 1.1, 2.0
"""Aspect ratios: below the first an image counts as square; above the second the frame gets no longer."""
_MIDDLE = (0.1, 0.9)
"""Quantiles of the aspect ratios between which a set's images count."""


def choose_spec(
    dataset: Dataset, image_size: int | None = None, fit: str = "auto", *, pretrained: int | None = None
) -> ImageSpec:
    """Choose the input of a network.

    Given a side: a square of it. Without one, from scratch: the images' own size if they all have the same, at most 96
    px; else a square of their median shorter side, rounded to a multiple of 8 and
    at most 128 px. For a pretrained one: a frame of the images' median aspect ratio, whose area is that of a
    square of ``pretrained``, or if the images are smaller than half of that, of twice their median shorter
    side, because its filters expect larger structures than small images have.

    Args:
        dataset: The image set.
        image_size: Side in pixels, or None to choose.
        fit: What to do with another aspect ratio (``stretch``, ``crop``, ``pad``); ``auto``: ``pad`` for a
            pretrained network, which was trained on undistorted images, else ``stretch``.
        pretrained: Side for a pretrained network, in pixels; None: it is trained from scratch.

    Raises:
        DataError: no image could be read.
        UsageError: ``fit`` is none of these.
    """
    if fit not in ("auto", *typing.get_args(Fit)):
        raise UsageError(f"fit cannot be {fit!r}", "expected auto, stretch, crop or pad")
    wanted = ("stretch" if pretrained is None else "pad") if fit == "auto" else fit
    kind = typing.cast(Fit, wanted)
    infos = [sample.info for sample in dataset.samples if sample.info is not None]
    if not infos:
        raise DataError(
            f"{dataset.name}: none of the images could be read", "run `keensight inspect` to see the reasons"
        )
    if image_size is not None:
        return ImageSpec(image_size, image_size, kind)
    median = median_side(dataset)
    if pretrained is not None:
        double = _STEP * round(2 * median / _STEP)
        side = int(np.clip(double, min(_PRETRAINED_SMALLEST, pretrained), pretrained))
        return ImageSpec(*_frame(side, _median_aspect(infos)), kind)
    sizes = {(info.height, info.width) for info in infos}
    if len(sizes) == 1 and max(next(iter(sizes))) <= _OWN_SIZE:
        height, width = next(iter(sizes))
        return ImageSpec(max(height, _SMALLEST), max(width, _SMALLEST), kind)
    side = int(np.clip(8 * round(median / 8), _SMALLEST, _LARGEST))
    return ImageSpec(side, side, kind)


def survey_spec(dataset: Dataset) -> ImageSpec:
    """The size for the audit of a set: near-duplicates, quality and shortcuts.

    It depends only on the set, so that every model gets the same split: the images' own size if they all have the same,
    at most 96 px, else a square of their median shorter side, at most 128 px, stretched. Networks trained from scratch
    use it too by default, so that images are decoded once.
    """
    if any(sample.info is not None for sample in dataset.samples):
        return choose_spec(dataset, fit="stretch")
    return ImageSpec(_LARGEST, _LARGEST)


def shapes_differ(dataset: Dataset) -> bool:
    """Whether the aspect ratios of a set's images, without the extreme tenths, differ by more than 10%."""
    infos = [sample.info for sample in dataset.samples if sample.info is not None]
    low, high = np.quantile(_aspects(infos), _MIDDLE) if infos else (1.0, 1.0)
    return bool(high > _SQUARE * low)


def _aspects(infos: Sequence[ImageInfo]) -> list[float]:
    """Aspect ratios (width over height) after EXIF rotation."""
    turned = ((info.height, info.width) if info.orientation >= 5 else (info.width, info.height) for info in infos)
    return [width / height for width, height in turned]


def _median_aspect(infos: Sequence[ImageInfo]) -> float:
    return float(np.median(_aspects(infos)))


def _frame(side: int, aspect: float) -> tuple[int, int]:
    """Height and width with about the area of a square, multiples of 16; ``aspect`` is width over height."""
    if 1 / _SQUARE < aspect < _SQUARE:
        return side, side
    stretch = float(np.clip(aspect, 1 / _LONGEST, _LONGEST)) ** 0.5
    height, width = (max(_SHAPE_STEP * round(length / _SHAPE_STEP), 64) for length in (side / stretch, side * stretch))
    return height, width


def median_side(dataset: Dataset) -> float:
    """Median of the images' shorter sides, in pixels; 0 if no image could be read."""
    sides = [min(sample.info.height, sample.info.width) for sample in dataset.samples if sample.info is not None]
    return float(np.median(sides)) if sides else 0.0
