"""Where is it weak: a run's accuracy by metadata and by image properties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keensight.core.evaluation import Evaluated, Evaluation
from keensight.core.slices import Slices

if TYPE_CHECKING:
    from keensight.data.cache import Pixels


def slices_of(evaluation: Evaluation, pixels: Pixels | None = None) -> Slices | None:
    """Score every slice of an evaluation's images that is large enough.

    Args:
        evaluation: With its predictions and its dataset.
        pixels: The decoded images of that dataset; None: brightness and contrast are left out.

    Returns:
        The slices; None where the predictions are not at hand. With several labels an image, right means all of them.
    """
    from keensight.assess.slices import find_slices
    from keensight.data.properties import columns

    if not isinstance(evaluation, Evaluated):
        return None
    data, rows, predictions = evaluation.dataset, evaluation.rows, evaluation.predictions
    table, classes = columns(data, rows, pixels), data.combinations()[rows]
    return find_slices(predictions.right(), classes, table, groups=predictions.clusters, part=evaluation.part)
