"""Gray values of 16 or 32 bits, or floating point, to 8 bits: which value becomes black, and which white."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from keensight.errors import UsageError

Rule = Literal["auto", "bits"]

_INTEGER_WHITES = (255, 1023, 4095, 16383, 65535)
"""Largest values of 8, 10, 12, 14 and 16 bits."""
_FLOAT_WHITES = (1.0, 255.0, 65535.0)
_NEARLY_BLACK = 16
"""A floating-point image whose brightest value is this many times below the usual white is stretched."""
_USED = 4
"""A set that uses less than this fraction of a usual white is stretched."""
_FAR = 4
"""Extremes this many times as far apart as the inner ranges of most images are outliers."""
_OUTLYING = 50
"""One of so many images, at each end, may be an outlier."""
_FIRST_DECODER = 1
"""In that version, white was 65,535 for all integers up to it, and for floats the first usual value that is large
enough."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The range of an image's gray values, and the white that its format declares."""

    low: float
    high: float
    floating: bool
    declared: float | None = None
    """The white that the format declares."""
    inner: tuple[float, float] | None = None
    """The range without the lowest and highest 0.1% of the pixels (None: the same)."""
    window: Scale | None = None
    """The window that a DICOM file says to look at it with."""
    absolute: bool = False
    """Whether the values have a meaning of their own, as the Hounsfield units of a CT have."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Which value becomes black (0) and which white (255); values outside are clipped."""

    black: float
    white: float

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert numbers to uint8 of the same shape; NaN becomes black."""
        wide = values.dtype.kind != "f" and values.dtype.itemsize > 2
        scaled: NDArray[np.floating[Any]] = values.astype(np.float64 if wide else np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled -= self.black
            scaled *= 255.0 / max(self.white - self.black, 1e-30)
            scaled += 0.5
            np.clip(scaled, 0, 255, out=scaled)
        if values.dtype.kind == "f":
            np.nan_to_num(scaled, copy=False)
        return scaled.astype(np.uint8)


def is_deep(mode: str) -> bool:
    """Whether the gray values of an image of this mode (see ``ImageInfo``) have more than 8 bits."""
    return mode.startswith("I;16") or mode in ("I", "F")


_CLIPPED, _EMPTY = 0.01, 0.99
"""An image of a bit depth with more than the first fraction of its pixels above white is not of that depth; of a
window, which clips by design, only the second is strange."""


def unlike(scale: Scale, values: Sequence[NDArray[Any]]) -> str:
    """What is strange about an image's gray values on the scale of its set, in words; empty: nothing.

    Args:
        scale: That of the set.
        values: The image, in pieces.
    """
    pixels = sum(piece.size for piece in values)
    outside = sum(int(np.count_nonzero((piece < scale.black) | (piece > scale.white))) for piece in values)
    high = max(range_of(piece)[1] for piece in values)
    if outside > pixels * (_EMPTY if scale.black else _CLIPPED):
        return (
            f"{100 * outside / pixels:.0f}% of its gray values are outside {scale.black:,.6g} to {scale.white:,.6g}, "
            "the range of the training images"
        )
    if not scale.black and high < scale.white / _NEARLY_BLACK:
        return f"its gray values end at {high:,.6g}, and white is {scale.white:,.6g} in the training images"
    return ""


def in_words(scale: Scale) -> str:
    """``4,095 becomes white``."""
    black = f"{scale.black:,.6g} becomes black and " if scale.black else ""
    return f"{black}{scale.white:,.6g} becomes white"


def range_of(values: NDArray[Any]) -> tuple[float, float]:
    """Minimum and maximum; infinite values and NaN are ignored."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def scale_of_one(levels: Levels, decoder: int) -> Scale:
    """Choose the scale of a single image.

    Integers: the declared white, else the largest value rounded up to 8, 10, 12, 14 or 16 bits. Floating point: 1, 255
    or 65,535, the first that holds all values, or the largest value where that would leave the image nearly black.
    Values that are negative or larger than these are stretched from the minimum to the maximum.

    Args:
        levels: Its range.
        decoder: Version of the decoder that a model was trained with (see ``ImageSpec``).
    """
    if levels.low < 0:
        return Scale(levels.low, levels.high)
    if decoder <= _FIRST_DECODER:
        white = _first(levels.high, _FLOAT_WHITES if levels.floating else (65535.0,))
    elif levels.floating:
        white = _usual_float(levels.high)
    else:
        white = levels.declared or _first(levels.high, _INTEGER_WHITES)
    return Scale(0.0, white) if white else Scale(levels.low, levels.high)


def scale_of_set(found: list[Levels], rule: Rule = "auto") -> Scale | None:
    """Choose one scale for a set of images, from the ranges of some of them.

    ``auto``: the white that all files declare; else the range of the set, rounded up to the usual whites (8, 10, 12, 14
    or 16 bits, or 1.0) where at least a quarter of that is used, so that 64 gray levels are left. Negative values make
    it the range itself. Where single pixels or a few images would make the range four times as wide, they are left out
    of it, and clipped. Of DICOM files with windows it is the window, if all have the same; of several, the most common
    one in CT, whose values mean the same everywhere. ``bits``: the usual whites always.

    Args:
        found: For integers their extremes; for floats a range without outliers.
        rule: See above.

    Returns:
        None if nothing was found, if integers and floats are mixed, which have no common scale, or if each file has a
        own window.
    """
    if len({levels.floating for levels in found}) != 1:
        return None
    windows = Counter(levels.window for levels in found if levels.window is not None)
    if rule == "auto" and 2 * windows.total() > len(found):
        common = windows.most_common(1)[0][0]
        return common if len(windows) == 1 or all(levels.absolute for levels in found) else None
    low, high = _range(found)
    if low < 0:
        return Scale(low, max(high, low + 1.0))
    declared = [levels.declared for levels in found if levels.declared]
    if len(declared) == len(found):
        return Scale(0.0, max(declared))
    usual = _first(high, (1.0,) if found[0].floating else _INTEGER_WHITES)
    if rule == "bits":
        usual = usual or _first(high, _FLOAT_WHITES)
        return Scale(0.0, usual or high)
    white = usual or high
    if 0 < high - low < white / _USED:
        return Scale(low, high)
    return Scale(0.0, white)


def _range(found: list[Levels]) -> tuple[float, float]:
    """The extremes of a set; without outliers, where these are far outside."""
    low, high = min(levels.low for levels in found), max(levels.high for levels in found)
    inner = [levels.inner or (levels.low, levels.high) for levels in found]
    few = len(found) // _OUTLYING
    inner_low, inner_high = sorted(low for low, _ in inner)[few], sorted(high for _, high in inner)[-1 - few]
    far = high - low > _FAR * (inner_high - inner_low) > 0
    return (inner_low, inner_high) if far else (low, high)


def parse(text: str) -> Rule | Scale:
    """The setting ``data.intensity``: ``auto``, ``bits``, or the values that become black and white, ``-1000,400``.

    Raises:
        UsageError: it is something else.
    """
    if text in ("auto", "bits"):
        return cast(Rule, text)
    try:
        black, white = map(float, text.split(","))
        if -math.inf < black < white < math.inf:
            return Scale(black, white)
    except ValueError:
        pass
    raise UsageError(
        f"data.intensity cannot be {text!r}",
        "expected auto, bits, or the gray values that become black and white, such as 0,4095 or -1000,400",
    )


def as_setting(scale: Scale) -> str:
    """The scale as :func:`parse` reads it: ``0,4095``."""
    return ",".join(repr(value).removesuffix(".0") for value in (scale.black, scale.white))


def _first(high: float, whites: tuple[float, ...]) -> float | None:
    return next((white for white in whites if high <= white), None)


def _usual_float(high: float) -> float | None:
    white = _first(high, _FLOAT_WHITES)
    return high if white and 1 < high < white / _NEARLY_BLACK else white
