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


def test_frequencies_of_a_wide_image_are_those_of_the_cosine_transform_too():
    from scipy.fft import dctn

    image = pictures(1, side=40)[:, :20]
    wanted = dctn(image[0] @ np.array([0.299, 0.587, 0.114]), norm="ortho")[:16, :16].ravel()[1:]
    found = marks.frequencies(image)
    np.testing.assert_allclose(found[0], wanted / np.linalg.norm(wanted), atol=1e-4)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("columns", "step", "usable"),
    [
        (8, 1, False),  # standard deviation 1/2
        (4, 2, False),  # 2 sqrt(1/4 * 3/4) = 0.87
        (8, 3, True),  # 3/2
    ],
)
def test_an_image_has_a_fingerprint_if_its_contrast_is_a_level_or_more(columns, step, usable):
    image = np.full((1, 16, 16, 3), 100, np.uint8)
    image[:, :, :columns] += step
    assert np.isfinite(marks.frequencies(image)).all() == usable


def test_a_copy_is_near_and_another_image_is_far():
    images = pictures(60)
    medians = marks.medians_of(marks.frequencies(images))
    known = prints_of(images, medians)
    noise = np.random.default_rng(1).normal(0, 4, images.shape)
    copies = np.clip(images * 0.9 + 10 + noise, 0, 255).astype(np.uint8)
    assert marks.nearest(prints_of(copies, medians), known).max() <= 32 == marks.RADIUS
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


def test_a_fingerprint_has_a_bit_for_each_frequency_above_the_median_and_a_last_one():
    found = np.zeros((3, 255), np.float32)
    found[0, [0, 254]] = 0.5
    found[1] = 0.25
    found[2] = np.nan
    prints = marks.fingerprints(found, np.full(255, 0.25, np.float32))
    assert prints.shape == (3, 32)
    assert prints[0].tolist() == [0b1000_0000, *[0] * 30, 0b0000_0011]
    assert prints[1].tolist() == [*[0] * 31, 1]  # the median is not above itself
    assert prints[2].tolist() == [0] * 32
    assert marks.is_print(prints).tolist() == [True, True, False]


def test_medians_are_those_of_the_images_with_contrast():
    found = np.tile(np.arange(255, dtype=np.float32), (4, 1)) * np.array([[1], [3], [np.nan], [2]], np.float32)
    assert marks.medians_of(found).tolist() == [2 * i for i in range(255)]
    assert marks.medians_of(found).dtype == np.float32


def test_the_nearest_are_the_same_in_blocks_of_any_size(monkeypatch):
    rng = np.random.default_rng(0)
    queries, known = rng.integers(0, 256, (7, 32), np.uint8), rng.integers(0, 256, (3, 32), np.uint8)
    alike = np.zeros((7, 3), bool)
    alike[4] = True
    wanted = np.unpackbits(queries[:, None] ^ known[None], axis=2).sum(axis=2).min(axis=1)
    wanted[4] = 255  # no pair counts
    for block in (1, 6, 9, 2**22):
        monkeypatch.setattr(marks, "_BLOCK", block)
        assert marks.nearest(queries, known, alike).tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("distances", "images", "radius"),
    [
        ([100] * 50, 50, 32),  # no two are alike
        ([64] * 50, 50, 32),  # not within 64 bits
        ([63] * 50, 50, 13),  # 64 * 0.002 ** 0.25 = 13.5
        ([63] + [100] * 499, 500, 32),  # 64 * (0.002 / 0.002) ** 0.25 is more than a copy differs in
        ([63] * 50, 5000, 13),  # more than all cannot have a neighbor
        ([63] + [100] * 99, 100, 32),  # 64 * (0.002 / 0.01) ** 0.25 = 42.8
        ([32] * 50, 50, -1),
        ([33] * 50, 50, 13),
        ([7, 7], 2, -1),
        ([], 0, 32),
        ([100] * 90 + [50] * 10, 100, 24),  # 64 * (0.002 / 0.1) ** 0.25 = 24.07
        ([100] * 90 + [50] * 10, 1000, 13),  # ten times as many images: each has a neighbor within 64 bits
        ([30] * 60 + [100] * 40, 100, -1),  # most are as near to another as a copy is
        ([7], 1, 32),
    ],
)
def test_the_more_alike_the_images_the_smaller_the_radius(distances, images, radius):
    assert marks.radius_of(np.array(distances), images) == radius
