import dataclasses

import numpy as np
import pytest

from keensight.core.records import PARTS
from keensight.data.splits import make_split
from multilabel_builders import labelled

RATES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)


def truth(n, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.random((n, len(RATES))) < RATES
    rows[:, 1] |= rows[:, 0] & (rng.random(n) < 0.8)  # two labels that go together
    return rows


def places(data, split):
    return {data.samples[i].path: part for part in PARTS for i in split.part(part)}


@pytest.mark.parametrize("n", [150, 1000])
def test_every_part_gets_its_share_of_every_label(n):
    data = labelled(truth(n))
    split = make_split(data)
    table = data.indicators()
    for part in ("val", "test"):
        wanted = np.maximum(0.15 * table.sum(axis=0), 1)
        assert np.abs(table[split.part(part)].sum(axis=0) - wanted).max() <= 1.5
        assert abs(len(split.part(part)) - 0.15 * n) <= 2
    assert sorted((*split.train, *split.val, *split.test)) == list(range(n))
    assert "label by label" in split.method


def test_a_label_of_three_images_is_in_every_part():
    rows = truth(200)
    rows[:, 0] = False
    rows[:3, 0] = True
    data = labelled(rows)
    split = make_split(data)
    assert all(data.indicators()[split.part(part), 0].sum() == 1 for part in PARTS)


def test_the_order_of_the_samples_does_not_matter():
    data = labelled(truth(300))
    turned = dataclasses.replace(data, samples=data.samples[::-1])
    assert places(data, make_split(data)) == places(turned, make_split(turned))


def test_added_images_move_few_others():
    data = labelled(truth(2000))
    more = labelled(truth(20, seed=5), seed=5)
    grown = dataclasses.replace(data, samples=data.samples + more.samples)
    before, after = places(data, make_split(data)), places(grown, make_split(grown))
    assert sum(before[path] != after[path] for path in before) < 0.05 * len(before)


def test_groups_and_copies_stay_together():
    data = labelled(truth(300))
    samples = [dataclasses.replace(s, group=f"patient {i // 3}") for i, s in enumerate(data.samples)]
    samples[0] = dataclasses.replace(samples[0], digest=samples[200].digest)
    data = dataclasses.replace(data, samples=tuple(samples))
    found = places(data, make_split(data))
    for sample in data.samples:
        twins = [s for s in data.samples if s.group == sample.group or s.digest == sample.digest]
        assert {found[twin.path] for twin in twins} == {found[sample.path]}


def test_given_parts_are_kept():
    data = labelled(truth(200))
    samples = tuple(dataclasses.replace(s, split="test") if i < 40 else s for i, s in enumerate(data.samples))
    split = make_split(dataclasses.replace(data, samples=samples))
    assert split.test == tuple(range(40))
    assert len(split.val) == pytest.approx(16, abs=2)
