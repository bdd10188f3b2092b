"""What the bootstrap adds up and reads off, by hand and against scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from keensight.assess import bootstrap
from keensight.assess.bootstrap import (
    _basic,
    _bootstrap_t,
    _calibrated,
    _ece,
    _f1,
    _f1_terms,
    _gaps,
    _of_two,
    _products,
    _resampled,
    _summed,
    intervals,
    mean_interval,
)
from keensight.assess.calibration import BINS, expected_calibration_error
from keensight.core.prototypes import softmax


def drawn(n: int = 60, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return softmax(2 * rng.normal(size=(n, classes))), rng.integers(0, classes, n)


def found(probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> dict:
    losses = -np.log(probabilities[np.arange(len(targets)), targets])
    brier = ((probabilities - np.eye(probabilities.shape[1])[targets]) ** 2).sum(axis=1)
    return intervals(probabilities, targets, losses, brier, groups, seed)


def test_the_values_are_those_of_all_images_and_the_methods_are_named() -> None:
    probabilities, targets = drawn()
    alone, grouped = found(probabilities, targets), found(probabilities, targets, np.arange(60) // 2)
    predicted = probabilities.argmax(axis=1)
    values = {
        "loss": -np.log(probabilities[np.arange(60), targets]).mean(),
        "brier": ((probabilities - np.eye(3)[targets]) ** 2).sum(axis=1).mean(),
        "ece": expected_calibration_error(probabilities, targets),
        "macro_f1": f1_score(targets, predicted, average="macro"),
        "weighted_f1": f1_score(targets, predicted, average="weighted"),
    }
    endings = {"loss": "t", "brier": "t", "ece": "basic, and consistency resampling",
               "macro_f1": "percentiles", "weighted_f1": "percentiles"}  # fmt: skip
    for name, value in values.items():
        for one, method in ((alone, "stratified bootstrap"), (grouped, "stratified bootstrap of groups")):
            assert one[name].value == pytest.approx(value, rel=1e-5)
            assert one[name].low <= one[name].value < one[name].high
            assert (one[name].method, one[name].level) == (f"{method}, {endings[name]}", 0.95)


def test_the_intervals_are_those_of_the_seed() -> None:
    probabilities, targets = drawn()
    first = found(probabilities, targets)
    assert first == found(probabilities, targets, seed=0)
    assert all(one != first[name] for name, one in found(probabilities, targets, seed=5).items())


def test_f1_scores_are_scikit_learns_with_0_for_a_class_that_is_not_there() -> None:
    probabilities, targets = drawn(40, 4)
    probabilities[:, 3], targets[targets == 3] = 0, 0
    sums = _f1_terms(probabilities, targets).sum(axis=0, keepdims=True)
    macro, weighted = _f1(np.concatenate([sums, 2 * sums]), 4)
    predicted = probabilities.argmax(axis=1)
    for one, average in ((macro, "macro"), (weighted, "weighted")):
        expected = f1_score(targets, predicted, average=average, labels=range(4), zero_division=0)
        assert one == pytest.approx([expected, expected])


def test_a_class_of_one_right_image_has_an_f1_of_1() -> None:
    terms = _f1_terms(np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]), np.array([0, 1, 1]))
    assert terms.tolist() == [[1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1]]
    macro, weighted = _f1(terms[:1], 2)
    assert (macro[0], weighted[0]) == (0.5, 1.0)


def test_the_gap_of_an_image_is_in_the_bin_of_its_confidence() -> None:
    gaps = _gaps(np.array([[0.95, 0.05], [0.3, 0.7], [0.72, 0.28]]), np.array([0, 0, 0]))
    assert gaps.shape == (3, BINS)
    assert gaps[0, 14] == pytest.approx(0.05) and gaps[1, 10] == pytest.approx(-0.7)
    assert gaps[2, 10] == pytest.approx(0.28) and np.count_nonzero(gaps) == 3
    table = np.concatenate([np.full((3, 2), 9.0), gaps, np.full((3, 2), 7.0), np.ones((3, 1))], axis=1)
    assert _ece(table.sum(axis=0, keepdims=True), 2 + BINS)[0] == pytest.approx((0.05 + 0.42) / 3)


def test_tables_are_summed_over_units() -> None:
    assert _summed(np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([1, 0, 1])).tolist() == [[3, 4], [6, 8]]


def reference(values: np.ndarray, sizes: np.ndarray, drawn: np.ndarray) -> tuple[float, float, float]:
    """The bootstrap-t interval of a ratio of sums, each resample worked out from its units."""

    def ratio(weights: np.ndarray) -> tuple[float, float]:
        n = (weights * sizes).sum()
        mean = (weights * values).sum() / n
        return mean, np.sqrt((weights * (values - mean * sizes) ** 2).sum()) / n

    mean, error = ratio(np.ones(len(values)))
    pairs = [ratio(weights) for weights in drawn]
    studentized = [(one - mean) / spread for one, spread in pairs if spread > 0]
    low, high = np.quantile(studentized, [0.025, 0.975])
    return mean, mean - high * error, mean - low * error


def test_the_interval_of_a_mean_is_the_bootstrap_t() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 4, 12).astype(float)
    means = np.stack([rng.exponential(size=12) * sizes, rng.normal(size=12) * sizes, sizes], axis=1)
    table = np.concatenate([means, _products(means)], axis=1)
    weights = rng.multinomial(12, np.full(12, 1 / 12), 200).astype(float)
    for which in (0, 1):
        exact = reference(means[:, which], sizes, weights)
        assert _bootstrap_t(table.sum(axis=0, keepdims=True), weights @ table, which, 0.0) == pytest.approx(exact)


def test_resamples_without_a_spread_do_not_count() -> None:
    rng = np.random.default_rng(1)
    means = np.stack([rng.integers(0, 9, 12), rng.integers(0, 9, 12), np.ones(12)], axis=1).astype(float)
    table = np.concatenate([means, _products(means)], axis=1)
    weights = rng.multinomial(12, np.full(12, 1 / 12), 40).astype(float)
    weights[::4] = 12 * (np.arange(12) == 3)  # a single unit
    exact = reference(means[:, 0], np.ones(12), weights)
    assert _bootstrap_t(table.sum(axis=0, keepdims=True), weights @ table, 0, 0.0) == pytest.approx(exact)


def test_a_mean_of_equal_values_is_certain() -> None:
    means = np.tile([0.5, 2.0, 1.0], (6, 1))
    table = np.concatenate([means, _products(means)], axis=1)
    sums = np.stack([table.sum(axis=0)] * 4)
    assert _bootstrap_t(sums[:1], sums, 0, 0.0) == (0.5, 0.5, 0.5)
    assert _bootstrap_t(sums[:1], sums, 1, 0.0) == (2.0, 2.0, 2.0)
    uneven = table.copy()
    uneven[0, [0, 3, 4]] = 3.5, 12.25, 3.5
    # No resample of equal units has a spread, so that nothing can be compared with it.
    mean, low, high = _bootstrap_t(uneven.sum(axis=0, keepdims=True), sums, 0, 0.0)
    assert mean == low == high == 1.0


def test_the_interval_of_a_change_holds_its_mean_and_pairs_groups() -> None:
    rng = np.random.default_rng(0)
    values, targets = rng.normal(0.3, 1, 40), np.arange(40) % 2
    alone = mean_interval(values, targets)
    assert alone.value == pytest.approx(values.mean())
    assert (alone.method, alone.level) == ("stratified bootstrap, t", 0.95)
    # Near Student's: 40 values of a normal distribution.
    half = 2.02 * values.std(ddof=1) / 40**0.5
    assert (alone.low, alone.high) == pytest.approx((alone.value - half, alone.value + half), abs=0.12 * half)
    grouped = mean_interval(values.repeat(4), targets.repeat(4), np.arange(40).repeat(4))
    assert (grouped.low, grouped.value, grouped.high) == pytest.approx((alone.low, alone.value, alone.high))
    assert grouped.method == "stratified bootstrap of groups, t"
    assert alone == mean_interval(values, targets, seed=0) != mean_interval(values, targets, seed=1)


def test_a_change_that_is_the_same_everywhere_is_certain() -> None:
    found = mean_interval(np.full(9, 0.25), np.arange(9) % 3)
    assert (found.low, found.value, found.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_resamples_do_not_depend_on_how_many_are_made_at_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, targets = drawn(10)
    table = np.random.default_rng(0).normal(size=(10, 2))
    whole = _resampled(table, targets, 23, 3), _calibrated(probabilities, np.arange(10), 23, 3)
    monkeypatch.setattr(bootstrap, "_CHUNK", size)
    parts = _resampled(table, targets, 23, 3), _calibrated(probabilities, np.arange(10), 23, 3)
    assert parts[0].shape == (23, 2) and parts[1].shape == (23,)
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-5)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-5)


def test_a_unit_is_drawn_as_often_as_another_of_its_class() -> None:
    sums = _resampled(np.eye(5), np.array([1, 0, 0, 1, 0]), 4000, 0)
    np.testing.assert_allclose(sums.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(sums[:, [0, 3]].sum(axis=1), 2)
    np.testing.assert_allclose(sums[:, [1, 2, 4]].sum(axis=1), 3)
    # Of two, one is drawn and counts twice; of three, two are drawn and count 1.5 each.
    assert set(sums[:, 0]) == {0.0, 2.0} and set(sums[:, 1]) == {0.0, 1.5, 3.0}


@pytest.mark.parametrize(
    ("strata", "expected"),
    [
        ([5, 5, 7, 9, 9, 9, 8], [0, 0, 1, 2, 2, 2, 1]),  # two of one unit each are joined
        ([5, 7, 7, 9, 9, 9], [0, 0, 0, 1, 1, 1]),  # one of one unit, with the smallest of the others
        ([5, 5, 7, 7], [0, 0, 1, 1]),
        ([5, 6, 7, 8, 8], [0, 0, 0, 1, 1]),
        ([5], [0]),
    ],
)
def test_strata_of_one_unit_are_joined(strata: list[int], expected: list[int]) -> None:
    joined = _of_two(np.array(strata))
    same = joined[:, None] == joined
    assert (same == (np.array(expected)[:, None] == np.array(expected))).all()


def test_units_that_are_right_as_often_as_they_claim_still_err() -> None:
    # One image of confidence 0.8 is off by 0.2 where it is right (8 of 10 times), otherwise by 0.8.
    draws = _calibrated(np.array([[0.8, 0.2]]), np.zeros(1, int), 1000, 0)
    assert sorted(np.unique(draws.round(5))) == pytest.approx([0.2, 0.8], abs=1e-5)
    assert (draws < 0.5).mean() == pytest.approx(0.8, abs=0.04)
    # Two alike that are one unit err together, those of two units may even out.
    two = np.tile([[0.8, 0.2]], (2, 1))
    assert len(np.unique(_calibrated(two, np.zeros(2, int), 300, 0).round(5))) == 2
    np.testing.assert_allclose(np.unique(_calibrated(two, np.arange(2), 300, 0).round(5)), [0.2, 0.3, 0.8], atol=1e-5)
    # Of different bins the gaps add up: 0.2 or 0.8 of one half, 0.4 or 0.6 of the other.
    both = _calibrated(np.array([[0.8, 0.2], [0.6, 0.4]]), np.arange(2), 300, 0)
    np.testing.assert_allclose(np.unique(both.round(5)), [0.3, 0.4, 0.6, 0.7], atol=1e-5)


def test_a_calibration_error_that_a_calibrated_model_just_reaches_goes_down_to_0() -> None:
    draws = np.linspace(0.05, 0.15, 101)
    assert _basic(0.1, draws, np.full(9, 0.1))[0] == 0.0
    # 2.5% of these are below 0.0125 and above 0.1075.
    assert _basic(0.1, draws - 0.04, np.zeros(9)) == pytest.approx((0.0925, 0.1875), abs=1e-9)
    assert _basic(0.1, draws, np.full(9, 0.099))[0] == pytest.approx(0.0525, abs=1e-9)


@pytest.mark.parametrize("spread", [0.1, 1e-4, 1e-6])
@pytest.mark.parametrize("n", [100, 1000])
def test_the_interval_of_a_mean_is_about_that_of_student_however_little_they_spread(n: int, spread: float) -> None:
    values = 0.6931 + spread * np.random.default_rng(n).normal(size=n)
    found = mean_interval(values, np.arange(n) % 2)
    side = values.std(ddof=1) / n**0.5 * stats.t.ppf(0.975, n - 1)
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    assert (values.mean() - found.low) / side == pytest.approx(1, abs=0.1)
    assert (found.high - values.mean()) / side == pytest.approx(1, abs=0.1)
