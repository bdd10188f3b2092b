"""One background for the transparent images of a set."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from keensight.core.audit import Finding
from keensight.core.background import choose, contrasts
from keensight.core.decoded import Pixels
from keensight.core.pixels import cutout
from keensight.core.records import Background, Dataset, ImageInfo, ImageSpec
from keensight.data.intensity import looked_at, with_intensity

_ALPHA = frozenset({"RGBA", "LA", "La", "PA", "RGBa"})
_SIDE = 128
"""Images are looked at with at most this many pixels a side."""


def with_background(spec: ImageSpec, dataset: Dataset, setting: str = "auto") -> ImageSpec:
    """Return ``spec`` with the background on which the transparent images of a set can be seen.

    Up to 100 of them are looked at (see :func:`keensight.core.background.contrasts`). White is used unless more
    drawings would vanish on it than on black or gray.

    Args:
        spec: The size and the rest.
        dataset: The image set.
        setting: ``auto``, ``white``, ``gray`` or ``black``.
    """
    if setting != "auto":
        return replace(spec, background=cast(Background, setting))

    ground, _ = choose(looked_at(dataset, transparent_rows(dataset), _contrasts))
    return replace(spec, background=ground)


def _contrasts(raw: bytes) -> dict[Background, float] | None:
    pixels = cutout(raw, _SIDE)
    return None if pixels is None else contrasts(pixels)


def with_appearance(spec: ImageSpec, dataset: Dataset, intensity: str = "auto", background: str = "auto") -> ImageSpec:
    """Return ``spec`` with what is decided once for a set: the intensity scale and the background."""
    return with_background(with_intensity(spec, dataset, intensity), dataset, background)


def transparent_rows(dataset: Dataset) -> list[int]:
    """Images that may be transparent, by their headers: of a palette only the pixels know."""
    return [i for i, sample in enumerate(dataset.samples) if sample.info and _may_be_transparent(sample.info)]


def _may_be_transparent(info: ImageInfo) -> bool:
    return info.mode.partition(";")[0] in _ALPHA | {"P"}


def background(dataset: Dataset, decoded: Pixels | None) -> list[Finding]:
    """What transparent pixels become, where that is not white."""
    rows = transparent_rows(dataset)
    if decoded is None or not rows or decoded.spec.background == "white":
        return []
    ground = decoded.spec.background
    message = (
        f"Transparent pixels become {ground}, on which more drawings can be seen than on white; set data.background to "
        "white, gray or black to choose."
    )
    return [Finding.on(dataset, [(i,) for i in rows], "background", "info", message)]
