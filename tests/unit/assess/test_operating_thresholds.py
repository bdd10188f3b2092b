"""Thresholds for a stated sensitivity, specificity or precision, and what they give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from keensight.assess import operating_point
from keensight.errors import DataError


def draw(rng, n=200, share=0.4):
    positive = rng.random(n) < share
    logits = rng.normal(size=n) + 2 * positive - 1
    return 1 / (1 + np.exp(-logits)), positive


def measured(scores, positive, threshold=0.5, **more):
    return operating_point.measure(scores, positive, threshold, label="a", part="test", target="as given", **more)


@pytest.mark.parametrize("target", [0.8, 0.95])
def test_a_chosen_sensitivity_holds_on_new_images_as_often_as_promised(target):
    rng, held = np.random.default_rng(0), 0
    fresh = np.sort(draw(rng, 50_000, 1.0)[0])
    for _ in range(150):
        threshold, enough = operating_point.for_sensitivity(draw(rng, 120, 1.0)[0], target, 0.9)
        assert enough
        held += 1 - np.searchsorted(fresh, threshold) / len(fresh) >= target
    assert held / 150 > 0.86  # at least 0.9, less three standard errors


def test_a_chosen_specificity_holds_on_new_images_as_often_as_promised():
    rng, held = np.random.default_rng(1), 0
    fresh = np.sort(draw(rng, 50_000, 0.0)[0])
    for _ in range(150):
        threshold, _ = operating_point.for_specificity(draw(rng, 120, 0.0)[0], 0.9, 0.9)
        held += np.searchsorted(fresh, threshold) / len(fresh) >= 0.9
    assert held / 150 > 0.86


def test_a_chosen_precision_holds_on_new_images_as_often_as_promised():
    rng, held, reached = np.random.default_rng(2), 0, 0
    scores, positive = draw(rng, 100_000)
    for _ in range(150):
        threshold, enough = operating_point.for_precision(*draw(rng, 400), 0.75, 0.9)
        reached += enough
        held += positive[scores >= threshold].mean() >= 0.75
    assert reached > 120
    assert held / 150 > 0.82


def test_too_few_images_promise_nothing():
    threshold, enough = operating_point.for_sensitivity(np.array([0.9, 0.4, 0.7]), 0.95, 0.9)
    assert (threshold, enough) == (0.4, False)
    threshold, enough = operating_point.for_precision(np.array([0.9, 0.1]), np.array([True, False]), 0.95, 0.9)
    assert (threshold, enough) == (0.9, False)


@pytest.mark.parametrize(("target", "n"), [(0.95, 45), (0.99, 230)])
def test_so_many_images_suffice_and_not_one_fewer(target, n):
    enough = [operating_point.for_sensitivity(np.linspace(0.1, 0.9, count), target, 0.9)[1] for count in (n - 1, n)]
    assert enough == [False, True]


def test_specificity_leaves_the_chosen_negative_itself_unflagged():
    scores = np.linspace(0.1, 0.5, 60)
    threshold, enough = operating_point.for_specificity(scores, 0.9, 0.9)
    assert enough
    assert threshold > scores[57]
    assert (scores >= threshold).mean() <= 0.1


def test_the_figures_at_a_threshold():
    scores = np.array([0.9, 0.8, 0.3, 0.6, 0.2, 0.1])
    positive = np.array([True, True, True, False, False, False])
    found = measured(scores, positive)
    assert found.counts == (2, 1, 1, 2)
    assert (found.sensitivity.value, found.specificity.value) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (found.precision.value, found.negative_value.value, found.flagged.value) == (
        pytest.approx(2 / 3), pytest.approx(2 / 3), 0.5,
    )  # fmt: skip
    assert found.auroc.value == pytest.approx(8 / 9)
    assert "sensitivity 0.667" in found.sentence()


def test_one_side_alone_has_no_curve_and_none_flagged_no_precision():
    found = measured(np.array([0.1, 0.2]), np.array([True, True]))
    assert (found.specificity, found.precision, found.auroc, found.curve) == (None, None, None, ())
    assert found.sensitivity.value == 0


def test_images_of_few_groups_make_nobody_as_sure():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    hard = rng.normal(size=20)[groups]
    positive = groups % 2 == 0
    scores = 1 / (1 + np.exp(-(hard + positive)))
    alone, together = measured(scores, positive), measured(scores, positive, groups=groups)
    assert together.sensitivity.high - together.sensitivity.low > alone.sensitivity.high - alone.sensitivity.low


def test_no_image_is_refused():
    with pytest.raises(DataError, match="no image"):
        measured(np.zeros(0), np.zeros(0, bool))


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60))
def test_the_curve_is_scikit_learns(rows):
    scores, positive = np.array([s / 8 for s, _ in rows]), np.array([p for _, p in rows])
    if positive.all() or not positive.any():
        return
    found = measured(scores, positive)
    false, true, _ = roc_curve(positive, scores, drop_intermediate=False)
    assert found.auroc.value == pytest.approx(roc_auc_score(positive, scores))
    ours = np.array(found.curve)
    assert ours[0, 1:].tolist() == [0, 0]
    assert ours[-1, 1:].tolist() == [1, 1]
    assert {(round(x, 9), round(y, 9)) for _, x, y in found.curve} <= set(
        zip(false.round(9), true.round(9), strict=True)
    )
    assert np.trapezoid(ours[:, 2], ours[:, 1]) == pytest.approx(found.auroc.value)


def test_every_interval_of_alike_images_is_as_long_as_of_one_each():
    scores, positive = draw(np.random.default_rng(0), 80)
    each = np.repeat(np.arange(80), 6)
    single, grouped = measured(scores, positive), measured(scores[each], positive[each], groups=each)
    for name in ("sensitivity", "specificity", "precision", "negative_value", "flagged", "auroc"):
        one, other = getattr(single, name), getattr(grouped, name)
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.2), name
