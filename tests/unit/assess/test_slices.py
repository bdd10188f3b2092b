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


def test_a_column_of_one_value_and_missing_ones_has_two_slices():
    found = find_slices(np.ones(50, bool), np.zeros(50, int), {"gone": [None] * 50, "site": ["x"] * 25 + [None] * 25})
    named = [(score.column, score.value, score.n) for score in found.scores]
    assert named == [("site", "x", 25), ("site", MISSING, 25)]
    assert found.small == ()


def test_five_of_the_small_slices_are_named_the_largest_first():
    column = ["big"] * 40 + [name for size, name in enumerate("abcdefg", start=1) for _ in range(size)]
    (small,) = find_slices(np.ones(68, bool), np.zeros(68, int), {"site": column}).small
    assert (small.values, small.images, small.examples) == (7, 28, ("g", "f", "e", "d", "c"))


def test_a_class_of_one_image_is_expected_as_it_is():
    # Classes: 0 half right, 1 a single image, which is right.
    classes, right = np.array([0] * 40 + [1]), np.array([True, False] * 20 + [True])
    found = find_slices(right, classes, {"site": ["a"] * 20 + ["b"] * 21})
    assert [score.expected for score in found.scores] == pytest.approx([(20 * 0.5 + 1) / 21, 0.5])


def test_what_a_search_for_slices_says_of_itself():
    right = np.arange(60) % 3 != 0
    column = {"site": ["a"] * 30 + ["b"] * 30}
    found = find_slices(right, np.zeros(60, int), column)
    assert (found.part, found.n, found.accuracy, found.groups) == ("test", 60, pytest.approx(2 / 3), None)
    assert (found.smallest, found.alpha) == (20, 0.05)
    assert found.method == "Fisher's exact test, one-sided, corrected by Holm's procedure"
    grouped = find_slices(right, np.zeros(60, int), column, groups=list(range(60)), part="val")
    assert (grouped.part, grouped.groups) == ("val", 60)
    assert grouped.method.endswith("; and a test whose variance is summed over groups")


def test_a_slice_is_weak_from_a_corrected_value_of_5_percent_on():
    def weak(wrong: int) -> tuple[float, bool]:
        right = np.ones(200, bool)
        right[:wrong] = right[100 : 100 + 4] = False
        score = find_slices(right, np.zeros(200, int), {"site": ["a"] * 100 + ["b"] * 100}).scores[0]
        return score.adjusted, score.weak

    # Twice Fisher's value for 12 and 13 wrong of 100, where the others have 4.
    assert weak(12) == (pytest.approx(2 * fisher_less(88, 100, 184, 200)), False)
    assert weak(13) == (pytest.approx(2 * fisher_less(87, 100, 183, 200)), True)


def test_corrected_values_are_at_most_1_and_keep_their_order():
    assert holm(np.array([0.9, 0.8, 0.01])) == pytest.approx([1, 1, 0.03])
    assert holm(np.array([0.02, 0.02])) == pytest.approx([0.04, 0.04])
    assert len(holm(np.array([]))) == 0


def test_truth_values_are_names_and_not_the_numbers_0_and_1():
    assert list(cut([True, False, True])) == ["True", "False"]
    mixed = cut([True, *range(2, 10)])
    assert len(mixed) == 9, "each value has a slice of its own"


def test_quarters_are_named_by_their_ends_and_leave_out_missing_numbers():
    slices = cut([*range(1, 9), None, math.nan])
    assert list(slices) == ["1 to 2", "3 to 4", "5 to 6", "7 to 8", MISSING]
    assert [chosen.nonzero()[0].tolist() for chosen in slices.values()] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert next(iter(cut([1234.5678, *range(2000, 2008)]))).startswith("1235 to ")


def test_slices_of_names_come_by_number_of_images():
    assert list(cut(["b", "a", "a", "c", "c", "c"])) == ["c", "a", "b"]
    assert cut([]) == cut([None, None]) == {}
