"""Columns for finding weak slices: metadata, image size, brightness."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from keensight.core.decoded import Pixels
from keensight.core.records import Dataset, Sample

Column = list[str | float | int | bool | None]
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # of ITU-R BT.601
_GRID = 32
"""Approximate number of pixels used per row and column."""
_CHUNK = 256


def columns(dataset: Dataset, rows: NDArray[np.int64], pixels: Pixels | None = None) -> dict[str, Column]:
    """Metadata columns, then image properties, each with one value per row; None if unknown.

    The properties are ``image side`` (square root of width times height, px), ``aspect ratio`` (width over height),
    ``file format``, ``brightness`` (mean gray level, 0 to 255) and ``contrast`` (its deviation).

    Args:
        dataset: The image set.
        rows: Indices into its samples, shape (n,).
        pixels: Its decoded images; None: without brightness and contrast.
    """
    samples = [dataset.samples[int(row)] for row in rows]
    names = dict.fromkeys(name for sample in samples for name in sample.metadata)
    found: dict[str, Column] = {str(name): [sample.metadata.get(name) for sample in samples] for name in names}
    infos = [sample.info for sample in samples]
    found["image side"] = [math.sqrt(info.width * info.height) if info else None for info in infos]
    found["aspect ratio"] = [info.width / info.height if info else None for info in infos]
    found["file format"] = [f"{info.format} {info.mode}" if info else None for info in infos]
    if pixels is not None and len(rows):
        light = lightness(samples, rows, pixels)
        found["brightness"], found["contrast"] = (column.tolist() for column in light.T)
    return found


def lightness(samples: list[Sample], rows: NDArray[np.int64], pixels: Pixels) -> NDArray[np.float64]:
    """Mean gray level of each image and its deviation, 0 to 255, shape (n, 2), over a grid of its pixels."""
    sums = np.concatenate([_sums(pixels.take(rows[at : at + _CHUNK])) for at in range(0, len(rows), _CHUNK)])
    # Padding is black and adds nothing to either sum: only the image's fraction of the frame counts.
    share = np.array([_content(sample, pixels) for sample in samples])[:, None]
    mean, square = (sums / share).T
    return np.stack([mean, np.sqrt(np.maximum(square - mean**2, 0))], axis=1)


def _sums(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean gray level and mean squared gray level."""
    step = max(1, min(images.shape[1:3]) // _GRID)
    gray = images[:, ::step, ::step].astype(np.float32) @ _LUMA
    return np.stack([gray.mean(axis=(1, 2)), (gray**2).mean(axis=(1, 2))], axis=1).astype(np.float64)


def _content(sample: Sample, pixels: Pixels) -> float:
    """Fraction of the frame covered by an image."""
    if pixels.spec.fit != "pad" or sample.info is None:
        return 1.0
    turned = sample.info.orientation >= 5  # EXIF orientations 5 to 8 are rotated by 90 degrees
    ratio = sample.info.height / sample.info.width if turned else sample.info.width / sample.info.height
    frame = pixels.spec.width / pixels.spec.height
    return min(ratio / frame, frame / ratio)
