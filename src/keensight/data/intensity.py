"""One intensity scale for the images of more than 8 bits of a set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from keensight.core import pixels
from keensight.core.audit import Finding
from keensight.core.decoded import Pixels
from keensight.core.intensity import Scale, in_words, is_deep, parse, scale_of_set
from keensight.core.parallel import ordered, processors
from keensight.core.records import Dataset, ImageSpec
from keensight.errors import ImageError

T = TypeVar("T")
_LOOKED_AT = 100
"""Number of images, evenly spaced over the set, whose values are used."""


def with_intensity(spec: ImageSpec, dataset: Dataset, setting: str = "auto") -> ImageSpec:
    """Return ``spec`` with one scale for all images of more than 8 bits in a set.

    It is estimated from up to 100 of them (see :func:`keensight.core.intensity.scale_of_set`). If the set has no such
    image, or its images are not available, no scale is set.

    Args:
        spec: The size and the rest.
        dataset: The image set.
        setting: ``auto``; ``bits``: white is the largest value of the number of bits; or two numbers, which become
            black and white. With images of 8 bits in the same set, ``auto`` is ``bits``, which treats both alike.

    Raises:
        UsageError: the setting is something else.
    """
    rule = parse(setting)
    rows = deep_rows(dataset)
    if not rows:
        return spec
    if isinstance(rule, Scale):
        return replace(spec, intensity=rule.white, black=rule.black)
    mixed = len(rows) < sum(sample.info is not None for sample in dataset.samples)
    scale = scale_of_set(looked_at(dataset, rows, pixels.levels), "bits" if mixed else rule)
    return spec if scale is None else replace(spec, intensity=scale.white, black=scale.black)


_seen: dict[tuple[str, ...], list[Any]] = {}
"""What was seen in the sets of this process: a run asks several times, and large images take seconds."""
_REMEMBERED = 8


def looked_at(dataset: Dataset, rows: Sequence[int], look: Callable[[bytes], T | None]) -> list[T]:
    """What is seen in up to 100 images of these rows, evenly spaced; unreadable ones are left out."""
    if not rows or dataset.reader is None:
        return []
    places = np.unique(np.linspace(0, len(rows) - 1, _LOOKED_AT).round().astype(int))
    chosen = [rows[place] for place in places]

    def look_at(row: int) -> T | None:
        try:
            raw = dataset.load(row)
            return look(raw) if isinstance(raw, bytes) else None
        except ImageError:  # reported when it is decoded
            return None

    key = (look.__qualname__, *(dataset.samples[row].digest for row in chosen))
    if key not in _seen:
        found = [seen for seen in ordered(look_at, chosen, processors()) if seen is not None]
        while len(_seen) >= _REMEMBERED:
            _seen.pop(next(iter(_seen)))
        _seen[key] = found
    return list(_seen[key])


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
    infos = [dataset.samples[i].info for i in rows]
    if spec.intensity is None and all(info and info.format == "DICOM" for info in infos):
        message = (
            f"{subject} more than 8 bits, and each is shown with the window in its own file, which may reveal the "
            "class; data.intensity sets one scale for all, such as -1000,400."
        )
        return [Finding.on(dataset, each, "intensity", "info", message)]
    if spec.intensity is None:
        message = (
            f"{subject} more than 8 bits, but no common scale (integers and floating point are mixed): each is "
            f"scaled by its own values, which may reveal the class; store all in one format."
        )
        return [Finding.on(dataset, each, "intensity", "warning", message)]
    scale = in_words(Scale(spec.black, spec.intensity))
    plain = sum(sample.info is not None for sample in dataset.samples) - len(rows)
    others = f" {plain:,} images have 8 bits, which may reveal the class: store all alike." if plain else ""
    message = f"{subject} more than 8 bits: {scale} in all of them; check that this is right (data.intensity).{others}"
    return [Finding.on(dataset, each, "intensity", "warning" if plain else "info", message)]
