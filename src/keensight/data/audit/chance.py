"""How similar two images of a set are by chance.

Where all images show the same object at the same place, such as cast parts or solar cells, many pairs of different
images are as similar as recompressed copies are elsewhere. What chance does is read off pairs drawn at random, those
aside that may be copies themselves: the Fisher transform ``arctanh`` of a correlation is nearly normal (Fisher 1921).
"""

from __future__ import annotations

from math import atanh, erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from keensight.data.audit.registration import Floats

FRACTION = 0.05
"""Fraction of the pairs found that may be due to chance."""
HIGHEST = 0.9995
STEP = 0.0005
_MANY = 0.05
"""Pairs for each image up to which chance is not looked at: so few tie only a few images by mistake."""
_DRAWN = 400
_UPPER, _DEVIATIONS = 0.95, 1.645
"""A quantile of random pairs, and how many standard deviations it is above the median of a normal distribution."""
_ENOUGH = 100
"""Random pairs below the threshold, for an upper quantile."""
_LARGEST = 0.9999


def many(scores: Floats, least: float, n: int) -> bool:
    """Whether so many pairs of ``n`` images reach ``least`` that chance must be looked at."""
    return int((scores >= least).sum()) > _MANY * n


def random_pairs(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Some pairs of different ones of ``n`` images, the same ones each time; n is at least 2."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, n, _DRAWN)
    return first, (first + rng.integers(1, n, _DRAWN)) % n


def above_chance(least: float, scores: Floats, drawn: Floats, n: int, tries: int = 1) -> float:
    """Raise a threshold until at most one pair, or 5% of those above it, is expected by chance.

    Args:
        least: The threshold without a look at chance.
        scores: Correlations of the pairs that may be copies, shape (k,).
        drawn: Correlations of pairs drawn at random, shape (m,).
        n: Number of images, of which any two may be similar by chance.
        tries: In how many more ways the pairs were laid onto each other than those drawn.
    """
    different = drawn[drawn < least]
    if len(different) < _ENOUGH:
        return least
    middle, upper = np.quantile(np.arctanh(np.maximum(different, -_LARGEST)), [0.5, _UPPER])
    spread = max(float(upper - middle) / _DEVIATIONS, 1e-6)
    for candidate in np.arange(least, HIGHEST, STEP):
        beyond = erfc((atanh(candidate) - float(middle)) / spread / sqrt(2)) / 2
        if tries * n * (n - 1) / 2 * beyond <= max(1, FRACTION * int((scores >= candidate).sum())):
            return round(float(candidate), 4)
    return HIGHEST
