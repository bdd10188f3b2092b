"""What hangs together by pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def joined(n: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Number of the connected component of each of ``n`` things, shape (n,).

    Args:
        n: How many things there are.
        pairs: Which two belong together, by their numbers from 0 to n - 1.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), np.bool_), (ends[:, 0], ends[:, 1])), shape=(n, n))
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels
