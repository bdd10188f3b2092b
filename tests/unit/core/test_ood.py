"""The out-of-distribution score, on vectors made by code."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from keensight.core import ood

D, RANK = 80, 6


def cloud(seed, n, turned=0):
    """Embeddings near a few directions, all features positive as a rectified network's are, of uneven spread."""
    mixing = np.random.default_rng(turned).normal(size=(RANK, D))
    rng = np.random.default_rng([turned, seed])
    spread = np.geomspace(0.05, 1, D)
    rows = 4 + (rng.normal(size=(n, RANK)) @ mixing + rng.normal(scale=0.2, size=(n, D))) * spread
    return np.maximum(rows, 0).astype(np.float32)


@pytest.fixture(scope="module")
def subspace():
    return ood.fit(cloud(0, 300), cloud(1, 200))


def test_pictures_of_something_else_are_odd_and_new_ones_of_the_same_are_not(subspace):
    same, other = (ood.score(cloud(2, 200, turned), subspace) for turned in (0, 1))
    assert ood.odd(other, subspace).mean() > 0.95
    assert ood.odd(same, subspace).mean() < 0.08
    assert np.median(other) > same.max()


@pytest.mark.slow
def test_the_threshold_refuses_the_share_that_it_says_over_many_draws():
    shares, told = [], set()
    for seed in range(40):
        found = ood.fit(cloud(0, 100), cloud(10 + seed, 100))
        shares.append(ood.odd(ood.score(cloud(100 + seed, 200), found), found).mean())
        told.add(found.refused)
    assert told == {3 / 101}
    assert np.mean(shares) == pytest.approx(3 / 101, abs=0.012)


def test_without_validation_images_nothing_is_odd():
    found = ood.fit(cloud(0, 100), cloud(1, 0))
    assert (found.threshold, found.refused, len(found.known)) == (ood.LARGEST, 0, 0)
    scores = ood.score(-cloud(2, 50, turned=1), found)
    assert not ood.odd(scores, found).any()


@pytest.mark.parametrize("n", [1, 10, 32])
def test_with_few_validation_images_the_oddest_is_the_threshold_and_the_chance_is_told(n):
    found = ood.fit(cloud(0, 100), cloud(1, n))
    assert found.threshold == found.known[-1]
    assert found.refused == 1 / (n + 1)


def test_an_embedding_that_is_not_finite_is_odd_and_spoils_no_other(subspace):
    rows = cloud(4, 4)
    alone = ood.score(rows[3:], subspace)
    rows[0, 3], rows[1, 0], rows[2, 5] = np.nan, np.inf, -np.inf
    scores = ood.score(rows, subspace)
    assert np.isnan(scores[:3]).all() and scores[3] == pytest.approx(alone[0], abs=1e-6)
    assert ood.odd(scores, subspace)[:3].all()


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d", "axes"), [(1, 80, 0), (3, 80, 0), (40, 80, 10), (400, 8, 2), (400, 400, 64)])
def test_there_are_axes_for_what_the_images_can_tell(n, d, axes):
    rng = np.random.default_rng(0)
    rows = rng.normal(1, 1, (n, d)).astype(np.float32)
    found = ood.fit(rows, rng.normal(1, 1, (30, d)).astype(np.float32))
    assert found.axes.shape == (axes, d)
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(axes), atol=1e-5)
    assert {array.dtype for array in (found.scale, found.mean, found.axes, found.known)} == {np.dtype(np.float32)}
    assert (found.known > 0).all()


def test_dead_and_constant_features_do_no_harm():
    rows, val = cloud(0, 100), cloud(1, 60)
    for part in (rows, val):
        part[:, :5], part[:, 5] = 0, 3
    found = ood.fit(rows, val)
    assert np.isfinite(ood.score(val, found)).all()
    same = np.ones((20, D), np.float32)
    assert (ood.score(same, ood.fit(same, same)) < 1e-6).all()


def test_no_vectors_have_no_scores(subspace):
    assert ood.score(np.zeros((0, D), np.float32), subspace).shape == (0,)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-30, 1e-3, 1.0, 1e6, 1e30]))
def test_scores_are_within_their_range_and_do_not_depend_on_the_length_of_an_embedding(seed, length):
    rng = np.random.default_rng(seed)
    rows = (rng.normal(size=(8, D)) * rng.choice([0, 1, 5], size=(8, D))).astype(np.float32)
    found = ood.fit(cloud(0, 20), cloud(1, 5))
    scores = ood.score(rows, found)
    assert ((scores >= 0) & (scores <= ood.LARGEST)).all()
    np.testing.assert_allclose(ood.score(rows * np.float32(length), found), scores, atol=1e-4)


def directed(rows, scale):
    """Directions, by the description of the module."""
    g = rows / np.linalg.norm(rows, axis=1, keepdims=True) / scale
    return g / np.linalg.norm(g, axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "d", "axes"), [(40, 16, 4), (13, 16, 3), (40, 80, 10)])
def test_scores_are_what_the_principal_axes_do_not_explain(n, d, axes):
    rows, val = (cloud(seed, count)[:, :d].astype(np.float64) for seed, count in ((0, n), (1, 20)))
    variances = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).var(axis=0)
    scale = np.sqrt(variances + variances.mean())
    pca = PCA(axes).fit(directed(rows, scale))
    moved = directed(val, scale)
    want = np.linalg.norm(moved - pca.inverse_transform(pca.transform(moved)), axis=1)
    found = ood.fit(rows.astype(np.float32), val.astype(np.float32))
    np.testing.assert_allclose(found.scale, scale, rtol=1e-4)
    np.testing.assert_allclose(found.mean, pca.mean_, atol=1e-5)
    assert found.axes.shape == (axes, d)
    np.testing.assert_allclose(found.axes.T @ found.axes, pca.components_.T @ pca.components_, atol=1e-4)
    np.testing.assert_allclose(ood.score(val.astype(np.float32), found), want, atol=1e-5)
    np.testing.assert_allclose(found.known, np.sort(want), atol=1e-5)


@pytest.mark.parametrize(("n", "place"), [(33, 33), (65, 65), (66, 65), (100, 98), (199, 194)])
def test_the_threshold_is_the_lowest_score_that_3_in_100_new_images_exceed_at_most(n, place):
    found = ood.fit(cloud(0, 40), cloud(1, n))
    assert found.threshold == found.known[place - 1]
    assert found.refused == pytest.approx((n + 1 - place) / (n + 1))
    assert found.refused <= 0.03


def test_a_score_at_the_threshold_is_not_odd_whatever_its_last_digits():
    found = ood.fit(cloud(0, 40), cloud(1, 10))
    at = found.threshold
    scores = np.array([at - 1e-5, at, at + 0.9e-5, at + ood.EASE, at + 1.2e-5], np.float32)
    assert ood.odd(scores, found).tolist() == [False, False, False, False, True]


def test_an_embedding_of_zeros_has_no_direction_and_a_score():
    found = ood.fit(cloud(0, 40), cloud(1, 10))
    moved = -found.mean.astype(np.float64)
    want = np.linalg.norm(moved - moved @ found.axes.T @ found.axes)
    assert ood.score(np.zeros((1, D), np.float32), found) == pytest.approx([want], abs=1e-6)


def test_no_score_is_above_2():
    found = ood.fit(cloud(0, 40), cloud(1, 0))
    assert (found.threshold, found.refused) == (2, 0)
    far = replace(found, mean=np.full(D, -3, np.float32))
    assert ood.score(cloud(2, 3), far).tolist() == [2, 2, 2]
