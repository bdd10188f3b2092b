"""Does it pay to look at an image and at its mirror image? The validation part tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keensight.core.progress import Progress
from keensight.core.records import Dataset, Split
from keensight.workflow.features import Features
from keensight.workflow.measuring import probabilities_of

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

    It is taken where the loss on the validation part is lower and the accuracy (of a multi-label set: the mean average
    precision) no lower.

    Args:
        classifier: The trained classifier.
        data: The image set.
        split: Its split; only the validation part is looked at.
        pixels: Its decoded images.
        progress: Where to report.
        features: A way to features that is quicker than the classifier's own.
    """
    from keensight.nets.tasks import task_of

    double = classifier.changed(mirror=True)
    rows = split.part("val")
    targets = data.truth()[rows]
    task = task_of(targets)
    reached = []
    for candidate in (classifier, double):
        probabilities = probabilities_of(candidate, rows, pixels, progress, features)
        loss, accuracy = task.score(probabilities, targets)
        ranking = task.ranking(probabilities, targets)
        reached.append((accuracy if ranking is None else ranking, loss))
    (plain_right, plain_loss), (double_right, double_loss) = reached
    pays = double_loss < plain_loss and double_right >= plain_right
    figure = "accuracy" if targets.ndim == 1 else "mAP"
    progress.say(
        f"mirror images: {'averaged' if pays else 'not averaged'} (val {figure} {double_right:.4f} against "
        f"{plain_right:.4f}, loss {double_loss:.4f} against {plain_loss:.4f})"
    )
    return double if pays else classifier
