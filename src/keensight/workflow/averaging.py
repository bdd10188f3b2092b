"""Does it pay to look at an image and at its mirror image? The validation part tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keensight.core.progress import Progress
from keensight.core.records import Dataset, Split
from keensight.workflow.measuring import probabilities_of
from keensight.workflow.steps import Features

if TYPE_CHECKING:
    from keensight.data.cache import Pixels
    from keensight.nets.infer import Classifier


def mirrored_if_it_pays(
    classifier: Classifier,
    data: Dataset,
    split: Split,
    pixels: Pixels,
    progress: Progress,
    features: Features | None = None,
) -> Classifier:
    """The classifier, or one that averages the logits of an image and of its mirror image, at twice the cost.

    It is taken where the loss on the validation part is lower and no fewer of its images are classified right.

    Args:
        classifier: The trained classifier.
        data: The image set.
        split: Its split; only the validation part is looked at.
        pixels: Its decoded images.
        progress: Where to report.
        features: A way to features that is quicker than the classifier's own.
    """
    from keensight.nets.infer import Classifier

    double = Classifier(classifier.keras_model, classifier.labels, classifier.spec, classifier.temperature, mirror=True)
    rows = split.part("val")
    targets = data.targets()[rows]
    reached = []
    for candidate in (classifier, double):
        probabilities = probabilities_of(candidate, rows, pixels, progress, features)
        right = float((probabilities.argmax(axis=1) == targets).mean())
        reached.append((right, float(-np.log(np.maximum(probabilities[np.arange(len(rows)), targets], 1e-12)).mean())))
    (plain_right, plain_loss), (double_right, double_loss) = reached
    pays = double_loss < plain_loss and double_right >= plain_right
    progress.say(
        f"mirror images: {'averaged' if pays else 'not averaged'} (val accuracy {double_right:.4f} against "
        f"{plain_right:.4f}, loss {double_loss:.4f} against {plain_loss:.4f})"
    )
    return double if pays else classifier
