"""Learning curve: a power law fitted to the error rates after training on fewer images.

The error rate falls as ``a + b * n ** -c`` with the number ``n`` of training images (Figueroa et al.
2012, BMC Medical Informatics 12; Hestness et al. 2017, arXiv 1712.00409). ``a`` and ``b`` are at least 0 and ``c`` is
between
0.05 and 1: the square root's rate (0.5) is in the middle of what occurs in practice. It is only extrapolated to twice
the images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keensight.core.interval import Interval

RESAMPLES = 1000
_EXPONENTS = np.linspace(0.05, 1.0, 39)
Floats = NDArray[np.float64]


def power_law(images: Floats, errors: Floats) -> tuple[Floats, Floats, Floats]:
    """Least squares of ``a + b * images ** -c``.

    Args:
        images: Training images of each point, shape (k,).
        errors: Error rates, shape (m, k): m curves.

    Returns:
        ``a``, ``b`` and ``c``, each of shape (m,).
    """
    fits = [_linear(images**-c, errors) for c in _EXPONENTS]
    best = np.argmin([fit[2] for fit in fits], axis=0)
    rows = np.arange(len(errors))
    a, b = (np.stack([fit[part] for fit in fits])[best, rows] for part in (0, 1))
    return a, b, _EXPONENTS[best]


def _linear(x: Floats, errors: Floats) -> tuple[Floats, Floats, Floats]:
    """Least squares of ``a + b * x`` with both at least 0, and the residual."""
    centred = x - x.mean()
    b = errors @ centred / (centred @ centred)
    a = errors.mean(axis=1) - b * x.mean()
    through_zero = errors @ x / (x @ x)
    b = np.where(a < 0, through_zero, b)
    a = np.where(a < 0, 0.0, a)
    a = np.where(b < 0, errors.mean(axis=1), a)
    b = np.maximum(b, 0.0)
    return a, b, ((errors - a[:, None] - b[:, None] * x) ** 2).sum(axis=1)


def doubling(
    images: Floats,
    wrong: Sequence[NDArray[np.bool_]],
    groups: NDArray[np.int64] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[tuple[float, float, float], Interval]:
    """Fit the curve, and estimate the gain from twice as many images.

    The interval is of a bootstrap over validation images or groups (the same ones for every point) and over random
    subsets.

    Args:
        images: Training images of each point, shape (k,), ascending.
        wrong: For each point, which validation images were misclassified with each random subset, shape (draws, val)
            each.
        groups: Number of each validation image's group, shape (val,); None: each image stands for itself.
        level: Confidence level.
        seed: Random seed.

    Returns:
        ``(a, b, c)``, and the gain in accuracy.
    """
    errors = np.array([[point.mean() for point in wrong]])
    a, b, c = power_law(images, errors)
    rng = np.random.default_rng(seed)
    unit = np.arange(wrong[0].shape[1]) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    units = int(unit.max()) + 1
    weights = rng.multinomial(units, np.full(units, 1 / units), RESAMPLES)[:, unit].astype(np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    drawn = np.stack([_resampled(point, weights, rng) for point in wrong], axis=1)
    low, high = np.quantile(_gain(images[-1], *power_law(images, drawn)), [(1 - level) / 2, (1 + level) / 2])
    gain = float(_gain(images[-1], a, b, c)[0])
    found = Interval(gain, min(float(low), gain), max(float(high), gain), level, "bootstrap of images and subsets")
    return (float(a[0]), float(b[0]), float(c[0])), found


def _resampled(wrong: NDArray[np.bool_], weights: Floats, rng: np.random.Generator) -> Floats:
    """Error rates of one point on resampled validation images and subsets, shape (resamples,)."""
    by_draw = weights @ wrong.T.astype(np.float64)
    draws = wrong.shape[0]
    counts = rng.multinomial(draws, np.full(draws, 1 / draws), len(weights)) / draws
    errors: Floats = (by_draw * counts).sum(axis=1)
    return errors


def _gain(n: float, a: Floats, b: Floats, c: Floats) -> Floats:
    return b * (n**-c - (2 * n) ** -c)
