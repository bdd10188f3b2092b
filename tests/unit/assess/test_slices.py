"""Slices: false alarms under the null, weak ones found, groups heeded."""

import math

import numpy as np
import pytest
from scipy.stats import fisher_exact, t

from keensight.assess.slices import ALPHA, MISSING, cut, find_slices, fisher_less, holm


def test_fishers_test_is_scipys():
    for hits, n, all_hits, total in ((15, 20, 180, 200), (3, 25, 40, 90), (25, 25, 60, 80)):
        table = [[hits, n - hits], [all_hits - hits, total - n - all_hits + hits]]
        assert fisher_less(hits, n, all_hits, total) == pytest.approx(fisher_exact(table, alternative="less").pvalue)


def test_holms_values_by_hand():
    assert holm(np.array([0.04, 0.01, 0.03])) == pytest.approx([0.06, 0.03, 0.06])


def test_numbers_are_cut_at_quartiles_and_names_by_value():
    quarters = cut(list(range(100)))
    assert [int(chosen.sum()) for chosen in quarters.values()] == [25, 25, 25, 25]
    names = cut(["a", "b", None, "a", math.nan])
    assert {value: chosen.tolist() for value, chosen in names.items()} == {
        "a": [True, False, False, True, False],
        "b": [False, True, False, False, False],
        MISSING: [False, False, True, False, True],
    }


def test_many_equal_numbers_still_make_slices():
    values = [0.0] * 90 + [float(i) for i in range(1, 31)]
    slices = cut(values)
    assert sum(int(chosen.sum()) for chosen in slices.values()) == 120
    assert next(iter(slices)) == "0 to 0"


def test_a_weak_slice_is_named_with_its_figures():
    rng = np.random.default_rng(0)
    camera = rng.choice(["left", "right", "top"], 600)
    right = rng.random(600) < np.where(camera == "top", 0.6, 0.95)
    found = find_slices(right, rng.integers(0, 3, 600), {"camera": camera.tolist(), "noise": rng.random(600).tolist()})
    (weak,) = found.weakest()
    assert (weak.column, weak.value, weak.n) == ("camera", "top", int((camera == "top").sum()))
    assert weak.accuracy.low < 0.6 < weak.accuracy.high
    assert weak.rest == pytest.approx(right[camera != "top"].mean())


def test_a_slice_of_hard_classes_shows_what_its_classes_explain():
    classes = np.repeat([0, 1], 200)
    right = np.concatenate([np.ones(200, bool), np.arange(200) % 2 == 0])
    found = find_slices(right, classes, {"site": ["easy"] * 200 + ["hard"] * 200})
    hard = next(score for score in found.scores if score.value == "hard")
    assert hard.weak
    assert hard.expected == pytest.approx(hard.accuracy.value) == 0.5


def test_small_slices_are_counted_and_constant_columns_passed_over():
    column = ["big"] * 50 + ["tiny"] * 3 + ["small"] * 7
    found = find_slices(np.ones(60, bool), np.zeros(60, int), {"site": column, "same": ["x"] * 60})
    assert [score.value for score in found.scores] == ["big"]
    (small,) = found.small
    assert (small.column, small.values, small.images, small.examples) == ("site", 2, 10, ("small", "tiny"))


def _null(rng, n, groups):
    """Columns that have nothing to do with whether an image is right; with groups, both go by group."""
    who = np.arange(n) if groups is None else rng.integers(0, groups, n)
    ease = rng.random(who.max() + 1)
    right = rng.random(n) < (0.85 if groups is None else np.where(ease[who] < 0.8, 0.98, 0.4))
    columns = {f"site {i}": rng.choice(list("abcd"), who.max() + 1)[who].tolist() for i in range(3)}
    columns |= {f"age {i}": rng.random(who.max() + 1)[who].tolist() for i in range(3)}
    return right, columns, None if groups is None else [f"g{number}" for number in who]


@pytest.mark.slow
@pytest.mark.parametrize("groups", [None, 60])
def test_false_alarms_keep_their_level_where_nothing_is_weak(groups):
    rng = np.random.default_rng(3)
    repeats = 200
    alarms = 0
    for _ in range(repeats):
        right, columns, names = _null(rng, 400, groups)
        alarms += bool(find_slices(right, np.zeros(400, int), columns, groups=names).weakest())
    # At a true rate of ALPHA more than this many would be seen once in a thousand times.
    assert alarms <= ALPHA * repeats + 3.1 * math.sqrt(repeats * ALPHA * (1 - ALPHA))


def test_groups_taken_as_single_images_would_raise_false_alarms():
    rng = np.random.default_rng(3)
    alarms = sum(
        bool(find_slices(right, np.zeros(400, int), columns).weakest())
        for right, columns, _ in (_null(rng, 400, 60) for _ in range(100))
    )
    assert alarms > 20


def test_intervals_of_grouped_images_are_wider():
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(40), 10)
    right = (rng.random(40) < 0.8)[who]
    site = np.where(who < 20, "a", "b").tolist()
    alone = find_slices(right, np.zeros(400, int), {"site": site}).scores[0].accuracy
    grouped = find_slices(right, np.zeros(400, int), {"site": site}, groups=who.tolist()).scores[0].accuracy
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_twenty_images_of_ten_groups_are_a_slice_and_not_one_fewer():
    site = np.repeat(["a", "b"], [20, 60])
    names = np.concatenate([np.arange(20) // 2, 10 + np.arange(60) // 2])
    right = np.ones(80, bool)
    found = find_slices(right, np.zeros(80, int), {"site": site.tolist()}, groups=names.tolist())
    assert {score.value for score in found.scores} == {"a", "b"}
    assert found.groups == 40
    joined = np.where(names == 1, 0, names)
    few = find_slices(right, np.zeros(80, int), {"site": site.tolist()}, groups=joined.tolist())
    assert [score.value for score in few.scores] == ["b"]
    fewer = find_slices(right[1:], np.zeros(79, int), {"site": site[1:].tolist()})
    assert [score.value for score in fewer.scores] == ["b"]


def test_a_slice_of_groups_must_be_worse_by_both_tests():
    who = np.repeat(np.arange(20), 8)
    site = np.where(who < 10, "a", "b").tolist()
    steady = np.tile([True, False], 80)  # all groups alike: no difference, no variance
    even = find_slices(steady, np.zeros(160, int), {"site": site}, groups=who.tolist())
    assert [score.p for score in even.scores] == [1.0, 1.0]
    better = steady | (who >= 10)  # half are wrong in each group of a, none in b
    found = find_slices(better, np.zeros(160, int), {"site": site}, groups=who.tolist())
    worse = min(found.scores, key=lambda score: score.accuracy.value)
    assert worse.p == pytest.approx(fisher_less(40, 80, 120, 160), abs=0)


def test_the_test_of_groups_has_as_many_degrees_of_freedom_as_groups_less_one():
    rng = np.random.default_rng(2)
    who = np.repeat(np.arange(20), 30)
    right = rng.random(600) < rng.uniform(0.4, 1, 20)[who]
    site = np.where(who % 2 == 0, "a", "b")
    means = np.array([right[who == g].mean() for g in range(20)])
    a, b = means[::2], means[1::2]
    error = math.sqrt((((a - a.mean()) / 10) ** 2).sum() * 20 / 19 + (((b - b.mean()) / 10) ** 2).sum() * 20 / 19)
    found = find_slices(right, np.zeros(600, int), {"site": site.tolist()}, groups=who.tolist())
    worse = min(found.scores, key=lambda score: score.accuracy.value)
    assert worse.p == pytest.approx(float(t.cdf(-abs(a.mean() - b.mean()) / error, 19)))


def test_eight_different_numbers_are_cut_at_quartiles_and_seven_are_names():
    assert len(cut(list(range(8)) * 5)) == 4
    assert len(cut(list(range(7)) * 5)) == 7
