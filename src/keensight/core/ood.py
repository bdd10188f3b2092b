"""Out-of-distribution (OOD) detection from embeddings: the rule and its record.

The residual of a principal subspace, as in ViM (Wang, Li, Feng and Zhang 2022, "ViM: Out-of-distribution with
virtual-logit matching"): the training images' embeddings are close to a low-dimensional subspace; embeddings of other
kinds of images are not. Two changes were chosen by measurement. Embeddings are scaled to length 1, because images with
little contrast, such as X-rays, have short embeddings with small residuals. And the variances of the features are
brought closer together, because those of early layers, which describe textures, are smaller. No labels are used, so it
also works with several labels per image. With ``e`` an image's embedding:

1. its direction is ``u = g / |g|``, where ``g = e / |e| / scale`` and ``scale**2`` is the variance of a feature of
   ``e / |e|`` plus the mean of all variances;
2. its score is the length of what the principal axes do not explain of ``u - mean``, 0 to 2;
3. it is OOD if its score is above ``threshold``, which is higher than the scores of about 97% of the validation images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEEP = 0.97
"""Minimum fraction of in-distribution images below the threshold, given at least 33 validation images."""
LARGEST = 2.0
"""Maximum possible score: directions have length 1, and their mean has at most that."""
EASE = 1e-5
"""The threshold is the score of a validation image, which another runtime computes with another rounding."""
_AXES, _EACH = 64, 4
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Subspace:
    """The subspace of the training images' embeddings, and the validation images' distances from it."""

    scale: NDArray[np.float32]
    """Shape (d,): divisor of each feature of an embedding of length 1; positive."""
    mean: NDArray[np.float32]
    """Shape (d,): mean of the training images' directions."""
    axes: NDArray[np.float32]
    """Shape (k, d): orthonormal principal axes of the directions about their mean."""
    known: NDArray[np.float32]
    """Shape (n,): scores of the validation images, ascending."""
    threshold: float
    """Score above which an image is OOD, 0 to 2; 2: never."""
    refused: float
    """Maximum expected fraction of in-distribution images above the threshold, 0 to 1."""


def fit(vectors: NDArray[np.float32], val_vectors: NDArray[np.float32]) -> Subspace:
    """Estimate the subspace from training images and the threshold from validation images.

    There is an axis for every 4 images and every 4 features, up to 64. The threshold is the k-th lowest of the n
    validation scores, which a new in-distribution image exceeds with probability (n + 1 - k) / (n + 1), as in conformal
    prediction (Vovk et al. 2005); k is the lowest for which that is at most ``1 - KEEP``, or n with too few images for
    that. Without any, no image is OOD.

    Args:
        vectors: Embeddings of training images, shape (n, d), n at least 1; a few hundred are enough.
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
    """OOD score of each embedding (n, d), float32 (n,), 0 to 2; NaN if it is not finite."""
    moved = _directions(vectors, subspace.scale) - subspace.mean
    axes = subspace.axes.astype(np.float64)
    with np.errstate(invalid="ignore"):
        left = np.linalg.norm(moved - (moved @ axes.T) @ axes, axis=1)
    scores: NDArray[np.float32] = np.minimum(left, LARGEST).astype(np.float32)
    return scores


def odd(scores: NDArray[np.float32], subspace: Subspace) -> NDArray[np.bool_]:
    """Which images are OOD, shape (n,), including those whose embedding is not finite."""
    refused: NDArray[np.bool_] = ~(scores <= np.float32(subspace.threshold + EASE))
    return refused


def _principal(rows: NDArray[np.float64], count: int) -> NDArray[np.float32]:
    """The first principal axes of rows (n, d), orthonormal, shape (count, d), from the smaller Gram matrix."""
    n, d = rows.shape
    if n < d:
        spanned = rows.T @ np.linalg.eigh(rows @ rows.T)[1][:, n - count :]
    else:
        spanned = np.linalg.eigh(rows.T @ rows)[1][:, d - count :]
    # Axes without variance are noise; this makes them orthonormal too.
    axes: NDArray[np.float32] = np.linalg.qr(spanned[:, ::-1])[0].T.astype(np.float32)
    return axes


def _directions(vectors: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float64]:
    return _unit(_unit(vectors.astype(np.float64)) / scale)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows scaled to length 1; a row of length 0 is unchanged, one that is not finite becomes NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        scaled: NDArray[np.float64] = np.where(np.isfinite(lengths), rows / np.where(lengths > 0, lengths, 1), np.nan)
    return scaled
