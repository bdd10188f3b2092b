"""Where is it weak: a run's accuracy by metadata and by image properties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keensight.core.evaluation import Evaluation
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

    predictions, data = evaluation.predictions, evaluation.dataset
    if predictions is None or data is None:
        return None
    places = {sample.path: place for place, sample in enumerate(data.samples)}
    rows = np.array([places[path] for path in predictions.paths], dtype=np.int64)
    samples = [data.samples[int(row)] for row in rows]
    right = np.array([set(predictions.named(i)) == set(sample.classes) for i, sample in enumerate(samples)])
    grouped = any(sample.group is not None for sample in samples)
    groups = [sample.path if sample.group is None else f"group {sample.group}" for sample in samples]
    table = columns(data, rows, pixels)
    classes = data.combinations()[rows]
    return find_slices(right, classes, table, groups=groups if grouped else None, part=evaluation.part)
