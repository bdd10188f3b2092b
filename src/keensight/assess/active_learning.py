"""Which unlabeled images to label next: active learning by uncertainty and coverage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def uncertainty(probabilities: NDArray[np.float32], *, multilabel: bool = False) -> NDArray[np.float32]:
    """How uncertain each prediction is, (n,), 0 to 1.

    One class per image: 1 minus the margin between the two most probable classes (Scheffer, Decomain and Wrobel 2001).
    Any number of labels: the largest, over the labels, of 1 minus the distance from certainty, ``|2 p - 1|``.

    Args:
        probabilities: Shape (n, classes).
        multilabel: Whether an image may have any number of labels.
    """
    if multilabel:
        doubts: NDArray[np.float32] = (1 - np.abs(2 * probabilities - 1)).max(axis=1)
        return doubts
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    margins: NDArray[np.float32] = 1 - (two[:, 1] - two[:, 0])
    return margins


def rank(doubts: NDArray[np.float32], vectors: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Rank images by what labeling them would bring: first the most uncertain, then uncertain ones unlike those before.

    Each next image has the largest product of its uncertainty and its squared distance from the nearest image chosen
    before it (a weighted farthest-first traversal, Gonzalez 1985, as in the coreset method of Sener and Savarese 2018),
    on standardized embeddings of length 1. So near-duplicates are not asked for twice, and any beginning of the
    ranking is a good choice by itself.

    Against uncertainty alone, k-means on embeddings, BADGE (Ash et al. 2020) and Cluster-Margin (Citovsky et al. 2021)
    it was chosen on nine image sets; ``benchmarks/suggest.py`` shows it on others.

    Args:
        doubts: Uncertainty, shape (n,).
        vectors: Embeddings, shape (n, d), finite.
        count: Number of images to rank, at most n.

    Returns:
        Positions, shape (count,), without repetition.

    Examples:
        >>> doubts = np.array([0.9, 0.89, 0.5], np.float32)
        >>> vectors = np.array([[1, 0], [1, 0.01], [0, 1]], np.float32)
        >>> rank(doubts, vectors, 2)
        array([0, 2])
    """
    units = _units(vectors)
    chosen = np.zeros(min(count, len(doubts)), np.int64)
    gains = doubts.astype(np.float32)  # before the first, all distances count as equal
    nearest = np.full(len(doubts), np.inf, np.float32)
    for place in range(len(chosen)):
        best = int(gains.argmax())
        chosen[place] = best
        np.minimum(nearest, np.maximum(2 - 2 * (units @ units[best]), 0), out=nearest)
        gains = doubts * nearest
        gains[chosen[: place + 1]] = -1
    return chosen


def _units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors standardized by feature, then scaled to length 1; (n, d) float32."""
    spread = vectors.std(axis=0)
    moved = (vectors - vectors.mean(axis=0)) / np.where(spread > 0, spread, 1)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    units: NDArray[np.float32] = (moved / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return units
