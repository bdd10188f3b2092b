"""Tests of whether new images are like those that a model was tested on.

Each property is compared by the two-sample Kolmogorov-Smirnov test, and the p-values are corrected by Holm's method, so
that the probability of any false alarm is at most the level, whatever the number of properties and their dependence
(Rabanser, Günnemann and Lipton 2019, "Failing loudly", compare such tests). p-values are those of the limiting
distribution, which are too large for few images: the test then has fewer false alarms, not more. A difference that is
significant but small (:data:`NEGLIGIBLE`) is no alarm.

A stream is tested in windows of :data:`WINDOW` images, the k-th one at the level ``alpha / (k (k + 1))``. These levels
sum to ``alpha``, so that the probability of a false alarm ever is at most ``alpha`` (alpha spending, Lan and DeMets
1983; here with a fixed sequence of levels).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.drift import CLASS, FILE, NUMBERS, PIXELS, PROPERTIES, DriftReport, Measured, Shift
from keensight.core.predictions import Predictions
from keensight.core.records import ImageInfo

LEVEL = 0.01
"""Maximum probability of a false alarm."""
NEGLIGIBLE = 0.1
"""Distance of two distributions that is no alarm however many images show it."""
FEWEST = 20
"""Number of images that a property must be known of, on both sides."""
WINDOW = 200
"""Number of images of a stream that are tested at once."""
_TERMS = 100
_STEP = 0.05
_GRID = 32
_WHITE = 1020
"""Gray level of white: the channels with the weights 1, 2 and 1."""


def measured(
    images: Sequence[NDArray[np.uint8] | None], infos: Sequence[ImageInfo | None], predictions: Predictions
) -> Measured:
    """Measure some images; those without pixels or prediction are left out.

    Args:
        images: At the model's input size, uint8 (height, width, 3).
        infos: Their headers.
        predictions: For these images, in their order.
    """
    read = [i for i, image in enumerate(images) if image is not None]
    outputs = of_predictions(predictions)
    values = outputs.values[read]
    for row, place in enumerate(read):
        image, info = images[place], infos[place]
        assert image is not None
        values[row, : len(PIXELS)] = pixel_properties(image)
        if info is not None:
            values[row, len(PIXELS) : len(PIXELS) + len(FILE)] = _file_properties(info)
    return Measured(values, outputs.classes[read])


def of_predictions(predictions: Predictions) -> Measured:
    """What predictions alone say of n images."""
    values = np.full((len(predictions), len(NUMBERS)), np.nan, np.float32)
    classes = np.full(len(predictions), -1, np.int64)
    known = ~np.isnan(predictions.probabilities).any(axis=1)
    values[known, NUMBERS.index("confidence")] = predictions.probabilities[known].max(axis=1)
    classes[known] = predictions.probabilities[known].argmax(axis=1)
    if predictions.ood_scores is not None:
        values[:, NUMBERS.index("out-of-distribution score")] = predictions.ood_scores
    return Measured(values, classes)


def _file_properties(info: ImageInfo) -> tuple[float, float]:
    """Megapixels and aspect ratio as the image is seen: EXIF orientations 5 to 8 are rotated by 90 degrees.

    They are rounded to steps of 5%: a test set of 400 by 533 px is not unlike images of 400 by 534.
    """
    ratio = info.width / info.height
    turned = 1 / ratio if info.orientation >= 5 else ratio
    return _rounded(info.width * info.height / 1e6), _rounded(turned)


def _rounded(value: float) -> float:
    return math.exp(_STEP * round(math.log(value) / _STEP))


def compare(reference: Measured, new: Measured, names: Sequence[str], level: float = LEVEL) -> tuple[Shift, ...]:
    """Compare every property that is known of enough images.

    Args:
        reference: Of the test images.
        new: Of the new images.
        names: Names of the classes.
        level: Maximum probability of a false alarm.
    """
    columns = {name: (reference.column(name), new.column(name)) for name in PROPERTIES}
    known = {name: pair for name, pair in columns.items() if min(map(len, pair)) >= FEWEST}
    distances = [distance(*pair) for pair in known.values()]
    values = [p_value(far, *map(len, pair)) for far, pair in zip(distances, known.values(), strict=True)]
    return tuple(
        Shift(name, far, p, adjusted, adjusted <= level and far >= NEGLIGIBLE, **_medians(name, *pair, names))
        for (name, pair), far, p, adjusted in zip(known.items(), distances, values, holm(values), strict=True)
    )


def _medians(
    name: str, reference: NDArray[np.float64], new: NDArray[np.float64], names: Sequence[str]
) -> dict[str, Any]:
    """What people want to see of a property."""
    if name == CLASS:
        return {"change": _change(reference, new, names)}
    return {"tested": float(np.median(reference)), "new": float(np.median(new))}


def _change(reference: NDArray[np.float64], new: NDArray[np.float64], names: Sequence[str]) -> str:
    """The class whose fraction changed most."""
    before, now = (
        np.bincount(values.astype(np.int64), minlength=len(names)) / len(values) for values in (reference, new)
    )
    most = int(np.abs(now - before).argmax())
    return f"{names[most]}: {before[most]:.0%} -> {now[most]:.0%}"


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Largest difference of the cumulative distributions of two samples, 0 to 1."""
    places = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(values), places, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def p_value(far: float, n: int, m: int) -> float:
    """Probability of at least this distance of samples of n and m values from one distribution (Smirnov 1948).

    It is that of the limit of many values. With few values, or ties, it is too large.
    """
    x = far * math.sqrt(n * m / (n + m))
    if x < 0.2:  # the series converges slowly, to 1
        return 1.0
    terms = (2.0 * (-1.0) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, _TERMS))
    return min(1.0, max(0.0, math.fsum(terms)))


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979)."""
    order = np.argsort(values, kind="stable")
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return adjusted


def window_level(number: int, level: float = LEVEL) -> float:
    """The level of the window of this number, from 1; all of them sum to ``level``."""
    return level / (number * (number + 1))


def pixel_properties(image: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Brightness, contrast, sharpness and saturation of an image (height, width, 3) at the model's input size, 0 to 1.

    Brightness is the mean of the gray levels and contrast their standard deviation; sharpness is the mean difference of
    neighbors, saturation the mean difference of the largest and smallest channel. Some 32 to 64 rows are used.
    """
    rows = image[:: max(1, len(image) // _GRID)]
    red, green, blue = (rows[..., channel].astype(np.int16) for channel in range(3))
    gray = red + 2 * green + blue
    near = int(np.abs(gray[:, 1:] - gray[:, :-1]).sum()) / max(1, gray[:, 1:].size)
    colors = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    mean = int(gray.sum()) / gray.size
    spread = math.sqrt(max(0.0, float(np.square(gray, dtype=np.float32).mean()) - mean**2))
    return mean / _WHITE, spread / _WHITE, near / _WHITE, int(colors.sum()) / gray.size / 255


def report(
    reference: Measured, new: Measured, names: Sequence[str], level: float = LEVEL, threshold: float | None = None
) -> DriftReport:
    """Compare new images with the test images.

    Args:
        reference: Of the test images.
        new: Of the new images.
        names: Names of the classes.
        level: Maximum probability of a false alarm.
        threshold: Out-of-distribution score above which an image is out-of-distribution; None: not used.
    """
    shifts = compare(reference, new, names, level)
    missing = [name for name in PROPERTIES if name not in {shift.property for shift in shifts}]
    notes = (f"not compared, as there are fewer than {FEWEST} values: {', '.join(missing)}",) if missing else ()
    return DriftReport(
        len(new), len(reference), level, shifts, _above(new, threshold), _above(reference, threshold), notes=notes
    )


def _above(measured: Measured, threshold: float | None) -> float | None:
    scores = measured.column("out-of-distribution score")
    return None if threshold is None or not len(scores) else float((scores > np.float32(threshold)).mean())
