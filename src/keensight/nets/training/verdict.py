"""Whether a phase of fine-tuning is begun and kept, decided on few validation images."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.nets.training.losses import objective_of

_TEMPERATURES = 2.0 ** np.linspace(-3, 3, 25)
_RESAMPLES = 100
_CERTAIN = 2.0
"""Sum of two standard scores from which a difference is certain: they rise and fall together, so it varies by 2."""
_PERFECT = 0.02
"""Fine-tuning is not begun if the error rate is certainly below this."""
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Verdict:
    """Comparison of a model before and after a phase, on the same validation images.

    Attributes:
        kept: Whether the later one is probably better.
        certain: Whether the difference is larger than chance explains.
    """

    kept: bool
    certain: bool


def judge(before: NDArray[Any], after: NDArray[Any], targets: NDArray[Any]) -> Verdict:
    """Compare by accuracy (of several labels: mean average precision) and by loss, each in standard errors.

    Both count, because a loss varies less from sample to sample than an accuracy. Each model's losses are at a
    temperature that was chosen on the other half of the images: fine-tuned models are overconfident.

    Args:
        before: Logits (n, classes) before the phase.
        after: Logits (n, classes) after it.
        targets: Class numbers (n,), or indicators (n, classes).
    """
    drop = losses(before, targets) - losses(after, targets)
    score = _score(float(drop.mean()), float(drop.std()) / sqrt(len(drop)))
    score += _score(*(_accuracy_gain if targets.ndim == 1 else _ranking_gain)(before, after, targets))
    return Verdict(score > 0, abs(score) >= _CERTAIN)


def losses(logits: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Cross-entropy of each image, (n,); of several labels the mean over them. The temperature of every second image
    is the best of the others.
    """
    grid = np.stack([_entropies(logits / temperature, targets) for temperature in _TEMPERATURES])
    found = np.empty(len(targets))
    for half in (slice(0, None, 2), slice(1, None, 2)):
        other = slice(1 - (half.start or 0), None, 2)
        found[half] = grid[grid[:, other].mean(axis=1).argmin() if grid[:, other].size else len(grid) // 2, half]
    return found


def _entropies(logits: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    logits = logits.astype(np.float64)
    if targets.ndim == 2:
        return np.asarray(np.logaddexp(0, np.where(targets == 1, -logits, logits)).mean(axis=1))
    return np.asarray(np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(targets)), targets])


def _accuracy_gain(before: NDArray[Any], after: NDArray[Any], targets: NDArray[Any]) -> tuple[float, float]:
    """Gain, and its standard error if neither were better (McNemar 1947), in images."""
    changed = (after.argmax(axis=1) == targets).astype(int) - (before.argmax(axis=1) == targets)
    return float(changed.sum()), sqrt(np.abs(changed).sum() + 1)  # one more: a single image is no evidence


def _ranking_gain(before: NDArray[Any], after: NDArray[Any], targets: NDArray[Any]) -> tuple[float, float]:
    """Gain in mean average precision, and its standard error by a paired bootstrap."""
    ranking, rng = objective_of(targets).ranking, np.random.default_rng(0)

    def gain(rows: NDArray[np.int64]) -> float:
        return (ranking(after[rows], targets[rows]) or 0.0) - (ranking(before[rows], targets[rows]) or 0.0)

    drawn = [gain(rng.integers(len(targets), size=len(targets))) for _ in range(_RESAMPLES)]
    return gain(np.arange(len(targets))), float(np.std(drawn))


def _score(gain: float, error: float) -> float:
    return gain / error if error > 0 else 0.0


def solved(accuracy: float, n: int) -> bool:
    """Whether so few images are wrong that fine-tuning cannot pay: 98% accuracy is below the score interval (Wilson
    1927).

    Args:
        accuracy: Fraction of right validation images.
        n: Validation images.
    """
    error = 1.0 - accuracy
    spread = _Z * sqrt(error * accuracy / n + _Z**2 / (4 * n * n))
    return (error + _Z**2 / (2 * n) + spread) / (1 + _Z**2 / n) < _PERFECT


def hopeless(accuracies: list[float], epochs: int, before: float, n: int) -> bool:
    """Whether a phase can be left early: half of it and two epochs are done, its learning rate is falling, and
    validation accuracy is still two standard errors below that before the phase.

    Earlier says nothing: at a high learning rate, accuracy falls first and rises above the old one later. After one of
    two epochs it is still near its highest.

    Args:
        accuracies: Validation accuracy after each epoch so far.
        epochs: Number of epochs planned.
        before: Validation accuracy before the phase.
        n: Validation images.
    """
    noise = 2.0 * sqrt(max(before * (1.0 - before), 1.0 / n) / n)
    done = len(accuracies)
    return max(epochs, 4) <= 2 * done < 2 * epochs and accuracies[-1] < before - noise
