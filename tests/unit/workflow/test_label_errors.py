"""When labels are checked, and whose labels can be."""

import numpy as np
import pytest

from keensight.core.config import RunConfig
from keensight.core.records import Dataset, LabelSet, Sample
from keensight.data.units import unit_numbers
from keensight.workflow.label_errors import _large_classes, _large_labels, wanted


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"train.effort": "quick"}, False),
        ({"train.effort": "quick", "train.label_check": "yes"}, True),
        ({"train.effort": "standard"}, True),
        ({"train.effort": "best", "train.label_check": "no"}, False),
        ({"model.name": "cnn", "train.epochs": 15}, True),
        ({"model.name": "cnn", "train.epochs": 14}, False),
        ({"model.weights": "none", "train.epochs": 3}, False),
    ],
)
def test_it_is_made_where_it_costs_little_beside_the_training(settings, expected):
    assert wanted(RunConfig().with_values({"model.name": "efficientnet_lite0"} | settings)) is expected


def test_copies_and_groups_are_one_and_small_classes_are_left_out():
    samples = [Sample(f"a/{i}", "a", f"d{i}") for i in range(5)]
    samples += [Sample("b/copy", "b", "d0"), Sample("b/1", "b", "e1", group="p"), Sample("b/2", "b", "e2", group="p")]
    data = Dataset("set", "folder", LabelSet(("a", "b")), tuple(samples))
    rows = np.arange(len(samples))
    groups = unit_numbers(data.samples, rows)
    assert groups[0] == groups[5]
    assert groups[6] == groups[7]
    assert len(set(groups.tolist())) == 6
    kept, left = _large_classes(data, rows, groups, 5)
    assert kept.tolist() == [0, 1, 2, 3, 4]
    assert left.tolist() == groups[:5].tolist()


def test_labels_that_few_groups_have_or_lack_are_left_out():
    present = np.zeros((12, 4), np.uint8)
    present[:5, 0] = 1  # five images
    present[:8, 1] = 1  # four lack it
    present[:6, 2] = 1  # of which two are in one group
    present[[0, 1, 2, 3, 5], 3] = 1  # the same two are one
    groups = np.array([0, 1, 2, 3, 4, 3, *range(6, 12)])
    assert _large_labels(present, groups, 5).tolist() == [0, 2]
