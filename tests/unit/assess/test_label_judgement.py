"""The label check by its definition: the fit, what is expected of right labels, and who is suspect."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import poisson

from keensight.assess.confident_learning import Judgement, accuracy_range, judge, judge_labels

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def said(classes: int, wrong: int, n: int = 300, empty: int = 0, doubt: float = 0.1) -> tuple[Floats, Numbers]:
    """Probabilities that are too unsure, by a factor of two in their logits, and labels of which some are wrong."""
    rng = np.random.default_rng(classes)
    honest = rng.dirichlet(np.full(classes, doubt), n) + 1e-5
    honest /= honest.sum(axis=1, keepdims=True)
    truth = (rng.random((n, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    p = np.pad(np.sqrt(honest), ((0, 0), (0, empty)))
    given = truth.copy()
    given[:wrong] = (truth[:wrong] + 1) % classes
    return p / p.sum(axis=1, keepdims=True), given


def with_a_lone_one(p: Floats, given: Numbers) -> tuple[Floats, Numbers]:
    """The last image is the only one of one more class."""
    more, last = np.pad(p * 0.99, ((0, 0), (0, 1)), constant_values=0.01), np.array(given)
    more[-1], last[-1] = 0.05, p.shape[1]
    more[-1, -1] = 1 - 0.05 * p.shape[1]
    return more, last


def fitted(found: Judgement, p: Floats, given: Numbers, classes: int) -> tuple[float, float]:
    """The power that the probabilities were raised to, and the noise rate, from what a judgement tells."""
    i = int(np.argmax(p[:, 0] / p[:, 1]))
    power = math.log(found.probabilities[i, 0] / found.probabilities[i, 1]) / math.log(p[i, 0] / p[i, 1])
    i = int(np.abs(found.wrong - 0.5).argmin())
    own = found.probabilities[i, given[i]]
    random = found.wrong[i] / (1 - own)  # = (noise / classes) / ((1 - noise) own + noise / classes)
    noise = random * own / (random * own + (1 - random) / classes)
    return power, noise


def loss(p: Floats, given: Numbers, power: float, noise: float, classes: int) -> float:
    raised = p**power
    own = (raised / raised.sum(axis=1, keepdims=True))[np.arange(len(p)), given]
    return float(-np.log((1 - noise) * own + noise / classes).sum())


CASES = [(2, 12, 0), (3, 15, 1), (5, 10, 2)]


@pytest.mark.parametrize(("classes", "wrong", "empty"), CASES)
def test_temperature_and_noise_are_the_most_likely_ones(classes: int, wrong: int, empty: int) -> None:
    p, given = said(classes, wrong, empty=empty)
    power, noise = fitted(judge(p, given), p, given, classes)
    assert power == pytest.approx(2, rel=0.25), "it makes up for what made the model unsure"
    # A wrong label is one that is drawn at random, and happens to be the right one once in so many classes.
    assert noise * (1 - 1 / classes) == pytest.approx(wrong / len(p), rel=0.35)
    best = loss(p, given, power, noise, classes)
    for other in ((power * 1.1, noise), (power / 1.1, noise), (power, noise * 1.2), (power, noise / 1.2)):
        assert best < loss(p, given, *other, classes)


def by_definition(found: Judgement, noise: float, given: Numbers, classes: int) -> tuple[list[int], list[float]]:
    """Labels that are less probable than another class, the least probable first, and how many right ones are expected
    to be as improbable as each."""
    q = found.probabilities
    own = q[np.arange(len(q)), given]
    occurring = q[:, np.unique(given)]
    unusual = 0.02 * (1 - q.max(axis=1).mean())
    ranked = [int(i) for i in np.argsort(own, kind="stable") if own[i] < np.delete(q[i], given[i]).max()]
    return ranked, [
        (1 - noise) * q[q <= own[i]].sum() + unusual * (1 - occurring[occurring <= own[i]]).sum() / (classes - 1)
        for i in ranked
    ]


@pytest.mark.parametrize(("classes", "wrong", "empty"), [*CASES, *((3, few, 0) for few in range(0, 8, 2))])
def test_suspects_are_as_many_as_exceed_the_expected_right_ones_by_most(classes: int, wrong: int, empty: int) -> None:
    p, given = said(classes, wrong, empty=empty)
    found = judge(p, given)
    ranked, expected = by_definition(found, fitted(found, p, given, classes)[1], given, classes)
    count = int(np.argmax([k - 1.5 * right for k, right in enumerate(expected, start=1)])) + 1
    if poisson.sf(count - 1, expected[count - 1]) > 0.01:
        assert (len(found.suspects), found.precision) == (0, None), "so many may be chance"
        return
    assert found.suspects.tolist() == ranked[:count]
    assert found.doubtful.tolist() == ranked[count : count + 30]
    assert found.precision == pytest.approx(1 - expected[count - 1] / count, rel=1e-6)


def test_a_class_of_one_image_counts_as_a_class() -> None:
    p, given = with_a_lone_one(*said(3, 15))
    found = judge(p, given)
    power, noise = fitted(found, p, given, 4)
    best = loss(p, given, power, noise, 4)
    for other in (noise * 1.1, noise / 1.1):
        assert best < loss(p, given, power, other, 4)
    ranked, expected = by_definition(found, noise, given, 4)
    count = len(found.suspects)
    assert count > 5
    assert found.suspects.tolist() == ranked[:count]
    assert found.precision == pytest.approx(1 - expected[count - 1] / count, rel=1e-6)


def test_labels_that_are_all_the_most_probable_ones_are_beyond_doubt() -> None:
    given = np.arange(60) % 3
    found = judge(np.full((60, 3), 0.05) + 0.85 * np.eye(3)[given], given)
    assert (len(found.suspects), len(found.doubtful), found.precision) == (0, 0, None)


def test_where_unusual_images_are_as_many_as_wrong_labels_would_be_none_is_detectable() -> None:
    # The models are right in two fifths, so that 2% of three fifths are unusual: more than 1% of all.
    p = np.concatenate([np.tile(np.roll([0.4, 0.3, 0.3, 0.0], by), (10, 1)) for by in range(4)])
    given = np.concatenate([(np.repeat([0, 1, 2], [4, 3, 3]) + by) % 4 for by in range(4)])
    found = judge(p, given)
    assert (found.detectable, len(found.suspects)) == (0, 0)


@pytest.mark.parametrize(("classes", "wrong", "empty"), CASES)
def test_what_belongs_where_is_expected_by_the_noise_rate(classes: int, wrong: int, empty: int) -> None:
    p, given = said(classes, wrong, empty=empty)
    found = judge(p, given)
    _, noise = fitted(found, p, given, classes)
    rows = np.arange(len(p))
    own = found.probabilities[rows, given]
    random = noise / classes / ((1 - noise) * own + noise / classes)
    np.testing.assert_allclose(found.wrong, random * (1 - own), atol=1e-9)
    np.testing.assert_allclose(found.joint.sum(axis=1), np.bincount(given, minlength=classes + empty), atol=1e-6)
    stay = [(1 - found.wrong[given == k]).sum() for k in range(classes)]
    np.testing.assert_allclose(np.diag(found.joint)[:classes], stay)
    assert found.joint[:, classes:].max(initial=0) < 1e-6
    np.testing.assert_array_equal(found.probabilities[found.suspects].argmax(axis=1), found.suggested[found.suspects])
    assert (found.suggested != given).all()


@pytest.mark.parametrize(("classes", "wrong", "empty"), CASES)
@pytest.mark.parametrize("possible", [0.01, 0.03])
def test_random_wrong_labels_are_detectable_up_to_where_right_ones_are_as_many(
    classes: int, wrong: int, empty: int, possible: float
) -> None:
    p, given = said(classes, wrong, empty=empty, doubt=1.0)
    found = judge(p, given, possible)
    q = found.probabilities[:, :classes]
    unusual = 0.02 * (1 - q.max(axis=1).mean())
    parts = []
    for limit in np.geomspace(1e-9, 0.5, 400):
        below = q <= limit
        wrongly = (1 - q[below]).sum() / (classes - 1)
        if (possible - unusual) * wrongly >= q[below].sum():
            parts.append(wrongly / len(q))
    assert found.detectable == pytest.approx(max(parts), abs=0.05)
    if possible == 0.01:
        assert judge(p, given).detectable == found.detectable, "1% unless another rate is asked for"


def test_of_even_probabilities_nothing_is_detectable_or_suspect() -> None:
    found = judge(np.full((60, 3), 1 / 3), np.arange(60) % 3)
    assert (found.detectable, len(found.suspects), len(found.doubtful), found.precision) == (0, 0, 0, None)


def test_at_most_thirty_labels_are_doubtful() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 300)
    given = (rng.random((300, 1)) > p.cumsum(axis=1)).sum(axis=1)
    found = judge(p, given)
    assert len(found.suspects) == 0
    own = found.probabilities[np.arange(300), given]
    assert found.doubtful.tolist() == np.argsort(own, kind="stable")[:30].tolist()


def test_pairs_of_image_and_label_are_judged_in_their_order() -> None:
    present = np.tile(np.array([[1, 0], [0, 1]], np.uint8), (40, 1))
    p = np.where(present == 1, 0.98, 0.02)
    p[3], p[10, 0] = p[3][::-1], 0.01  # image 3: both labels wrong; image 10 has label 0, which it is unlikely to have
    found = judge_labels(p, present)
    assert sorted(found.suspects.tolist()) == [6, 7, 20]
    assert found.suggested[[6, 7, 20, 0]].tolist() == [1, 0, 0, 0]
    assert found.probabilities.shape == (160, 2)


def test_an_accuracy_range_of_labels_without_suspects_is_a_point() -> None:
    found = accuracy_range(np.array([0, 1, 1]), np.array([0, 1, 0]), np.array([1, 0, 1]), np.zeros(3, bool))
    assert (found.n, found.suspects) == (3, 0)
    assert (found.low, found.measured, found.corrected, found.high) == (pytest.approx(2 / 3),) * 4
