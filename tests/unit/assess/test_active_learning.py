"""Which unlabeled images to label next."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keensight.assess.active_learning import rank, uncertainty


def test_uncertainty_is_one_minus_the_margin():
    p = np.array([[0.5, 0.5, 0.0], [0.7, 0.2, 0.1], [1.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(uncertainty(p), [1.0, 0.5, 0.0], atol=1e-6)


def test_the_most_doubtful_label_counts_where_there_are_several():
    p = np.array([[0.01, 0.6], [0.99, 0.02]], np.float32)
    np.testing.assert_allclose(uncertainty(p, multilabel=True), [0.8, 0.04], atol=1e-6)


def test_a_near_duplicate_of_an_image_is_not_asked_for_after_it():
    vectors = np.array([[5, 0, 0], [5, 0, 0.01], [0, 5, 0], [0, 0, 5]], np.float32)
    doubts = np.array([1.0, 0.99, 0.4, 0.3], np.float32)
    assert list(rank(doubts, vectors, 4)) == [0, 2, 3, 1]


def test_equal_images_are_all_ranked_once():
    assert sorted(rank(np.ones(3, np.float32), np.zeros((3, 2), np.float32), 3)) == [0, 1, 2]


@given(st.integers(1, 12), st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_any_beginning_of_a_ranking_is_the_ranking_of_fewer(n, count, seed):
    draw = np.random.default_rng(seed)
    doubts, vectors = draw.random(n).astype(np.float32), draw.normal(size=(n, 3)).astype(np.float32)
    order = rank(doubts, vectors, count)
    assert len(set(order.tolist())) == len(order) == min(n, count)
    assert order[0] == doubts.argmax()
    assert list(rank(doubts, vectors, 1)) == list(order[:1])
    assert list(rank(doubts, vectors, (count + 1) // 2)) == list(order[: (count + 1) // 2])


def test_scale_and_place_of_features_do_not_matter():
    draw = np.random.default_rng(0)
    doubts, vectors = draw.random(20).astype(np.float32), draw.normal(size=(20, 4)).astype(np.float32)
    moved = vectors * np.array([1, 10, 100, 1000], np.float32) + 7
    assert list(rank(doubts, vectors, 10)) == list(rank(doubts, moved, 10))


def test_the_margin_does_not_depend_on_the_order_of_the_classes() -> None:
    p = np.array(list(permutations([0.5, 0.3, 0.15, 0.05])), np.float32)
    np.testing.assert_allclose(uncertainty(p), np.full(24, 0.8), atol=1e-6)


CROSS = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], np.float32)
"""Squared distances from the first, at length 1: 0, 2, 4 and 2."""


@pytest.mark.parametrize(
    ("opposite", "beside", "second"),
    # 2 * 0.6 = 1.2 is between 4 * 0.29 = 1.16 and 4 * 0.31 = 1.24.
    [(0.31, 0.6, 2), (0.29, 0.6, 1)],
)
def test_the_next_image_has_the_largest_product_of_doubt_and_squared_distance(
    opposite: float, beside: float, second: int
) -> None:
    doubts = np.array([1, beside, opposite, 0], np.float32)
    assert list(rank(doubts, CROSS, 2)) == [0, second]
    narrow = CROSS * np.array([1, 0.01], np.float32)
    assert list(rank(doubts, narrow, 2)) == [0, second], "features are compared on one scale"


def test_the_first_image_of_the_list_may_come_second() -> None:
    assert list(rank(np.array([0.8, 0.5, 1, 0.2], np.float32), CROSS, 4)) == [2, 0, 1, 3]


def test_images_whose_features_differ_in_strength_only_are_alike() -> None:
    vectors = np.concatenate([3 * CROSS, CROSS])
    doubts = np.array([1, 0.1, 0.1, 0.1, 0.99, 0.2, 0.3, 0.1], np.float32)
    assert list(rank(doubts, vectors, 3)) == [0, 6, 5]
