"""Folds of a cross-validation: whole groups, spread evenly over the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def deal(classes: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Assign whole groups to folds: in random order, sorted by the class of their first image, in turn.

    Args:
        classes: What is spread evenly, such as class numbers, shape (n,).
        groups: Shape (n,); images with the same number get the same fold.
        folds: Number of folds.
        seed: Random seed.

    Returns:
        The fold of each image, int64 (n,), 0 to ``folds`` - 1; with fewer groups than that, some have no image.

    Example:
        >>> deal(np.array([0, 0, 1, 1]), np.array([7, 8, 9, 9]), 2).shape
        (4,)
    """
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    order = np.lexsort((np.random.default_rng(seed).random(len(first)), classes[first]))
    turn = np.empty(len(first), np.int64)
    turn[order] = np.arange(len(first)) % folds
    found: NDArray[np.int64] = turn[number]
    return found
