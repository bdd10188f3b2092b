"""Marks of images: what a copy shares with its original, and what another image does not."""

import hashlib

import numpy as np
import pytest

from keensight.core import fingerprints as marks


def pictures(n, seed=0, side=48):
    """Smooth random pictures (n, side, side, 3), no two alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (n, 12, 12, 3))
    places = np.linspace(0, 10.999, side)
    low, part = places.astype(int), places % 1
    wide = coarse[:, low] * (1 - part)[:, None, None] + coarse[:, low + 1] * part[:, None, None]
    both = wide[:, :, low] * (1 - part)[:, None] + wide[:, :, low + 1] * part[:, None]
    return both.astype(np.uint8)


def prints_of(images, medians):
    return marks.fingerprints(marks.frequencies(images), medians)


def test_a_pixel_digest_is_the_sha256_of_the_pixels_cut_short():
    images = pictures(2)
    assert marks.pixel_digests(images)[1].tobytes() == hashlib.sha256(images[1].tobytes()).digest()[:16]
    assert marks.file_digests(["ab" * 32])[0].tobytes() == b"\xab" * 16
    assert marks.file_digests([]).shape == (0, 16)


def test_frequencies_are_those_of_the_orthonormal_cosine_transform():
    from scipy.fft import dctn

    image = pictures(1)
    grey = image[0] @ np.array([0.299, 0.587, 0.114])
    wanted = dctn(grey, norm="ortho")[:16, :16].ravel()[1:]
    np.testing.assert_allclose(marks.frequencies(image)[0], wanted / np.linalg.norm(wanted), atol=1e-4)


def test_a_copy_is_near_and_another_image_is_far():
    images = pictures(60)
    medians = marks.medians_of(marks.frequencies(images))
    known = prints_of(images, medians)
    noise = np.random.default_rng(1).normal(0, 4, images.shape)
    copies = np.clip(images * 0.9 + 10 + noise, 0, 255).astype(np.uint8)
    assert marks.nearest(prints_of(copies, medians), known).max() <= marks.RADIUS
    others = prints_of(pictures(60, seed=7), medians)
    assert marks.nearest(others, known).min() > marks.RADIUS


def test_what_all_images_have_in_common_tells_nothing():
    common = pictures(1, seed=3).astype(np.float32)
    alike = (common * 0.8 + pictures(60, seed=4) * 0.2).astype(np.uint8)
    found = marks.frequencies(alike)
    bare = marks.fingerprints(found, np.zeros(255, np.float32))
    centred = marks.fingerprints(found, marks.medians_of(found))
    same = np.eye(60, dtype=bool)
    assert marks.nearest(centred, centred, same).min() > 2 * marks.nearest(bare, bare, same).min()


def test_a_flat_image_has_no_fingerprint():
    flat = np.full((1, 32, 32, 3), 90, np.uint8)
    images = np.concatenate([pictures(4, side=32), flat])
    found = marks.frequencies(images)
    assert np.isnan(found[4]).all()
    medians = marks.medians_of(found)
    assert np.isfinite(medians).all()
    assert marks.is_print(marks.fingerprints(found, medians)).tolist() == [True] * 4 + [False]
    assert marks.medians_of(marks.frequencies(flat)).tolist() == [0.0] * 255


def test_nearest_counts_bits_and_passes_over_pairs_that_do_not_count():
    known = np.zeros((2, 32), np.uint8)
    known[1, 0] = 0b1110_0000
    query = np.zeros((1, 32), np.uint8)
    query[0, 0] = 0b1000_0000
    assert marks.nearest(query, known).tolist() == [1]
    assert marks.nearest(query, known, np.array([[True, False]])).tolist() == [2]
    assert marks.nearest(query, known[:0]).tolist() == [255]


@pytest.mark.parametrize(
    ("distances", "images", "radius"),
    [
        ([100] * 50, 50, marks.RADIUS),  # no two are alike
        ([100] * 90 + [50] * 10, 100, 24),  # 64 * (0.002 / 0.1) ** 0.25 = 24.07
        ([100] * 90 + [50] * 10, 1000, 13),  # ten times as many images: each has a neighbor within 64 bits
        ([30] * 60 + [100] * 40, 100, marks.OFF),  # most are as near to another as a copy is
        ([7], 1, marks.RADIUS),
    ],
)
def test_the_more_alike_the_images_the_smaller_the_radius(distances, images, radius):
    assert marks.radius_of(np.array(distances), images) == radius
