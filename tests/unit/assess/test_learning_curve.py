"""The power law of the learning curve."""

import numpy as np
import pytest
from scipy.stats import norm

from keensight.assess.learning_curve import doubling, power_law

IMAGES = np.array([100.0, 200.0, 400.0, 800.0])


@pytest.mark.parametrize(("a", "b", "c"), [(0.05, 1.0, 0.5), (0.0, 0.9, 0.3), (0.1, 0.0, 0.5)])
def test_an_exact_curve_is_found(a, b, c):
    found = power_law(IMAGES, (a + b * IMAGES**-c)[None])
    at = np.array([800.0, 1600.0])
    assert found[0] + found[1] * at ** -found[2] == pytest.approx(a + b * at**-c, abs=2e-4)


@pytest.mark.slow
def test_the_gain_of_twice_the_images_is_held_by_its_interval():
    rng = np.random.default_rng(0)
    truth = 0.05 + 2.0 * IMAGES**-0.5
    gain = 2.0 * (800.0**-0.5 - 1600.0**-0.5)
    held = 0
    for _ in range(30):
        hard = 0.9 * rng.normal(size=600)  # an image that is hard after 100 others is mostly so after 800, too
        noise = np.sqrt(1 - 0.9**2)
        wrong = [np.stack([norm.cdf(hard + noise * rng.normal(size=600)) < error for _ in range(3)]) for error in truth]
        wrong[-1] = wrong[-1][:1]
        _, found = doubling(IMAGES, wrong)
        held += found.low <= gain <= found.high
    assert held >= 25


def test_errors_that_do_not_fall_promise_nothing():
    wrong = [np.ones((2, 50), bool) for _ in IMAGES]
    (a, b, _), found = doubling(IMAGES, wrong)
    assert (a, b, found.value) == (1.0, 0.0, 0.0)


def test_groups_of_equal_images_widen_the_gain_as_if_each_group_were_one():
    rng = np.random.default_rng(3)
    few = [rng.random((1, 60)) < rate for rate in (0.4, 0.3, 0.2, 0.15)]
    many = [np.repeat(point, 10, axis=1) for point in few]
    _, alone = doubling(IMAGES, few)
    _, grouped = doubling(IMAGES, many, np.repeat(np.arange(60), 10))
    _, ignored = doubling(IMAGES, many)
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))
    assert ignored.high - ignored.low < 0.7 * (grouped.high - grouped.low)
