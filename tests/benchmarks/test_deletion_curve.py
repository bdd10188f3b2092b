import importlib.util
import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

_SPEC = importlib.util.spec_from_file_location(
    "deletion_curve", Path(__file__).parents[2] / "benchmarks" / "deletion_curve.py"
)
deletion_curve = importlib.util.module_from_spec(_SPEC)
sys.modules["deletion_curve"] = deletion_curve  # dataclasses look their module up
_SPEC.loader.exec_module(deletion_curve)
deletion = deletion_curve.deletion


def brightness_of_the_corner(images):
    """Probability of class 1: how bright the upper left 4 x 4 pixels are."""
    p = images[:, :4, :4].mean(axis=(1, 2, 3), dtype=np.float32) / 255
    return np.stack([1 - p, p], axis=1)


def corner_lit(n):
    images = np.zeros((n, 16, 16, 3), np.uint8)
    images[:, :4, :4] = 250
    return images


def test_the_true_evidence_beats_chance_and_its_opposite_loses():
    images, targets = corner_lit(3), np.ones(3, np.int64)
    true = np.zeros((3, 16, 16), np.float32)
    true[:, :4, :4] = 1
    right = deletion(brightness_of_the_corner, images, targets, true, side=4, draws=5)
    wrong = deletion(brightness_of_the_corner, images, targets, 1 - true, side=4, draws=5)
    assert right.better_than(right.pixels) == right.better_than(right.blocks) == 1
    assert wrong.better_than(wrong.pixels) == wrong.better_than(wrong.blocks) == 0
    assert right.heat.shape == right.pixels.shape == (3, 13)


def test_a_curve_runs_from_the_image_to_a_blurred_one():
    images, targets = corner_lit(1), np.array([1])
    found = deletion(brightness_of_the_corner, images, targets, np.zeros((1, 16, 16), np.float32), draws=2)
    blurred = gaussian_filter(images[0, ..., 0].astype(float), 2)[:4, :4].mean() / 255
    for curve in (found.heat, found.pixels, found.blocks):
        np.testing.assert_allclose(curve[0, 0], 250 / 255, atol=1e-3)
        np.testing.assert_allclose(curve[0, -1], blurred, atol=0.005)
    assert found.shares[0] == 0 and found.shares[-1] == 1
    np.testing.assert_allclose(found.area(np.full((2, 13), 0.3)), 0.3)


def test_a_seed_gives_the_same_orders():
    images, targets, heat = corner_lit(1), np.array([1]), np.zeros((1, 16, 16), np.float32)
    one, same, other = (deletion(brightness_of_the_corner, images, targets, heat, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.blocks, same.blocks)
    assert not np.array_equal(one.blocks, other.blocks)
