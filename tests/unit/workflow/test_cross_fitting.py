"""The threshold of a detector from few normal images: each is scored by a memory that has not seen it."""

import numpy as np
import pytest

from keensight.core.anomaly import image_scores, limits
from keensight.core.audit import AuditReport
from keensight.core.records import Dataset, ImageSpec, LabelSet, Sample, Split
from keensight.workflow import anomaly
from keensight.workflow.prepare import Prepared


def _prepared(groups):
    samples = tuple(Sample(f"{i}.png", "good", f"{i:064x}", group=group) for i, group in enumerate(groups))
    data = Dataset("parts", "folder", LabelSet(("good", "hole")), samples)
    audit = AuditReport("parts", len(data), {}, {}, {}, {}, {}, (1, 1, 1), (1, 1, 1), 0.0, (), ())
    return Prepared(data, None, audit, Split(tuple(range(len(data))), (), (), ""))


def test_a_group_is_in_one_fold_and_every_fold_has_images():
    groups = [f"board {i // 2}" for i in range(60)]
    folds = anomaly._folds(_prepared(groups), np.arange(60))
    assert np.array_equal(folds[::2], folds[1::2])
    assert np.bincount(folds).tolist() == [6] * 10


def test_images_that_all_belong_together_are_dealt_one_by_one():
    folds = anomaly._folds(_prepared(["board"] * 20), np.arange(20))
    assert np.bincount(folds).tolist() == [2] * 10


@pytest.mark.slow
def test_the_scores_are_those_of_unseen_images():
    from keensight.nets.detector import inputs_of, joined, levels, parted, with_memory
    from keensight.nets.models.build import build

    rng = np.random.default_rng(0)
    network = levels(build("efficientnet_lite0", ImageSpec(64, 64), 2))
    images = np.repeat(np.repeat(rng.integers(0, 256, (80, 16, 16, 3)), 4, axis=1), 4, axis=2).astype(np.uint8)
    values = np.asarray(joined(network)(images))
    known, new = values[:40], values[40:]
    crossed = anomaly._cross_fitted(network, known, np.arange(40) % 10)
    memory = with_memory(inputs_of(network), anomaly._learned(network, [known], 40))
    seen, unseen = (np.asarray(memory(parted(some, network), training=False)) for some in (known, new))
    means = [np.log(image_scores(found)).mean() for found in (seen, crossed, unseen)]
    assert means[0] < means[2] - 1  # a threshold from images in the memory would flag every new one
    assert abs(means[1] - means[2]) < 0.1
    assert (image_scores(unseen) > limits(crossed).threshold).mean() < 0.2
