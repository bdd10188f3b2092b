import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from keensight.assess.intervals import wilson
from keensight.assess.metrics import evaluate as single_label
from keensight.assess.multilabel import accuracy_without, evaluate, mean_average_precision, report_text
from keensight.assess.thresholds import best_threshold, choose_thresholds
from keensight.core.codec import from_plain, to_plain
from keensight.core.evaluation import Evaluation
from keensight.core.records import LabelSet
from keensight.errors import DataError
from multilabel_builders import scored

LABELS = LabelSet(("a", "b", "c"))


def example(n=200, seed=0):
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, 3)) < (0.5, 0.2, 0.1)).astype(int)
    # Rounded, so that several images share a probability.
    return np.round(np.clip(truth * 0.3 + rng.random((n, 3)) * 0.7, 0, 1), 1), truth


def test_figures_are_those_of_sklearn():
    probabilities, truth = example()
    found = evaluate(probabilities, truth, LABELS, (0.5, 0.5, 0.5))
    said = probabilities >= 0.5
    scores = found.multilabel
    assert scores.mean_average_precision.value == pytest.approx(average_precision_score(truth, probabilities))
    assert scores.micro_f1.value == pytest.approx(f1_score(truth, said, average="micro"))
    assert found.macro_f1 == pytest.approx(f1_score(truth, said, average="macro"))
    assert scores.hamming_loss == pytest.approx((said != truth).mean())
    assert found.accuracy.value == pytest.approx((said == truth).all(axis=1).mean())
    for j, row in enumerate(scores.per_label):
        tn, fp, fn, tp = row.counts
        assert tp == (said[:, j] & (truth[:, j] == 1)).sum()
        assert fp == (said[:, j] & (truth[:, j] == 0)).sum()
        assert tn + fp + fn + tp == len(truth)
        assert row.base_rate == pytest.approx(truth[:, j].mean())
    assert scores.together[0][0][1] == (truth[:, 0] & truth[:, 1]).sum()


def test_weights_of_images_are_copies_of_them():
    probabilities, truth = example(60)
    drawn = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), size=3)
    found = mean_average_precision(probabilities, truth, drawn.astype(np.float32))
    for area, times in zip(found, drawn, strict=True):
        again = average_precision_score(np.repeat(truth, times, axis=0), np.repeat(probabilities, times, axis=0))
        assert area == pytest.approx(again)


def test_the_interval_of_the_bootstrap_shrinks_with_the_images():
    def width(n):
        found = evaluate(*example(n), LABELS, (0.5,) * 3).multilabel.mean_average_precision
        assert found.low < found.value < found.high
        return found.high - found.low

    assert width(2000) < 0.5 * width(100)


def test_images_of_one_group_count_once_in_every_interval():
    probabilities, truth = example(80)
    each = np.repeat(np.arange(80), 6)
    copies = (probabilities[each], truth[each], LABELS, (0.5,) * 3)
    single, alone, grouped = (
        evaluate(probabilities, truth, LABELS, (0.5,) * 3),
        evaluate(*copies),
        evaluate(*copies, groups=each),
    )

    def widths(found):
        scores = found.multilabel
        ends = [found.accuracy, scores.mean_average_precision, scores.micro_f1, *found.per_class[0].intervals.values()]
        return np.array([one.high - one.low for one in ends])

    assert (widths(grouped) > 1.8 * widths(alone)).all()
    assert widths(grouped) == pytest.approx(widths(single), rel=0.15)
    out = np.arange(480) < 60
    cleaned = accuracy_without(probabilities[each], truth[each], (0.5,) * 3, out, each)
    rest = evaluate(*(table[~out] for table in copies[:2]), LABELS, (0.5,) * 3, groups=each[~out])
    assert cleaned == rest.accuracy


def test_a_perfect_model_is_perfect():
    truth = example()[1]
    found = evaluate(truth.astype(float), truth, LABELS, (0.5,) * 3)
    assert found.headline()["map"] == found.headline()["micro_f1"] == found.accuracy.value == 1
    assert found.multilabel.hamming_loss == found.loss == pytest.approx(0, abs=1e-6)
    assert found.ece == pytest.approx(0)


def test_the_intervals_of_a_perfect_model_are_no_narrower_than_its_images_allow():
    truth = np.zeros((40, 3), int)
    truth[:20, 0] = truth[:10, 1] = truth[:5, 2] = 1
    alone = evaluate(truth.astype(float), truth, LABELS, (0.5,) * 3).multilabel
    # Wilson at n of n: n / (n + z²), z² = 3.84146; the rarest label has 5 images.
    assert alone.mean_average_precision.low == pytest.approx(5 / 8.84146, abs=1e-5)
    assert alone.micro_f1.low == pytest.approx(40 / 43.84146, abs=1e-5)
    assert alone.mean_average_precision.high == alone.micro_f1.high == 1
    pairs = evaluate(truth.astype(float), truth, LABELS, (0.5,) * 3, groups=np.arange(40) // 2).multilabel
    assert pairs.mean_average_precision.low == pytest.approx(3 / 6.84146, abs=1e-5), "5 images, of 3 groups"
    assert pairs.micro_f1.low == pytest.approx(20 / 23.84146, abs=1e-5)


def test_a_label_that_never_occurs_has_no_average_precision():
    scores = scored().multilabel
    assert scores.per_label[3].average_precision is None
    assert scores.per_label[3].auroc is None
    areas = [row.average_precision for row in scores.per_label[:3]]
    assert scores.mean_average_precision.value == pytest.approx(np.mean(areas))


def test_an_evaluation_is_written_and_read():
    found = scored()
    again = from_plain(Evaluation, to_plain(found))
    assert again == found.figures
    assert "never" in report_text(found)
    assert f"{found.multilabel.micro_f1.value:.4f}" in report_text(found)


@pytest.mark.parametrize(
    ("probabilities", "truth", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "no image"),
        (np.zeros((4, 2)), np.zeros((4, 3)), "do not fit"),
        (np.full((4, 3), 1.5), np.zeros((4, 3)), "not probabilities"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), "NaN"),
        (np.zeros((4, 3)), np.full((4, 3), 2), "other than 0 and 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(probabilities, truth, message):
    with pytest.raises(DataError, match=message):
        evaluate(probabilities, truth, LABELS, (0.5,) * 3)


def test_a_threshold_below_all_probabilities_is_half_of_the_lowest():
    assert best_threshold(np.array([0.9, 0.2]), np.array([1, 1])) == pytest.approx(0.1)


def test_the_best_threshold_has_the_best_f1():
    probabilities, truth = (column[:, 1] for column in example())
    chosen = best_threshold(probabilities, truth)
    best = max(f1_score(truth, probabilities >= t) for t in np.linspace(0.01, 1, 200))
    assert f1_score(truth, probabilities >= chosen) == pytest.approx(best)


def test_thresholds_of_rare_labels_are_drawn_to_the_common_one():
    rng = np.random.default_rng(0)
    truth = np.zeros((400, 2), int)
    truth[:200, 0] = truth[:1, 1] = 1
    probabilities = np.where(truth == 1, 0.6, 0.4) + rng.random((400, 2)) * 0.05
    probabilities[:, 1] *= 0.1  # the rare label's own best threshold is near 0.05
    common, rare = choose_thresholds(probabilities, truth)
    assert common == pytest.approx(0.52, abs=0.05)
    assert rare > 0.4
    truth[:100, 1] = 1
    probabilities[:100, 1] = 0.06
    assert choose_thresholds(probabilities, truth)[1] < 0.15


def test_a_label_that_validation_lacks_takes_the_common_threshold():
    probabilities, truth = example()
    truth[:, 2] = 0
    found = choose_thresholds(probabilities, truth)
    assert found[2] == pytest.approx(best_threshold(probabilities.ravel(), truth.ravel()))


def test_intervals_of_few_images_hold_their_own_figure():
    for seed in range(30):
        probabilities, truth = example(6, seed)
        scores = evaluate(probabilities, truth, LABELS, (0.5,) * 3).multilabel
        for one in (scores.mean_average_precision, scores.micro_f1):
            assert 0 <= one.low <= one.value <= one.high <= 1


def test_no_threshold_parts_equal_probabilities_and_none_is_0():
    assert best_threshold(np.array([0.5, 0.5, 0.5, 0.2]), np.array([1, 1, 0, 0])) == pytest.approx(0.35)
    tiny = np.array([[0.004], [0.003], [0.001]])
    assert choose_thresholds(tiny, np.array([[1], [1], [0]])) == (0.01,)


def four_images():
    """Figures by hand in the tests below: label a is half right, b right, and c neither occurs nor is predicted."""
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]])
    probabilities = np.array([[0.9, 0.2, 0.1], [0.4, 0.8, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.1]])
    return evaluate(probabilities, truth, LABELS, (0.5, 0.5, 0.25))


def test_the_report_lists_each_label_and_the_totals():
    table = """\
             precision    recall  f1-score   support        AP     AUROC threshold

           a    0.5000    0.5000    0.5000         2    0.8333    0.7500    0.5000
           b    1.0000    1.0000    1.0000         1    1.0000    1.0000    0.5000
           c    0.0000    0.0000    0.0000         0         -         -    0.2500

         mAP    0.9167
    micro F1    0.6667
    macro F1    0.5000
 subset acc.    0.5000
Hamming loss    0.1667
      images         4
"""
    assert report_text(four_images()) == table


def test_a_report_is_as_wide_as_the_longest_label():
    long = LabelSet(("a", "thirteen more"))
    found = evaluate(np.eye(2), np.eye(2, dtype=int), long, (0.5, 0.5))
    lines = report_text(found).splitlines()
    assert [lines[2][:15], lines[3][:15], lines[-1]] == ["            a  ", "thirteen more  ", f"{'images':>13} {2:>9}"]


def test_a_report_of_a_single_label_model_is_refused():
    with pytest.raises(DataError, match="from a single-label model") as caught:
        report_text(single_label(np.array([[0.9, 0.1]]), np.array([0]), LabelSet(("a", "b"))))
    assert "keensight.assess.metrics.report_text" in caught.value.hint


def test_what_is_counted_of_each_label_and_of_pairs():
    found = four_images()
    scores = found.multilabel
    assert [row.counts for row in scores.per_label] == [(1, 1, 1, 1), (3, 0, 0, 1), (4, 0, 0, 0)]
    assert scores.together == (((2, 1, 0), (1, 1, 0), (0, 0, 0)), ((2, 0, 0), (0, 1, 0), (0, 0, 0)))
    assert found.baseline_accuracy == 0.5, "two of the four images have no label, which is the most frequent answer"
    assert found.weighted_f1 == pytest.approx((2 * 0.5 + 1) / 3)
    assert found.confusion == ()


def test_the_intervals_of_a_label_are_wilsons_of_its_own_images():
    probabilities, truth = example(30)
    found = evaluate(probabilities, truth, LABELS, (0.5,) * 3)
    for j, row in enumerate(found.per_class):
        called, held = probabilities[:, j] >= 0.5, truth[:, j] == 1
        both = int((called & held).sum())
        assert row.intervals["precision"] == wilson(both, int(called.sum()))
        assert row.intervals["recall"] == wilson(both, int(held.sum()))


def test_of_images_without_any_label_nothing_is_known_of_the_mean_average_precision():
    found = evaluate(np.full((20, 2), 0.1), np.zeros((20, 2), int), LabelSet(("a", "b")), (0.5, 0.5))
    area, micro = found.multilabel.mean_average_precision, found.multilabel.micro_f1
    assert (area.value, area.low, area.high, area.level, area.method) == (0, 0, 1, 0.95, "bootstrap")
    assert (micro.value, micro.low) == (0, 0)
    assert micro.high == pytest.approx(3.84146 / 23.84146, abs=1e-5)  # Wilson at 0 of 20: z² / (n + z²)
    assert found.macro_f1 == found.weighted_f1 == 0
    assert found.accuracy.value == found.baseline_accuracy == 1


def test_the_mean_average_precision_of_a_resample_is_over_the_labels_that_occur_in_it():
    truth, p = np.array([[1, 0], [0, 0], [0, 1]]), np.array([[0.5, 0.1], [0.9, 0.3], [0.1, 0.2]])
    weights = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0], [2, 1, 0]], np.float32)
    # Both labels at rank 2: 1/2; only the first label; at rank 1; none; two copies at ranks 2 and 3: 2/3.
    np.testing.assert_allclose(mean_average_precision(p, truth, weights), [1 / 2, 1 / 2, 1, np.nan, 2 / 3])


def test_a_label_of_a_single_image_or_of_all_images():
    truth = np.array([[1, 1], [0, 1], [0, 1]])
    scores = evaluate(np.array([[0.3, 0.9], [0.6, 0.8], [0.1, 0.7]]), truth, LabelSet(("one", "all")), (0.5, 0.5))
    one, every = scores.multilabel.per_label
    assert (one.auroc, one.average_precision, one.base_rate) == (0.5, 0.5, pytest.approx(1 / 3))
    assert (every.auroc, every.average_precision, every.base_rate) == (None, 1, 1)


def test_the_calibration_error_is_over_pairs_of_image_and_label_in_15_bins():
    truth = np.array([[1, 0], [0, 1], [0, 0], [0, 1]])
    p = np.array([[0.2, 0.2], [0.2, 0.9], [0.2, 0.2], [0.2, 0.9]])
    # Six pairs at 0.2, of which 1 is true, in one bin: 0.2; two at 0.9, both true: 0.2; of 8 pairs.
    assert evaluate(p, truth, LabelSet(("a", "b")), (0.5, 0.5)).ece == pytest.approx((0.2 + 0.2) / 8)


def test_the_interval_of_a_bootstrap_leaves_out_a_fortieth_on_each_side():
    probabilities, truth = example(60)
    scores = evaluate(probabilities, truth, LABELS, (0.5,) * 3).multilabel
    said = (probabilities >= 0.5).astype(int)
    drawn = np.random.default_rng(7).multinomial(60, np.full(60, 1 / 60), size=4000)
    both, either = drawn @ (truth * said).sum(axis=1), drawn @ (truth + said).sum(axis=1)
    areas = mean_average_precision(probabilities, truth, drawn.astype(np.float32))
    for found, draws in ((scores.micro_f1, 2 * both / either), (scores.mean_average_precision, areas)):
        low, high = np.quantile(draws, [0.025, 0.975])
        assert (found.level, found.method) == (0.95, "bootstrap")
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.03 * (high - low))


@pytest.mark.parametrize(
    ("probabilities", "truth", "thresholds"),
    [(np.zeros((4, 3)), np.zeros((4, 2)), 3), (np.zeros((4, 3)), np.zeros((4, 3)), 2), (np.zeros((3, 3)),) * 2 + (4,)],
)
def test_each_label_needs_a_column_and_a_threshold(probabilities, truth, thresholds):
    with pytest.raises(DataError, match="do not fit 3 labels") as caught:
        evaluate(probabilities, truth, LABELS, (0.5,) * thresholds)
    assert caught.value.hint == "one row per image, one column and one threshold per label"


def test_unreadable_images_are_counted():
    probabilities = np.array([[0.5, np.nan, 0.5], [0.5] * 3, [np.nan] * 3])
    with pytest.raises(DataError, match="2 of 3 rows are NaN"):
        evaluate(probabilities, np.zeros((3, 3)), LABELS, (0.5,) * 3)


@pytest.mark.parametrize("outside", [-0.01, 1.01])
def test_probabilities_are_from_0_to_1(outside):
    with pytest.raises(DataError, match="not probabilities from 0 to 1"):
        evaluate(np.array([[0, 1, outside]]), np.zeros((1, 3)), LABELS, (0.5,) * 3)
