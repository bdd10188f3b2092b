"""How unlike the training images an image is, from its embedding: the rule and its record.

The residual of a principal subspace, as in ViM (Wang, Li, Feng and Zhang 2022, "ViM: Out-of-distribution with
virtual-logit matching"): the training images' embeddings lie near a few directions, and another kind of picture leaves
them. Two changes were chosen by measurement: embeddings are scaled to length 1, as pictures with little contrast, such
as X-rays, have short ones that leave nothing by little; and features are brought closer to one spread, as those of
early layers, which know textures, are smaller. No labels are asked for, so that it serves several labels an image too.
With ``e`` an image's embedding:

1. its direction is ``u = g / |g|``, where ``g = e / |e| / scale`` and ``scale**2`` is the variance of a feature of
   ``e / |e|`` plus the mean of all variances;
2. its score is the length of what the principal axes do not explain of ``u - mean``, 0 to 2;
3. it is odd if its score is above ``threshold``, which about 97 % of the validation images stay below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEEP = 0.97
"""Share of images like the validation images that the threshold keeps, at least, where there are 33 of them."""
LARGEST = 2.0
"""No score is above it: a direction has length 1, and so at most has the mean of some."""
_AXES, _EACH = 64, 4
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Subspace:
    """Where the embeddings of training images lie, and how far from it validation images are."""

    scale: NDArray[np.float32]
    """Shape (d,): what each feature of an embedding of length 1 is divided by; above 0."""
    mean: NDArray[np.float32]
    """Shape (d,): mean of the training images' directions."""
    axes: NDArray[np.float32]
    """Shape (k, d): orthonormal principal axes of the directions about their mean."""
    known: NDArray[np.float32]
    """Shape (n,): scores of the validation images, rising."""
    threshold: float
    """Score above which an image is odd, 0 to 2; 2: none is."""
    refused: float
    """Share of new images like the validation images to be expected above the threshold, at most, 0 to 1."""


def fit(vectors: NDArray[np.float32], val_vectors: NDArray[np.float32]) -> Subspace:
    """A subspace from training images, its threshold from validation images.

    There is an axis for every 4 images and every 4 features, up to 64. The threshold is the k-th lowest of the n
    validation scores, which a new image like them exceeds with a chance of (n + 1 - k) / (n + 1), as in conformal
    prediction (Vovk et al. 2005); k is the lowest for which that is at most ``1 - KEEP``, or n with too few images for
    it. Without any, no image is odd.

    Args:
        vectors: Embeddings of training images, shape (n, d), n at least 1; some hundreds are enough.
        val_vectors: Embeddings of validation images, shape (m, d), which no network was trained on.
    """
    rows = _unit(vectors.astype(np.float64))
    spread = rows.var(axis=0)
    scale = np.sqrt(np.maximum(spread + spread.mean(), _TINY)).astype(np.float32)
    rows = _directions(vectors, scale)
    mean = rows.mean(axis=0).astype(np.float32)
    count = min(_AXES, rows.shape[0] // _EACH, rows.shape[1] // _EACH)
    axes = _principal(rows - mean, count)
    bare = Subspace(scale, mean, axes, np.zeros(0, np.float32), threshold=LARGEST, refused=0.0)
    if not len(val_vectors):
        return bare
    known = np.sort(score(val_vectors, bare))
    place = min(int(np.ceil((len(known) + 1) * KEEP)), len(known))
    expected = (len(known) + 1 - place) / (len(known) + 1)
    return Subspace(scale, mean, axes, known, float(known[place - 1]), expected)


def score(vectors: NDArray[np.float32], subspace: Subspace) -> NDArray[np.float32]:
    """How odd each embedding (n, d) is, float32 (n,), 0 to 2; NaN where it is not finite."""
    moved = _directions(vectors, subspace.scale) - subspace.mean
    axes = subspace.axes.astype(np.float64)
    with np.errstate(invalid="ignore"):
        left = np.linalg.norm(moved - (moved @ axes.T) @ axes, axis=1)
    scores: NDArray[np.float32] = np.minimum(left, LARGEST).astype(np.float32)
    return scores


def odd(scores: NDArray[np.float32], subspace: Subspace) -> NDArray[np.bool_]:
    """Which images are unlike the training images, shape (n,); so is one whose embedding is not finite."""
    refused: NDArray[np.bool_] = ~(scores <= np.float32(subspace.threshold))
    return refused


def _principal(rows: NDArray[np.float64], count: int) -> NDArray[np.float32]:
    """The first principal axes of rows (n, d), orthonormal, shape (count, d), from the smaller matrix of products."""
    n, d = rows.shape
    if n < d:
        spanned = rows.T @ np.linalg.eigh(rows @ rows.T)[1][:, n - count :]
    else:
        spanned = np.linalg.eigh(rows.T @ rows)[1][:, d - count :]
    # Axes without variance come out as noise; this makes them orthonormal too.
    axes: NDArray[np.float32] = np.linalg.qr(spanned[:, ::-1])[0].T.astype(np.float32)
    return axes


def _directions(vectors: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float64]:
    return _unit(_unit(vectors.astype(np.float64)) / scale)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows scaled to length 1; one of length 0 stays, one that is not finite is all NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        scaled: NDArray[np.float64] = np.where(np.isfinite(lengths), rows / np.where(lengths > 0, lengths, 1), np.nan)
    return scaled
