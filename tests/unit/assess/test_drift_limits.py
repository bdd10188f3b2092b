"""Drift at its limits, and properties of small images by hand."""

import numpy as np
import pytest
from scipy.special import kolmogorov
from scipy.stats import ks_2samp

from keensight.assess.drift import (
    FEWEST,
    compare,
    distance,
    holm,
    measured,
    of_predictions,
    p_value,
    pixel_properties,
    report,
    window_level,
)
from keensight.core.drift import CLASS, FILE, NUMBERS, PIXELS, Measured, Shift
from keensight.core.predictions import Predictions
from keensight.core.records import ImageInfo, LabelSet

NAMES = ("a", "b")


def only(name: str, values: np.ndarray) -> Measured:
    """Images of which only one property is known."""
    table = np.full((len(values), len(NUMBERS)), np.nan, np.float32)
    table[:, NUMBERS.index(name)] = values
    return Measured(table, np.full(len(values), -1, np.int64))


def classes(*numbers: int) -> Measured:
    return Measured(np.full((sum(numbers), len(NUMBERS)), np.nan, np.float32), np.repeat([0, 1], numbers))


def shift(moved: int, n: int = 1000, level: float = 0.01) -> Shift:
    """Of n images, some are brighter than all others."""
    old, new = np.arange(n), np.arange(n) + n * (np.arange(n) < moved)
    return compare(only("brightness", old), only("brightness", new), NAMES, level)[0]


@pytest.mark.parametrize(("moved", "differs"), [(100, True), (99, False)])
def test_a_distance_of_a_tenth_is_not_negligible(moved: int, differs: bool) -> None:
    found = shift(moved)
    assert (found.property, found.distance, found.differs) == ("brightness", pytest.approx(moved / 1000), differs)
    assert found.adjusted == found.p < 0.01
    assert (found.tested, found.new) == (499.5, pytest.approx(499.5 + moved)) and found.change == ""


def test_a_distance_of_exactly_a_tenth_is_not_negligible() -> None:
    found = compare(only("contrast", np.arange(1000) >= 100), only("contrast", np.ones(1000)), NAMES)[0]
    assert found.distance == 0.1 and found.differs


def test_a_p_value_of_just_the_level_differs() -> None:
    p = shift(150).p
    assert shift(150, level=p).differs and not shift(150, level=0.999 * p).differs


def test_twenty_known_values_on_both_sides_are_compared() -> None:
    values = np.arange(FEWEST)
    assert len(compare(only("contrast", values), only("contrast", values), NAMES)) == 1
    assert compare(only("contrast", values[1:]), only("contrast", values), NAMES) == ()
    assert compare(only("contrast", values), only("contrast", values[1:]), NAMES) == ()


def test_p_values_are_corrected_for_the_properties_that_are_compared() -> None:
    old, new = only("brightness", np.arange(100)), only("brightness", np.arange(100) + 25)
    alone = compare(old, new, NAMES)[0]
    for one in (old, new):
        one.values[:, 1] = np.arange(100)
    first, second = compare(old, new, NAMES)
    assert (first.p, first.adjusted) == (alone.p, 2 * alone.p)
    assert (second.p, second.adjusted, second.differs) == (1.0, 1.0, False)


def test_the_class_that_changed_most_is_shown() -> None:
    (found,) = compare(classes(60, 40), classes(20, 180), NAMES)
    assert (found.property, found.distance, found.change) == (CLASS, pytest.approx(0.5), "a: 60% -> 10%")
    assert found.differs and (found.tested, found.new) == (None, None)
    assert compare(classes(30, 0), classes(0, 30), NAMES)[0].change == "a: 100% -> 0%"


def test_distances_count_equal_values_once_for_both() -> None:
    assert distance(np.array([1.0, 2, 2, 3]), np.array([2.0, 2, 4, 5])) == 0.5
    assert distance(np.array([1.0, 1]), np.array([1.0])) == 0.0
    assert distance(np.array([1.0]), np.array([2.0, 3])) == 1.0


@pytest.mark.parametrize(
    ("far", "n", "m"), [(0.03, 100, 50), (0.1, 80, 120), (0.25, 60, 90), (0.4, 40, 30), (1, 99, 9)]
)
def test_p_values_are_those_of_kolmogorovs_distribution(far: float, n: int, m: int) -> None:
    assert p_value(far, n, m) == pytest.approx(kolmogorov(far * (n * m / (n + m)) ** 0.5), rel=1e-9)


def test_equal_samples_have_a_p_value_of_1() -> None:
    assert p_value(0.0, 30, 40) == 1.0
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=200), rng.normal(size=250)
    assert p_value(distance(a, b), 200, 250) == pytest.approx(ks_2samp(a, b, method="asymp").pvalue, abs=0.05)


def test_a_corrected_p_value_is_never_below_that_of_a_smaller_one() -> None:
    assert holm([0.02, 0.015, 0.5]) == pytest.approx([0.045, 0.045, 0.5])
    assert holm([0.01, 0.01]) == [0.02, 0.02] and holm([0.3]) == [0.3]


def test_windows_share_the_level() -> None:
    assert [window_level(k) for k in (1, 2, 3)] == pytest.approx([0.01 / 2, 0.01 / 6, 0.01 / 12])


def test_the_properties_of_four_pixels() -> None:
    image = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    # Gray levels of 1020: 255, 510, 255 and 1020; neighbors differ by 255 and 765.
    spread = np.std([0.25, 0.5, 0.25, 1.0])
    assert pixel_properties(image) == pytest.approx((0.5, spread, 0.5, 0.75))
    assert pixel_properties(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)) == pytest.approx((0.5, 0.5, 1.0, 0.0))
    assert pixel_properties(np.array([[[90, 51, 0]]], np.uint8))[3] == pytest.approx(90 / 255)


@pytest.mark.parametrize(("height", "step"), [(63, 1), (64, 2), (95, 2), (96, 3)])
def test_32_to_64_rows_are_used(height: int, step: int) -> None:
    image = np.zeros((height, 2, 3), np.uint8)
    image[1::step] = 255  # the rows after those that are used, if some are not
    assert pixel_properties(image)[0] == (0.0 if step > 1 else 1 - 1 / height)


def predictions(rows: list[list[float]], ood: list[float] | None = None) -> Predictions:
    names = tuple(str(i) for i in range(len(rows)))
    scores = None if ood is None else np.array(ood, np.float32)
    failed = {name: "damaged" for name, row in zip(names, rows, strict=True) if np.isnan(row).any()}
    return Predictions(names, LabelSet(NAMES), np.array(rows, np.float32), failed, ood_scores=scores)


def test_predictions_alone_tell_class_confidence_and_score() -> None:
    found = of_predictions(predictions([[0.25, 0.75], [np.nan, np.nan], [0.5, 0.5]], [0.5, np.nan, 2.0]))
    assert found.classes.tolist() == [1, -1, 0]
    assert found.column("confidence").tolist() == [0.75, 0.5]
    assert found.column("out-of-distribution score").tolist() == [0.5, 2.0]
    assert all(len(found.column(name)) == 0 for name in (*PIXELS, *FILE))


@pytest.mark.parametrize(("orientation", "turned"), [(1, False), (4, False), (5, True), (8, True)])
def test_orientations_from_5_on_are_rotated(orientation: int, turned: bool) -> None:
    image = np.full((2, 2, 3), 51, np.uint8)
    info = ImageInfo("JPEG", "RGB", 4000, 2000, orientation=orientation)
    found = measured([image], [info], predictions([[0.25, 0.75]]))
    assert found.column("aspect ratio") == pytest.approx([0.5 if turned else 2.0], rel=0.025)
    assert found.column("megapixels") == pytest.approx([8.0], rel=0.025)


def test_sizes_are_rounded_to_steps_of_5_percent() -> None:
    image, found = np.full((2, 2, 3), 51, np.uint8), predictions([[0.25, 0.75]])
    rows = [measured([image], [ImageInfo("PNG", "RGB", w, 1000)], found).column("megapixels")[0] for w in (500, 900)]
    assert np.log(rows) / 0.05 == pytest.approx([-14, -2], abs=1e-5)  # of -13.86 and -2.11


def test_an_image_without_a_header_has_no_size() -> None:
    image = np.full((2, 2, 3), 51, np.uint8)
    found = measured([None, image], [ImageInfo("PNG", "RGB", 9, 9), None], predictions([[0.25, 0.75], [1.0, 0.0]]))
    assert len(found) == 1 and found.classes.tolist() == [0]
    assert [len(found.column(name)) for name in (*PIXELS, *FILE)] == [1, 1, 1, 1, 0, 0]
    assert found.column("confidence").tolist() == [1.0]


def test_a_report_says_of_how_many_images_it_is_and_what_was_not_compared() -> None:
    scores = np.repeat([0.1, 0.2], 15).astype(np.float32)
    name = "out-of-distribution score"
    found = report(only(name, scores), only(name, scores[:25]), NAMES, threshold=0.1)
    assert (found.n, found.reference, found.level) == (25, 30, 0.01)
    assert (found.unlike, found.expected_unlike) == (0.4, 0.5)  # a score of just the threshold is not above it
    assert len(found.notes) == 1
    assert found.notes[0].startswith("not compared, as there are fewer than 20 values: brightness, contrast, ")
    assert found.notes[0].endswith(", confidence, predicted class")
    unknown = report(classes(20, 20), classes(20, 20), NAMES, level=0.5, threshold=0.1)
    assert (unknown.unlike, unknown.expected_unlike, unknown.level) == (None, None, 0.5)


def test_nothing_is_noted_where_all_is_compared() -> None:
    rng = np.random.default_rng(0)
    full = Measured(rng.normal(size=(30, len(NUMBERS))).astype(np.float32), np.arange(30) % 2)
    found = report(full, full, NAMES)
    assert found.notes == () and len(found.shifts) == len(NUMBERS) + 1 and not found.differs
