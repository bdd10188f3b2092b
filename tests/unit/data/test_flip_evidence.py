import numpy as np
import pytest

from keensight.data.flip_evidence import mirror_evidence


class Memory:
    def __init__(self, images):
        self.images, self.shape = images, images.shape[1:]

    def take(self, indices):
        return self.images[indices]


def _arrows(n, both_ways):
    """Bars on the left or on the right; the side is the class, or is drawn at random."""
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, n)
    level = rng.integers(0, 2, n)
    images = rng.integers(0, 40, (n, 20, 20, 3)).astype(np.uint8)
    for image, left, low in zip(images, side, level, strict=True):
        image[(12 if low else 2) : (18 if low else 8), (2 if left else 14) : (6 if left else 18)] = 200
    return Memory(images), level if both_ways else side


def test_classes_that_differ_by_side_speak_against_mirroring():
    pixels, targets = _arrows(200, both_ways=False)
    evidence = mirror_evidence(pixels, np.arange(200), targets)
    assert evidence.harmful and not evidence.natural


def test_classes_that_do_not_differ_by_side_raise_no_alarm():
    pixels, targets = _arrows(200, both_ways=True)
    evidence = mirror_evidence(pixels, np.arange(200), targets)
    assert evidence.natural and not evidence.harmful


def test_real_digits_speak_against_mirroring():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    images = np.repeat((digits.images * 15.9).astype(np.uint8)[..., None], 3, axis=-1)
    assert mirror_evidence(Memory(images), np.arange(len(images)), digits.target).harmful
