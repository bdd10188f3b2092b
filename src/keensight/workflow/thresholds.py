"""From which probability on does a label count as there? The validation part tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keensight.core.progress import Progress
from keensight.core.records import Dataset, Split
from keensight.workflow.features import Features
from keensight.workflow.measuring import probabilities_of

if TYPE_CHECKING:
    from keensight.data.cache import Pixels
    from keensight.nets.infer import Classifier


def with_best_thresholds(
    classifier: Classifier, data: Dataset, split: Split, pixels: Pixels, progress: Progress, features: Features | None
) -> Classifier:
    """A multi-label classifier with the thresholds that suit the validation part (``assess.thresholds``).

    Args:
        classifier: The trained classifier.
        data: The image set.
        split: Its split; only the validation part is looked at.
        pixels: Its decoded images.
        progress: Where to report.
        features: A way to features that is quicker than the classifier's own.
    """
    from keensight.assess.thresholds import choose_thresholds

    rows = split.part("val")
    probabilities = probabilities_of(classifier, rows, pixels, progress, features)
    thresholds = choose_thresholds(probabilities, data.indicators()[rows])
    progress.say(
        f"thresholds chosen on {len(rows):,} validation images: {min(thresholds):.2f} to {max(thresholds):.2f}"
    )
    return classifier.with_thresholds(thresholds)
