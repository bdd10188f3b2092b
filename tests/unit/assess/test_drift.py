"""The tests of drift: their p-values, their false alarms, and what they find."""

import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from keensight.assess.drift import (
    FEWEST,
    compare,
    distance,
    holm,
    measured,
    p_value,
    pixel_properties,
    report,
    window_level,
)
from keensight.core.drift import CLASS, NUMBERS, PROPERTIES, Measured
from keensight.core.predictions import Predictions
from keensight.core.records import ImageInfo, LabelSet

NAMES = ("a", "b", "c")


def draw(rng, n, shift=0.0, classes=(0.5, 0.3, 0.2)):
    """Properties that depend on each other, as those of images do."""
    common = rng.normal(size=(n, 1))
    values = np.exp(0.5 * common + rng.normal(size=(n, len(NUMBERS))) + shift).astype(np.float32)
    return Measured(values, rng.choice(3, n, p=classes))


def test_properties_know_of_how_many_images_they_are():
    assert [len(draw(np.random.default_rng(0), n)) for n in (0, 3)] == [0, 3]


@pytest.mark.parametrize(("n", "m"), [(20, 20), (25, 300), (200, 1000)])
def test_distances_are_exact_and_p_values_of_small_ones_never_too_small(n, m):
    rng = np.random.default_rng(n)
    for strength in (0, 0.3, 0.6, 1):
        a, b = rng.normal(size=n), rng.normal(strength, 1, size=m)
        exact = ks_2samp(a, b, method="exact")
        found = distance(a, b)
        assert found == pytest.approx(exact.statistic)
        p = p_value(found, n, m)
        assert p >= 0.99 * exact.pvalue or p > 0.1
        assert p <= 3 * exact.pvalue or p < 1e-4


def test_ties_make_the_test_cautious():
    rng = np.random.default_rng(0)
    alarms = [p_value(distance(*rng.integers(0, 3, (2, 150))), 150, 150) <= 0.05 for _ in range(300)]
    assert np.mean(alarms) <= 0.05


def test_holm_is_holms_method():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]


def test_images_like_the_test_images_raise_no_more_alarms_than_allowed():
    rng = np.random.default_rng(1)
    alarms = [report(draw(rng, 300), draw(rng, 200), NAMES, level=0.1).differs for _ in range(300)]
    assert np.mean(alarms) <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / 300)


@pytest.mark.slow
def test_a_stream_like_the_test_images_is_never_an_alarm_but_rarely():
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(60):
        reference = draw(rng, 400)
        alarms += any(
            any(shift.differs for shift in compare(reference, draw(rng, 200), NAMES, window_level(k, 0.1)))
            for k in range(1, 31)
        )
    assert alarms / 60 <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / 60)
    assert sum(window_level(k, 0.1) for k in range(1, 100_000)) <= 0.1


def test_a_shift_is_found_and_named():
    rng = np.random.default_rng(3)
    found = report(draw(rng, 300), draw(rng, 200, shift=0.8), NAMES)
    assert found.differs and "not like the test images" in found.sentence()
    assert all(shift.new > shift.tested for shift in found.shifts if shift.property != CLASS)
    classes = report(draw(rng, 300), draw(rng, 200, classes=(0.1, 0.3, 0.6)), NAMES)
    assert [shift.property for shift in classes.shifts if shift.differs] == [CLASS]
    assert classes.shifts[-1].change.startswith(("a: ", "c: "))


def test_a_small_difference_is_no_alarm_however_many_images_show_it():
    rng = np.random.default_rng(4)
    found = report(draw(rng, 20_000), draw(rng, 20_000, shift=0.1), NAMES)
    assert max(shift.adjusted for shift in found.shifts if shift.property != CLASS) < 0.01
    assert not found.differs


def test_unknown_properties_are_left_out_and_named():
    rng = np.random.default_rng(5)
    old = draw(rng, 100)
    old.values[:, 0] = np.nan
    old.values[FEWEST - 1 :, 1] = np.nan
    found = report(old, draw(rng, 100), NAMES)
    assert [shift.property for shift in found.shifts] == list(PROPERTIES[2:])
    assert "brightness, contrast" in found.notes[0]
    few = report(draw(rng, 5), draw(rng, 100), NAMES)
    assert few.shifts == () and not few.differs and "nothing" in few.sentence()


def test_the_out_of_distribution_fraction_is_that_above_the_threshold():
    rng = np.random.default_rng(6)
    old, new = draw(rng, 50), draw(rng, 50)
    old.values[:, NUMBERS.index("out-of-distribution score")] = np.repeat([0.1, 0.9], (45, 5))
    new.values[:, NUMBERS.index("out-of-distribution score")] = np.repeat([0.1, 0.9], (10, 40))
    found = report(old, new, NAMES, threshold=0.5)
    assert (found.expected_unlike, found.unlike) == pytest.approx((0.1, 0.8))
    assert report(old, new, NAMES).unlike is None
    assert found.document()["differs"] is True


def test_pixel_properties_follow_what_they_are_called():
    rng = np.random.default_rng(7)
    image = rng.integers(60, 120, (64, 64, 3)).astype(np.uint8)
    smooth = (image.astype(float) + np.roll(image, 1, 1) + np.roll(image, -1, 1)) / 3
    gray = image.mean(axis=2, keepdims=True).repeat(3, 2).astype(np.uint8)
    base = pixel_properties(image)
    assert pixel_properties(image + 60)[0] == pytest.approx(base[0] + 60 / 255, abs=1e-6)
    assert pixel_properties(image * 2)[1] == pytest.approx(2 * base[1], rel=1e-3)
    assert pixel_properties(smooth.astype(np.uint8))[2] < 0.6 * base[2]
    assert pixel_properties(gray)[3] == 0 < base[3]
    assert pixel_properties(np.full((1, 1, 3), 255, np.uint8)) == (1.0, 0.0, 0.0, 0.0)


def test_unreadable_images_are_not_measured_and_rotation_counts():
    probabilities = np.array([[0.2, 0.8], [np.nan, np.nan], [0.6, 0.4]], np.float32)
    found = Predictions(("a", "b", "c"), LabelSet(("x", "y")), probabilities, {"b": "damaged"})
    image = np.full((4, 4, 3), 51, np.uint8)
    infos = [ImageInfo("JPEG", "RGB", 200, 100), None, ImageInfo("JPEG", "RGB", 200, 100, orientation=6)]
    rows = measured([image, None, image], infos, found)
    assert rows.classes.tolist() == [1, 0]
    assert rows.column("aspect ratio") == pytest.approx([2.0, 0.5], rel=0.025)
    assert rows.column("brightness") == pytest.approx([0.2, 0.2])
    assert rows.column("confidence") == pytest.approx([0.8, 0.6]) and not len(rows.column("out-of-distribution score"))


def test_a_pixel_more_is_no_difference():
    image, found = (
        np.full((4, 4, 3), 51, np.uint8),
        Predictions(("a",), LabelSet(("x", "y")), np.ones((1, 2), np.float32)),
    )
    rows = [measured([image], [ImageInfo("JPEG", "RGB", 400, height)], found).values[0] for height in (533, 534, 600)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert (rows[0] != rows[2])[[NUMBERS.index("megapixels"), NUMBERS.index("aspect ratio")]].all()
