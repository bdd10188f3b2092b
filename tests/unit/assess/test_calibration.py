import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from keensight.assess.calibration import (
    FEWEST,
    PRIOR,
    at_temperature,
    brier_scores,
    cross_entropies,
    expected_calibration_error,
    fit_temperature,
    label_cross_entropies,
    reliability,
)
from keensight.core.prototypes import softmax
from keensight.errors import DataError


def _drawn(n: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are ``sharpness`` times as sure in their logits as the truth is drawn."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, 5))
    honest = softmax(logits)
    targets = (rng.random((n, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    return softmax(sharpness * logits).astype(np.float32), targets


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_the_model_too_sure_or_unsure(sharpness: float) -> None:
    probabilities, targets = _drawn(20_000, sharpness)
    found = fit_temperature(probabilities, targets)
    assert found == pytest.approx(sharpness, rel=0.05)
    assert expected_calibration_error(at_temperature(probabilities, found), targets) < 0.02


def test_a_temperature_of_several_labels() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(size=(5_000, 3))
    truth = (rng.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(int)
    assert fit_temperature(1 / (1 + np.exp(-2.5 * odds)), truth) == pytest.approx(2.5, rel=0.1)


def test_few_images_choose_no_temperature() -> None:
    probabilities, targets = _drawn(FEWEST - 1, 3.0)
    assert fit_temperature(probabilities, targets) == 1.0


@pytest.mark.parametrize(("n", "said", "least"), [(89, 0.7, 0.5), (30, 0.7, 0.75), (89, 0.99, 0.9)])
def test_images_that_are_all_right_do_not_make_the_model_certain(n: int, said: float, least: float) -> None:
    probabilities = np.tile(np.array([said, 1 - said], np.float32), (n, 1))
    assert least < fit_temperature(probabilities, np.zeros(n, int)) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_chance_alone_moves_the_temperature_little(seed: int) -> None:
    """Forty images of a calibrated model: the likelihood alone gives 0.05 where none is a mistake."""
    assert 0.8 < fit_temperature(*_drawn(40, 1.0, seed)) < 1.25


def test_a_temperature_that_helps_on_a_few_hundred_images_is_taken() -> None:
    assert all(1.5 < fit_temperature(*_drawn(300, 2.0, seed)) < 2.5 for seed in range(5))


def test_a_temperature_that_is_not_shown_to_help_is_none() -> None:
    assert sum(fit_temperature(*_drawn(200, 1.0, seed)) == 1.0 for seed in range(20)) > 10


def test_the_temperature_is_the_mode_of_likelihood_and_prior() -> None:
    probabilities, targets = _drawn(200, 2.0)
    tried = np.linspace(-3, 3, 6001)
    losses = [cross_entropies(at_temperature(probabilities, np.exp(x)), targets).sum() for x in tried]
    mode = tried[np.argmin(np.array(losses) + (tried / PRIOR) ** 2 / 2)]
    assert fit_temperature(probabilities, targets) == pytest.approx(np.exp(mode), rel=3e-3)


def test_copies_in_groups_are_no_more_evidence() -> None:
    probabilities, targets = _drawn(40, 1.6)
    eight, groups = np.repeat(np.arange(40), 8), np.repeat(np.arange(40), 8)
    assert fit_temperature(probabilities[eight], targets[eight]) > 1.3
    assert fit_temperature(probabilities[eight], targets[eight], groups) < 1.3
    assert fit_temperature(probabilities[eight], targets[eight], np.zeros(320, int)) == 1.0


def test_a_mistake_costs_what_the_model_said() -> None:
    said = np.array([[1 - 1e-20, 1e-20], [1.0, 0.0]], np.float32)
    np.testing.assert_allclose(cross_entropies(said, np.array([1, 1])), [46.05, 87.34], rtol=1e-3)
    labels = np.array([[1e-20, 1.0]], np.float32)
    assert label_cross_entropies(labels, np.array([[1, 0]])) == pytest.approx((46.05 + 17.33) / 2, rel=1e-3)


def test_no_temperature_makes_certain_mistakes_cheaper_by_a_clip() -> None:
    """At 0.05 every answer is certain: the nine right ones gain, and the mistake costs more than they do."""
    probabilities, targets = np.tile([0.7, 0.3], (10, 1)), np.array([0] * 9 + [1])
    assert cross_entropies(at_temperature(probabilities, 0.05), targets).mean() > 1.6
    near = np.tile([0.9, 0.1], (10, 1))
    assert cross_entropies(at_temperature(near, 0.05), targets).mean() > 4.3  # 1.6 with a clip at 1e-7


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="do not fit"):
        fit_temperature(np.ones((40, 2)) / 2, np.zeros(39, int))


def test_a_temperature_changes_no_answer_and_can_be_undone() -> None:
    probabilities, _ = _drawn(200, 1.0)
    warm = at_temperature(probabilities, 2.5)
    np.testing.assert_array_equal(warm.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(at_temperature(warm, 1 / 2.5), probabilities, atol=1e-6)
    certain = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert np.isfinite(at_temperature(certain, 0.3)).all()


def test_brier_scores_are_twice_scikit_learns_of_two_classes() -> None:
    probabilities, targets = _drawn(300, 1.0)
    two = np.stack([probabilities[:, 0], 1 - probabilities[:, 0]], axis=1)
    held = (targets != 0).astype(int)
    expected = 2 * brier_score_loss(held, two[:, 1].astype(float))
    assert brier_scores(two, held).mean() == pytest.approx(expected, rel=1e-5)


def test_bins_hold_every_answer_once() -> None:
    probabilities, targets = _drawn(500, 2.0)
    bins = reliability(probabilities, targets)
    assert sum(row.n for row in bins) == 500
    assert all(row.low < row.said <= row.high + 1e-6 for row in bins if row.n)
    right = sum(row.n * row.right for row in bins) / 500
    assert right == pytest.approx((probabilities.argmax(axis=1) == targets).mean())


def test_just_enough_images_choose_a_temperature() -> None:
    assert fit_temperature(*_drawn(FEWEST, 3.0)) > 1.2


@pytest.mark.parametrize(("n", "chosen"), [(29, False), (30, True)])
def test_thirty_images_are_the_fewest_for_a_temperature(n: int, chosen: bool) -> None:
    assert (fit_temperature(*_drawn(n, 3.0)) != 1.0) is chosen


@pytest.mark.parametrize(("sharpness", "n", "found"), [(60.0, 300, np.exp(3)), (0.005, 2_000, np.exp(-3))])
def test_a_temperature_is_from_a_twentieth_to_20(sharpness: float, n: int, found: float) -> None:
    assert fit_temperature(*_drawn(n, sharpness)) == pytest.approx(found, rel=2e-3)


def test_answers_that_no_temperature_changes_have_none() -> None:
    even = np.full((40, 4), 0.25)
    assert fit_temperature(even, np.arange(40) % 4) == 1.0


def test_copies_in_groups_choose_the_temperature_of_single_images() -> None:
    probabilities, targets = _drawn(60, 3.0)
    copies = np.repeat(np.arange(60), 5)
    alone = fit_temperature(probabilities, targets)
    assert alone > 1.3
    assert fit_temperature(probabilities[copies], targets[copies], copies + 100) == pytest.approx(alone, rel=1e-6)


def test_images_of_one_group_are_in_one_fold_and_cannot_vouch_for_a_temperature() -> None:
    probabilities, targets = _drawn(100, 3.0)
    assert fit_temperature(probabilities, targets, np.arange(100) // 2) > 1.5
    assert fit_temperature(probabilities, targets, np.zeros(100, int)) == 1.0


@pytest.mark.parametrize("probabilities", [np.full(40, 0.5), np.full((40, 1, 2), 0.5)])
def test_probabilities_have_one_row_per_image(probabilities: np.ndarray) -> None:
    with pytest.raises(DataError, match="do not fit") as caught:
        fit_temperature(probabilities, np.zeros(40, int))
    assert caught.value.hint == "give one row per image"


def test_dividing_the_logits_by_two_takes_the_root_of_the_odds() -> None:
    np.testing.assert_allclose(at_temperature(np.array([[0.8, 0.2]]), 2.0), [[2 / 3, 1 / 3]])  # odds 4 to 2
    labels = np.array([[0.8, 0.8, 0.1]])
    np.testing.assert_allclose(at_temperature(labels, 2.0), [[2 / 3, 2 / 3, 1 / 4]])  # odds 1/9 to 1/3


@pytest.mark.parametrize(("off", "softmax_expected"), [(0.0008, True), (0.002, False)])
def test_rows_that_come_to_1_but_for_rounding_are_a_softmax(off: float, softmax_expected: bool) -> None:
    rows = at_temperature(np.array([[0.8, 0.2 + off]]), 1.0)
    assert bool(abs(rows.sum() - 1) < 1e-6) is softmax_expected


@pytest.mark.parametrize(
    ("targets", "score"),
    [(0, 0.3**2 + 0.2**2 + 0.1**2), (1, 0.7**2 + 0.8**2 + 0.1**2), (2, 0.7**2 + 0.2**2 + 0.9**2)],
)
def test_a_brier_score_is_the_squared_distance_from_the_truth(targets: int, score: float) -> None:
    assert brier_scores(np.array([[0.7, 0.2, 0.1]]), np.array([targets])) == pytest.approx(score)


def test_the_loss_of_labels_is_the_mean_over_the_labels_of_each_image() -> None:
    p, truth = np.array([[0.5, 0.9], [0.2, 1.0]]), np.array([[1, 0], [0, 1]])
    expected = [-(np.log(0.5) + np.log(0.1)) / 2, -(np.log(0.8) + np.log(1.0)) / 2]
    np.testing.assert_allclose(label_cross_entropies(p, truth), expected)
    # Float32 has no number between 1 - 2**-24 and 1: what is absent at 1 costs half of that distance.
    assert label_cross_entropies(np.array([[1.0]]), np.array([[0]])) == pytest.approx(25 * np.log(2))


def test_each_bin_has_its_edges_its_images_and_their_figures() -> None:
    probabilities = np.array([[0.6, 0.4], [0.58, 0.42], [0.0, 1.0], [0.98, 0.02], [0.5, 0.5]])
    bins = reliability(probabilities, np.array([0, 1, 1, 0, 0]))
    np.testing.assert_allclose([(row.low, row.high) for row in bins], [(i / 15, (i + 1) / 15) for i in range(15)])
    assert {i: row.n for i, row in enumerate(bins) if row.n} == {7: 1, 8: 2, 14: 2}
    assert (bins[7].said, bins[7].right) == (0.5, 1)
    assert (bins[8].said, bins[8].right) == (pytest.approx(0.59), 0.5)
    assert (bins[14].said, bins[14].right) == (pytest.approx(0.99), 1)
    assert (bins[0].said, bins[0].right) == (0, 0)


def test_no_loss_is_below_0_though_a_probability_is_rounded_beyond_1() -> None:
    assert cross_entropies(np.array([[1.0000001, 0.0]], np.float32), np.array([0])) == 0
