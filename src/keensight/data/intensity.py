"""One intensity scale for the images of more than 8 bits of a set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keensight.core import pixels
from keensight.core.audit import Finding
from keensight.core.decoded import Pixels
from keensight.core.intensity import Levels, Scale, in_words, is_deep, scale_of_set
from keensight.core.parallel import ordered, processors
from keensight.core.records import Dataset, ImageSpec
from keensight.errors import ImageError

_LOOKED_AT = 100
"""Number of images, evenly spaced over the set, whose values are used."""


def with_intensity(spec: ImageSpec, dataset: Dataset) -> ImageSpec:
    """Return ``spec`` with one scale for all images of more than 8 bits in a set.

    It is estimated from up to 100 of them (see :func:`keensight.core.intensity.scale_of_set`). If the set has no such
    image, or its images are not available, no scale is set.
    """
    rows = deep_rows(dataset)
    if not rows or dataset.reader is None:
        return spec
    chosen = np.unique(np.linspace(0, len(rows) - 1, _LOOKED_AT).round().astype(int))

    def look(place: int) -> Levels | None:
        try:
            raw = dataset.load(rows[place])
            return pixels.levels(raw) if isinstance(raw, bytes) else None
        except ImageError:  # reported when it is decoded
            return None

    found = [levels for levels in ordered(look, chosen.tolist(), processors()) if levels is not None]
    scale = scale_of_set(found)
    return spec if scale is None else replace(spec, intensity=scale.white, black=scale.black)


def deep_rows(dataset: Dataset) -> list[int]:
    """Indices of the images of more than 8 bits, by their headers."""
    return [i for i, sample in enumerate(dataset.samples) if sample.info and is_deep(sample.info.mode)]


def intensity(dataset: Dataset, decoded: Pixels | None) -> list[Finding]:
    """How images of more than 8 bits are scaled, and whether each is scaled by its own values."""
    rows = deep_rows(dataset)
    if not rows or decoded is None:
        return []
    subject = "1 image has" if len(rows) == 1 else f"{len(rows):,} images have"
    spec, each = decoded.spec, [(i,) for i in rows]
    if spec.intensity is None:
        message = (
            f"{subject} more than 8 bits, but no common scale (integers and floating point are mixed): each is "
            f"scaled by its own values, which may reveal the class; store all in one format."
        )
        return [Finding.on(dataset, each, "intensity", "warning", message)]
    scale = in_words(Scale(spec.black, spec.intensity))
    message = f"{subject} more than 8 bits: {scale} in all of them; check that this is right."
    return [Finding.on(dataset, each, "intensity", "info", message)]
