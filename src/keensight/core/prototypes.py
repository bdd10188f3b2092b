"""Nearest class mean on embeddings: adding a class without training, and detecting unknown images.

The nearest class mean classifier of Mensink et al. 2013 (Distance-Based Image Classification: Generalizing to New
Classes at Near-Zero Cost) with the cosine in place of a learned metric; a class enrolled from a few images is a
prototype in the sense of Snell et al. 2017 (Prototypical Networks for Few-shot Learning). The rule, with ``e`` an
image's embedding:

1. its direction is ``u = (e - centre) / |e - centre|``, where ``centre`` is the mean of the trained classes' mean
   embeddings and never changes;
2. a class's mean ``m`` is the mean of its images' directions, and ``s`` the cosine between ``u`` and ``m``;
3. if the largest ``s`` among all classes belongs to an enrolled class, that class is predicted; else the network
   decides among the classes that it was trained on;
4. the image is unknown if the largest ``s`` is below ``threshold``, which 95% of the validation images reach.

Probabilities are a softmax in which the network's most probable class has the logit ``a / temperature``, ``a`` being
the largest ``s`` of a trained class, the other trained classes below it by their log odds against it, and an enrolled
class the logit ``s / temperature``. So the odds among trained classes are the network's, and the most probable class is
the one of the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RULE = "nearest class mean"
"""The decision rule of a bundle with enrolled classes, in its manifest."""
KEEP = 0.95
"""Minimum fraction of the validation images that reach the threshold."""
_TEMPERATURES = np.geomspace(0.005, 1.0, 60)
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Prototypes:
    """Class means on embeddings, and from which cosine on an image counts as known."""

    centre: NDArray[np.float32]
    """Shape (d,): the mean of the trained classes' mean embeddings, the origin of directions."""
    means: NDArray[np.float32]
    """Shape (classes, d): mean of the unit directions of each class' images."""
    counts: NDArray[np.int64]
    """Shape (classes,): number of images behind each mean."""
    threshold: float
    """An image is unknown if its cosine to the nearest mean is below this, -1 to 1."""
    kept: float
    """Fraction of the validation images that reach the threshold, 0 to 1."""
    temperature: float
    """Cosines are divided by it in a softmax."""

    def __len__(self) -> int:
        return len(self.means)


def directions(vectors: NDArray[np.float32], centre: NDArray[np.float32]) -> NDArray[np.float64]:
    """Embeddings (n, d) minus the center (d,), scaled to length 1; one that equals the center stays 0."""
    moved = vectors.astype(np.float64) - centre
    scaled: NDArray[np.float64] = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), _TINY)
    return scaled


def cosines(vectors: NDArray[np.float32], prototypes: Prototypes) -> NDArray[np.float64]:
    """Cosine of each embedding (n, d) with each class mean, shape (n, classes)."""
    means = prototypes.means.astype(np.float64)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), _TINY)
    found: NDArray[np.float64] = directions(vectors, prototypes.centre) @ means.T
    return found


def joined(probabilities: NDArray[np.float32], similar: NDArray[np.float64], temperature: float) -> NDArray[np.float32]:
    """Probabilities of trained and enrolled classes together.

    Args:
        probabilities: The network's probabilities of the classes it was trained on, shape (n, trained).
        similar: Cosines with all class means, shape (n, classes), the trained classes first.
        temperature: Cosines are divided by it.

    Returns:
        float32 (n, classes); rows sum to 1.
    """
    trained = probabilities.shape[1]
    odds = np.log(np.maximum(probabilities.astype(np.float64), 1e-300))
    odds += similar[:, :trained].max(axis=1, keepdims=True) / temperature - odds.max(axis=1, keepdims=True)
    return softmax(np.concatenate([odds, similar[:, trained:] / temperature], axis=1)).astype(np.float32)


def unknown(similar: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Which images are far from every class mean, shape (n,), including those whose embedding is not finite."""
    refused: NDArray[np.bool_] = ~(similar.max(axis=1) >= threshold)
    return refused


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax of each row of logits."""
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return shares


def measure(
    vectors: NDArray[np.float32],
    targets: NDArray[np.int64],
    val_vectors: NDArray[np.float32],
    val_targets: NDArray[np.int64],
    classes: int,
) -> Prototypes:
    """Compute class means from training images; threshold and temperature from validation images.

    The temperature minimizes the cross-entropy of a softmax over cosines on the validation images. Without any, no
    image is ever unknown.

    Args:
        vectors: Embeddings of training images, shape (n, d); every class must occur.
        targets: Their class numbers, shape (n,).
        val_vectors: Embeddings of validation images, shape (m, d).
        val_targets: Their class numbers, shape (m,).
        classes: Number of classes.
    """
    centre = _means(vectors.astype(np.float64), targets, classes).mean(axis=0).astype(np.float32)
    means = _means(directions(vectors, centre), targets, classes).astype(np.float32)
    counts = np.bincount(targets, minlength=classes).astype(np.int64)
    bare = Prototypes(centre, means, counts, threshold=-1.0, kept=1.0, temperature=0.1)
    if not len(val_vectors):
        return bare
    similar = cosines(val_vectors, bare)
    nearest = np.sort(similar.max(axis=1))
    threshold = float(nearest[int((1 - KEEP) * len(nearest))])
    kept = float((nearest >= threshold).mean())
    return Prototypes(centre, means, counts, threshold, kept, _temperature(similar, val_targets))


def enrolled(prototypes: Prototypes, vectors: NDArray[np.float32], index: int) -> Prototypes:
    """Add images to class ``index``, which may be a new class.

    Args:
        prototypes: The class means so far; center, threshold and temperature are kept.
        vectors: Embeddings of the images, shape (n, d), n at least 1.
        index: Class number, up to the number of classes.
    """
    means, counts = prototypes.means, prototypes.counts
    if index == len(means):
        means = np.concatenate([means, np.zeros((1, means.shape[1]), np.float32)])
        counts = np.append(counts, 0)
    else:
        means, counts = means.copy(), counts.copy()
    total = counts[index] * means[index].astype(np.float64) + directions(vectors, prototypes.centre).sum(axis=0)
    counts[index] += len(vectors)
    means[index] = total / counts[index]
    return Prototypes(prototypes.centre, means, counts, prototypes.threshold, prototypes.kept, prototypes.temperature)


def _means(rows: NDArray[np.float64], targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    return np.stack([rows[targets == number].mean(axis=0) for number in range(classes)])


def _temperature(similar: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    right = np.arange(len(targets)), targets
    losses = [-np.log(np.maximum(softmax(similar / t)[right], 1e-300)).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])
