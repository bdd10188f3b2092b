"""Find similar images by their embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from keensight.core.predictions import Embeddings
from keensight.errors import DataError

_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Similar:
    """The most similar images of a collection for each query, the nearest first."""

    queries: tuple[str, ...]
    """Paths."""
    album: tuple[str, ...]
    """Paths of all searched images."""
    rows: NDArray[np.int64] = field(compare=False)
    """Shape (queries, n): positions in ``album``."""
    cosines: NDArray[np.float32] = field(compare=False)
    """Shape (queries, n): similarity, -1 to 1."""
    errors: tuple[str, ...] = ()
    """Reasons of queries that could not be read; their rows are -1 and their cosines NaN."""

    def paths(self, query: int) -> list[str]:
        """The results of one query; empty if it could not be read."""
        return [self.album[row] for row in self.rows[query] if row >= 0]


def search(queries: Embeddings, album: Embeddings, n: int) -> Similar:
    """Find the ``n`` images of ``album`` nearest to each query by the cosine of their standardized embeddings.

    Each feature is standardized over the album: features from several maps of a network differ in scale, and the
    largest would dominate. The search is exact. An image never matches itself (by its path), and images that could not
    be read match nothing.

    Args:
        queries: Embeddings of the query images.
        album: Embeddings of the images to search, from the same network.
        n: Number of matches per query.

    Raises:
        DataError: the album has fewer than ``n`` other readable images, or the networks differ.
    """
    if queries.vectors.shape[1] != album.vectors.shape[1]:
        raise DataError(
            f"embeddings of {queries.vectors.shape[1]} and of {album.vectors.shape[1]} numbers cannot be compared",
            "embed both with the same model",
        )
    readable, unread = _whole(album.vectors), ~_whole(queries.vectors)
    if int(readable.sum()) < n + bool(set(queries.paths) & set(album.paths)):
        raise DataError(f"there are fewer than {n} images to find", "ask for fewer, or search a larger album")
    mean, scale = _scale(album.vectors[readable])
    known, asked = (_directions((some.vectors - mean) * scale) for some in (album, queries))
    place = {path: row for row, path in enumerate(album.paths)}
    itself = np.array([place.get(path, -1) for path in queries.paths], dtype=np.int64)
    rows = np.empty((len(asked), n), dtype=np.int64)
    cosines = np.empty((len(asked), n), dtype=np.float32)
    for begin in range(0, len(asked), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        near = asked[part] @ np.where(readable[:, None], known, 0).T
        near[:, ~readable] = -np.inf
        own = np.flatnonzero(itself[part] >= 0)
        near[own, itself[part][own]] = -np.inf
        rows[part] = np.argsort(-near, axis=1, kind="stable")[:, :n]
        cosines[part] = np.take_along_axis(near, rows[part], axis=1)
    rows[unread], cosines[unread] = -1, np.nan
    lost = tuple(path for path, gone in zip(queries.paths, unread, strict=True) if gone)
    return Similar(queries.paths, album.paths, rows, cosines, lost)


def _scale(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and inverse deviation of each feature, each (d,); a constant feature does not count."""
    deviation = vectors.std(axis=0)
    usable = deviation > 1e-6 * deviation.max(initial=0.0)
    if not usable.any():  # one image, or copies of it
        return np.zeros_like(deviation), np.ones_like(deviation)
    return vectors.mean(axis=0), np.where(usable, 1 / np.where(usable, deviation, 1), 0).astype(np.float32)


def _directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)


def _whole(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.array(np.isfinite(vectors).all(axis=1), dtype=np.bool_)
