"""Class means of a trained classifier, from its training and validation images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core import nearest
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Prototypes, Split
from keensight.workflow.features import Features
from keensight.workflow.steps import shown

if TYPE_CHECKING:
    from keensight.data.cache import Pixels
    from keensight.nets.infer import Classifier

TRAIN_IMAGES, VAL_IMAGES = 600, 400
"""About how many images are embedded at most: more would take time and hardly move a mean or a quantile."""
_FEWEST = 5


def prototypes_of(
    classifier: Classifier,
    data: Dataset,
    split: Split,
    pixels: Pixels,
    *,
    features: Features | None = None,
    progress: Progress | None = None,
) -> Prototypes:
    """Class means on embeddings from the training part, threshold from the validation part (see ``core.nearest``).

    Of each class at most ``TRAIN_IMAGES`` / classes images are taken (5 at least), evenly spread over its own.

    Args:
        classifier: The trained network.
        data: The image set.
        split: Its split; the test part is not looked at.
        pixels: Its decoded images.
        features: Gives embeddings where they are at hand; None: the classifier makes them.
        progress: Where to report.

    Raises:
        DataError: the network has no layer ``logits``.
    """
    targets, classes = data.targets(), len(data.labels)
    train = _some_of_each(split.part("train"), targets, max(_FEWEST, TRAIN_IMAGES // classes))
    val = _spread(split.part("val"), VAL_IMAGES)
    rows = np.concatenate([train, val])
    vectors = features(classifier, rows) if features else _embed(classifier, pixels, shown(progress), rows)
    return nearest.measure(vectors[: len(train)], targets[train], vectors[len(train) :], targets[val], classes)


def _some_of_each(rows: NDArray[np.int64], targets: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return np.concatenate([_spread(rows[targets[rows] == number], most) for number in np.unique(targets[rows])])


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most ``most`` rows, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def _embed(classifier: Classifier, pixels: Pixels, progress: Progress, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    from keensight.nets.feed import evaluation_batch

    size = evaluation_batch(classifier.spec.shape)
    vectors = np.empty((len(rows), classifier.embedding_size), np.float32)
    with progress.task("class means", len(rows)) as task:
        for begin in range(0, len(rows), size):
            chunk = rows[begin : begin + size]
            vectors[begin : begin + size] = classifier.embed_array(pixels.take(chunk))
            task.advance(len(chunk))
    return vectors
