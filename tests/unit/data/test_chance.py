"""Pairs that are similar by chance raise the threshold, copies do not."""

import numpy as np
import pytest

from keensight.data.audit.chance import above_chance, many, random_pairs

N = 1400
PAIRS = N * (N - 1) // 2
NONE = np.zeros(0, np.float32)


def _by_chance(rng: np.random.Generator, count: int, middle: float, spread: float) -> np.ndarray:
    return np.tanh(rng.normal(np.arctanh(middle), spread, count)).astype(np.float32)


def test_pairs_of_aligned_images_raise_the_threshold_until_chance_is_a_small_part() -> None:
    rng = np.random.default_rng(0)
    chance = _by_chance(rng, PAIRS, 0.55, 0.36)
    copies = rng.uniform(0.98, 1, 300).astype(np.float32)
    least = above_chance(0.9, np.concatenate([chance[chance > 0.85], copies]), chance[:400], N)
    assert 0.92 < least < 0.985
    assert (chance >= least).sum() < 0.2 * (chance >= 0.9).sum()
    assert (copies >= least).mean() > 0.7


@pytest.mark.parametrize("middle", [0.0, 0.3])
def test_pairs_of_unlike_images_leave_the_threshold_as_it_is(middle: float) -> None:
    rng = np.random.default_rng(1)
    drawn = _by_chance(rng, 400, middle, 0.15)
    assert above_chance(0.9, rng.uniform(0.9, 1, 500).astype(np.float32), drawn, N) == 0.9


@pytest.mark.parametrize("copies", [10, 100, 350])
def test_copies_among_the_pairs_drawn_do_not_count(copies: int) -> None:
    rng = np.random.default_rng(2)
    drawn = np.concatenate([_by_chance(rng, 400 - copies, 0.1, 0.15), np.full(copies, 0.99, np.float32)])
    assert above_chance(0.9, np.full(1000, 0.95, np.float32), drawn, 240) == 0.9


def test_chance_is_looked_at_where_many_pairs_are_found() -> None:
    assert not many(NONE, 0.9, 100)
    assert not many(np.full(5, 0.95, np.float32), 0.9, 100)
    assert many(np.full(6, 0.95, np.float32), 0.9, 100)


@pytest.mark.parametrize("n", [2, 3, 1000])
def test_random_pairs_are_of_different_images(n: int) -> None:
    first, second = random_pairs(n)
    assert (first != second).all()
    assert max(first.max(), second.max()) < n
