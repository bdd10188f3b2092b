"""Class means and subspace of embeddings, from training and validation images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core import ood, prototypes
from keensight.core.progress import Progress
from keensight.core.prototypes import Prototypes
from keensight.core.records import Dataset, Split
from keensight.workflow.features import Features
from keensight.workflow.progress import shown

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.classifier import Classifier

TRAIN_IMAGES, VAL_IMAGES = 600, 400
"""Maximum number of embedded images: more would take time and hardly change a mean or quantile."""
_FEWEST = 5


@dataclass(frozen=True, slots=True, eq=False)
class TrainingEmbeddings:
    """Embeddings of some training and validation images."""

    vectors: NDArray[np.float32]
    """Embeddings of training images, shape (n, d)."""
    targets: NDArray[Any]
    """Their class numbers (n,), or their indicators (n, labels)."""
    val_vectors: NDArray[np.float32]
    val_targets: NDArray[Any]

    def covers(self, classes: int) -> bool:
        """Whether every class has a training image, so that it has a mean; for single-label sets."""
        return len(np.unique(self.targets)) == classes

    def prototypes(self, classes: int) -> Prototypes:
        """Class means, and the threshold of unknown images (see ``core.prototypes``)."""
        return prototypes.measure(self.vectors, self.targets, self.val_vectors, self.val_targets, classes)

    def subspace(self) -> ood.Subspace:
        """The subspace of embeddings, and the OOD threshold (see ``core.ood``)."""
        return ood.fit(self.vectors, self.val_vectors)


def known_of(
    classifier: Classifier,
    dataset: Dataset,
    split: Split,
    pixels: Pixels,
    *,
    features: Features | None = None,
    progress: Progress | None = None,
) -> TrainingEmbeddings:
    """Embeddings of training and validation images.

    About ``TRAIN_IMAGES`` and ``VAL_IMAGES`` at most; of each class ``TRAIN_IMAGES`` / classes training images (5 at
    least), evenly spaced.

    Args:
        classifier: The trained network.
        dataset: The image set.
        split: Its split; the test set is not used.
        pixels: Its decoded images.
        features: Gives embeddings where they are available; None: the classifier makes them.
        progress: Where to report.

    Raises:
        DataError: the network has no embedding.
    """
    truth, classes = dataset.truth(), len(dataset.labels)
    several = truth.ndim > 1
    each = max(_FEWEST, TRAIN_IMAGES // classes)
    part = split.part("train")
    train = _spread(part, TRAIN_IMAGES) if several else _some_of_each(part, truth, each)
    val = _spread(split.part("val"), VAL_IMAGES)
    rows = np.concatenate([train, val])
    vectors = features(classifier, rows) if features else _embed(classifier, pixels, shown(progress), rows)
    return TrainingEmbeddings(vectors[: len(train)], truth[train], vectors[len(train) :], truth[val])


def prototypes_of(
    classifier: Classifier,
    dataset: Dataset,
    split: Split,
    pixels: Pixels,
    *,
    features: Features | None = None,
    progress: Progress | None = None,
) -> Prototypes:
    """Class means on embeddings from the training set, threshold from the validation set (see ``core.prototypes``).

    Arguments and errors are those of :func:`known_of`.
    """
    return known_of(classifier, dataset, split, pixels, features=features, progress=progress).prototypes(
        len(dataset.labels)
    )


def _some_of_each(rows: NDArray[np.int64], targets: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return np.concatenate([_spread(rows[targets[rows] == number], most) for number in np.unique(targets[rows])])


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most ``most`` rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def _embed(classifier: Classifier, pixels: Pixels, progress: Progress, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    from keensight.nets.inputs import evaluation_batch

    size = evaluation_batch(classifier.spec.shape)
    vectors = np.empty((len(rows), classifier.embedding_size), np.float32)
    with progress.task("embedding", len(rows)) as task:
        for begin in range(0, len(rows), size):
            chunk = rows[begin : begin + size]
            vectors[begin : begin + size] = classifier.embed_array(pixels.take(chunk))
            task.advance(len(chunk))
    return vectors
