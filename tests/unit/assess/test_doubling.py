"""The fit of the learning curve, against another solver and by hand, and the interval of its gain."""

import numpy as np
import pytest
from scipy.optimize import nnls

from keensight.assess.learning_curve import _linear, _resampled, doubling, power_law

IMAGES = np.array([100.0, 200.0, 400.0, 800.0])


HALVING = (0.4, 0.2, 0.1, 0.05)
"""40 / n."""


def errors_of(rates: tuple[float, ...] = HALVING, draws: int = 1) -> list[np.ndarray]:
    """Which of 40 images are misclassified, the same ones with each random subset."""
    return [np.tile(np.arange(40) < 40 * rate, (draws, 1)) for rate in rates]


@pytest.mark.parametrize("c", [0.05, 0.3, 0.5, 1.0])
def test_exponents_from_0_05_to_1_are_found(c: float) -> None:
    a, b, found = power_law(IMAGES, (0.02 + 0.9 * IMAGES**-c)[None])
    assert (a[0], b[0], found[0]) == pytest.approx((0.02, 0.9, c), abs=1e-9)


@pytest.mark.parametrize(("steep", "end"), [(2.0, 1.0), (0.01, 0.05)])
def test_steeper_and_flatter_curves_get_the_exponent_at_the_end(steep: float, end: float) -> None:
    assert power_law(IMAGES, ((IMAGES / 100) ** -steep)[None])[2][0] == pytest.approx(end)


def test_both_terms_are_the_least_squares_of_nonnegative_ones() -> None:
    rng = np.random.default_rng(0)
    x = IMAGES**-0.5
    errors = rng.normal(0.1, 0.1, (40, 1)) + rng.normal(1, 2, (40, 1)) * x + rng.normal(0, 0.01, (40, 4))
    errors = errors[errors.min(axis=1) > 0]
    a, b, residual = _linear(x, errors)
    assert (a == 0).any() and (b == 0).any() and ((a > 0) & (b > 0)).any()
    for i, curve in enumerate(errors):
        (intercept, slope), rest = nnls(np.stack([np.ones(4), x], axis=1), curve)
        assert (a[i], b[i], residual[i]) == pytest.approx((intercept, slope, rest**2), abs=1e-9)


def test_several_curves_are_fitted_at_once() -> None:
    both = power_law(IMAGES, np.stack([0.1 + IMAGES**-0.5, 0.2 + 3 * IMAGES**-0.75]))
    np.testing.assert_allclose(both, [[0.1, 0.2], [1, 3], [0.5, 0.75]], atol=1e-9)


def test_the_gain_is_the_curve_at_twice_the_images() -> None:
    fit, found = doubling(IMAGES, errors_of())
    assert fit == pytest.approx((0.0, 40.0, 1.0), abs=1e-9)
    assert found.value == pytest.approx(40 / 800 - 40 / 1600)
    assert 0 <= found.low < found.value < found.high < 0.06
    assert (found.level, found.method) == (0.95, "bootstrap of images and subsets")


def test_the_interval_is_that_of_the_level_and_of_the_seed() -> None:
    wrong = errors_of()
    ends = {level: doubling(IMAGES, wrong, level=level)[1] for level in (0.99, 0.95, 0.4)}
    assert ends[0.99].low < ends[0.95].low < ends[0.4].low <= ends[0.4].value <= ends[0.4].high
    assert ends[0.4].high < ends[0.95].high < ends[0.99].high and ends[0.4].level == 0.4
    assert ends[0.95] == doubling(IMAGES, wrong, seed=0)[1] != doubling(IMAGES, wrong, seed=1)[1]


@pytest.mark.parametrize("rates", [HALVING, (0.4, 0.3, 0.25, 0.2)])  # the median is above the value, and below it
def test_an_interval_of_no_level_reaches_from_the_value_to_the_median(rates: tuple[float, ...]) -> None:
    found = doubling(IMAGES, errors_of(rates), level=1e-9)[1]
    assert found.value in (found.low, found.high)
    assert found.high - found.low < 0.0025


def test_images_of_a_single_group_cannot_be_drawn_otherwise() -> None:
    found = doubling(IMAGES, errors_of(), np.full(40, 7))[1]
    assert (found.low, found.high) == pytest.approx((found.value, found.value))


def test_random_subsets_that_differ_make_the_gain_less_certain() -> None:
    alike = errors_of(draws=2)
    apart = [np.stack([point[0], point[0]]) for point in errors_of()]
    apart[0] = np.stack([np.arange(40) < 4, np.arange(40) < 28])  # on average 0.4, as the others
    apart[3] = np.stack([np.arange(40) < 0, np.arange(40) < 4])
    one, other = doubling(IMAGES, alike)[1], doubling(IMAGES, apart)[1]
    assert other.value == pytest.approx(one.value)
    assert other.high - other.low > 1.2 * (one.high - one.low)


def test_an_error_rate_is_the_mean_of_random_subsets_drawn_again() -> None:
    wrong = np.array([[True] * 4, [False] * 4])
    found = _resampled(wrong, np.full((400, 4), 0.25), np.random.default_rng(0))
    assert set(found) == {0.0, 0.5, 1.0} and found.mean() == pytest.approx(0.5, abs=0.06)
    one = _resampled(np.array([[True, False, False, False]]), np.tile([0.7, 0.1, 0.1, 0.1], (3, 1)),
                     np.random.default_rng(0))  # fmt: skip
    assert one.tolist() == [0.7] * 3
